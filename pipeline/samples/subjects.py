"""What the built-in artworks show: bold compositions of flat, gently modelled shapes.

They are composed apart from the photographs (other subjects, other seeds), so that the two are unpaired.
Images are sRGB values in [0, 1] (n, n, 3): a painter mixes by eye, not by light.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from pipeline.samples.canvas import Array, choose, f32, fractal, grid, mix, uniform
from pipeline.samples.easel import Easel, Palette, code


def _sky(rng: Generator, n: int, p: Palette, *, orb: bool = True) -> Easel:
    easel = Easel(n, code(p.sky[0]), mix(code(p.sky[0]), code(p.sky[1]), 1.6))
    if orb:
        x, y, r = uniform(rng, 0.15, 0.85), uniform(rng, 0.12, 0.32), uniform(rng, 0.05, 0.11)
        for ring in (2.6, 1.9, 1.35):
            easel.ellipse(x, y, r * ring, r * ring, mix(code(p.sky[1]), code(p.orb), 0.9 - 0.28 * ring), form=0)
        easel.ellipse(x, y, r, r, code(p.orb), form=0.06)
    for _ in range(int(rng.integers(1, 4))):
        x, y, w = uniform(rng, 0, 1), uniform(rng, 0.06, 0.4), uniform(rng, 0.08, 0.2)
        for _ in range(4):
            easel.ellipse(x + uniform(rng, -w, w), y + uniform(rng, -0.012, 0.012), w * uniform(rng, 0.4, 0.8),
                          uniform(rng, 0.012, 0.03), mix(code(p.sky[1]), code(p.light), 0.6))  # fmt: skip
    return easel


def _crest(rng: Generator, n: int, base: float, swing: float, cells: float, octaves: int = 2) -> Array:
    return f32(base - swing * fractal(rng, n, cells=cells, octaves=octaves)[0])


def _cypress(easel: Easel, rng: Generator, x: float, foot: float, high: float, p: Palette) -> None:
    t = np.linspace(0, 1, 14)
    half = 0.13 * high * np.sin(np.pi * t**0.7) ** 0.8 * (1 + 0.15 * rng.standard_normal(14))
    y = foot - high * t
    easel.profile(x, half, y, mix(code(p.dark), code(p.land[2]), uniform(rng, 0.1, 0.5)), form=0.5)


def _house(easel: Easel, rng: Generator, x: float, foot: float, size: float, p: Palette) -> None:
    wall, roof = code(p.light), code(choose(rng, p.accents))
    w, h = size, size * uniform(rng, 0.6, 0.9)
    easel.polygon([(x, foot), (x, foot - h), (x + w, foot - h), (x + w, foot)], wall * 0.95)
    easel.polygon(
        [(x - 0.1 * w, foot - h), (x + 0.3 * w, foot - 1.6 * h), (x + w, foot - 1.6 * h), (x + 1.1 * w, foot - h)],
        roof,
    )
    for k in (0.2, 0.6):
        left, right, low, high = x + k * w, x + (k + 0.18) * w, foot - 0.3 * h, foot - 0.65 * h
        easel.polygon([(left, low), (left, high), (right, high), (right, low)], code(p.dark))


def hills(rng: Generator, n: int, p: Palette) -> Array:
    """Rolling fields with furrows, cypresses and a few houses under a large sun or moon."""
    easel = _sky(rng, n, p)
    base = uniform(rng, 0.42, 0.52)
    for k in range(4):
        edge = _crest(rng, n, base + 0.13 * k, 0.035 + 0.01 * k, 2 + k % 2)
        tone = mix(code(p.land[min(k, 2)]), code(choose(rng, p.accents)), 0.35 if k % 2 else 0.0)
        easel.below(edge, tone * 1.1, tone * 0.75)
        if k in (1, 2):
            for _ in range(int(rng.integers(0, 4))):
                x = uniform(rng, 0.05, 0.85)
                _house(easel, rng, x, float(edge[int(x * n)]) + 0.04, 0.05 + 0.02 * k, p)
        for _ in range(int(rng.integers(0, 4))):
            x = uniform(rng, 0.03, 0.97)
            _cypress(easel, rng, x, float(edge[int(x * n)]) + 0.03, (0.09 + 0.07 * k) * uniform(rng, 0.7, 1.5), p)
    vanish = uniform(rng, 0.2, 0.8)
    for k in range(-7, 8):
        easel.stroke(
            [(vanish + 0.04 * k, base + 0.4), (vanish + 0.25 * k, 1.05)],
            0.004,
            0.03,
            code(p.accents[k % len(p.accents)]) * 0.9,
        )
    return easel.image


def harbour(rng: Generator, n: int, p: Palette) -> Array:
    """Sailing boats and their reflections on still water before a low coast."""
    easel = _sky(rng, n, p)
    level = uniform(rng, 0.42, 0.56)
    easel.below(_crest(rng, n, level - 0.04, 0.025, 3, 4), code(p.land[0]), code(p.land[1]))
    easel.below(np.full(n, level, np.float32), code(p.water[0]), code(p.water[1]))
    for _ in range(26):
        x, y = uniform(rng, -0.1, 1), level + 0.02 + uniform(rng, 0, 1) ** 1.3 * (1 - level)
        wide = 0.03 + 0.16 * (y - level)
        tone = mix(
            code(p.water[int(rng.integers(2))]), code(choose(rng, [p.light, p.orb, p.sky[1]])), uniform(rng, 0.2, 0.6)
        )
        easel.ellipse(x, y, wide, 0.004 + 0.012 * (y - level), tone, form=0)
    for near in np.sort(rng.uniform(0.05, 1, int(rng.integers(2, 6)))).tolist():
        x, y, s = uniform(rng, 0.1, 0.9), level + 0.04 + 0.3 * near, 0.09 + 0.2 * near
        _boat(easel, rng, x, y, s, p)
    return easel.image


def _boat(easel: Easel, rng: Generator, x: float, y: float, s: float, p: Palette) -> None:
    hull, sail = code(choose(rng, p.accents)), code(choose(rng, [p.light, *p.accents]))
    face = 1 if rng.random() < 0.5 else -1
    dim = mix(sail, code(p.water[1]), 0.55)
    easel.polygon(
        [(x, y + 0.08 * s), (x + 0.1 * s * face, y + 0.8 * s), (x + 0.4 * s * face, y + 0.15 * s)], dim, form=0
    )
    easel.polygon([(x, y - 0.08 * s), (x, y - 1.1 * s), (x + 0.5 * s * face, y - 0.16 * s)], sail)
    easel.polygon(
        [(x - 0.04 * s * face, y - 0.08 * s), (x - 0.04 * s * face, y - 0.9 * s), (x - 0.3 * s * face, y - 0.12 * s)],
        sail * 0.85,
    )
    easel.stroke([(x, y), (x, y - 1.15 * s)], 0.02 * s, 0.012 * s, code(p.dark))
    easel.polygon(
        [
            (x - 0.5 * s, y - 0.1 * s),
            (x + 0.55 * s, y - 0.1 * s),
            (x + 0.36 * s, y + 0.09 * s),
            (x - 0.36 * s, y + 0.09 * s),
        ],
        hull,
    )


def bouquet(rng: Generator, n: int, p: Palette) -> Array:
    """A vase of large flowers on a table."""
    wall = mix(code(choose(rng, [p.sky[0], p.sky[1], p.water[0]])), code(p.light), 0.2)
    easel = Easel(n, wall, wall * 0.8)
    table = uniform(rng, 0.72, 0.8)
    easel.below(np.full(n, table, np.float32), code(p.land[1]), code(p.land[2]))
    x, vase = uniform(rng, 0.42, 0.58), code(choose(rng, [p.water[1], p.light, *p.accents]))
    easel.ellipse(x + 0.14, table + 0.1, 0.24, 0.03, code(p.dark) * 0.5 + code(p.land[2]) * 0.5, form=0)
    t = np.linspace(0, 1, 16)
    half = 0.06 + uniform(rng, 0.05, 0.09) * np.sin(np.pi * t ** uniform(rng, 0.8, 1.5)) + 0.02 * (t > 0.93)
    y = table + 0.1 - 0.34 * t
    easel.profile(x, half, y, vase, form=0.6)
    heads = [
        (x + 0.3 * np.cos(a) * r, 0.34 + 0.24 * np.sin(a) * r)
        for a, r in zip(rng.uniform(0, 6.28, 14), rng.uniform(0.1, 1.1, 14), strict=True)
    ]
    for hx, hy in heads:
        easel.stroke(
            [(x, y[-1]), ((x + hx) / 2, (hy + y[-1]) / 2 - 0.03), (hx, hy)], 0.012, 0.008, code(p.land[2]) * 0.8
        )
        easel.ellipse((x + hx) / 2, (hy + 0.5) / 2 + 0.05, 0.06, 0.02, code(p.land[2]), turn=uniform(rng, 0, 3))
    for hx, hy in heads:
        _flower(easel, rng, float(hx), float(hy), uniform(rng, 0.05, 0.1), code(choose(rng, p.accents)), code(p.dark))
    return easel.image


def _flower(easel: Easel, rng: Generator, x: float, y: float, r: float, colour: Array, heart: Array) -> None:
    count, spin = int(rng.integers(7, 13)), uniform(rng, 0, 6)
    for ring, shade in ((1.0, 0.82), (0.7, 1.08)):
        for k in range(count):
            a = spin + 2 * np.pi * (k + (0.5 if ring < 1 else 0)) / count
            tone = colour * shade * uniform(rng, 0.88, 1.1)
            easel.ellipse(
                x + 0.62 * r * ring * np.cos(a), y + 0.62 * r * ring * np.sin(a), 0.45 * r, 0.2 * r, tone, turn=a
            )
    easel.ellipse(x, y, 0.3 * r, 0.3 * r, mix(heart, colour, 0.25))


def tree(rng: Generator, n: int, p: Palette) -> Array:
    """One great tree on a hill, its crown in many masses, before the sun."""
    easel = _sky(rng, n, p)
    edge = _crest(rng, n, uniform(rng, 0.66, 0.76), 0.04, 2)
    easel.below(_crest(rng, n, 0.6, 0.03, 3, 3), code(p.land[0]), code(p.land[1]))
    easel.below(edge, code(p.land[1]) * 1.1, code(p.land[2]) * 0.8)
    x = uniform(rng, 0.3, 0.7)
    leaf = code(choose(rng, [p.land[2], *p.accents]))
    tips: list[tuple[float, float]] = []
    _branch(easel, rng, (x, float(edge[int(x * n)]) + 0.04), -np.pi / 2, 0.21, 0.055, code(p.dark), tips)
    for shade, share in ((0.62, 1.0), (0.92, 0.8), (1.2, 0.5)):
        for tx, ty in tips:
            if rng.random() < share:
                shift = 0.03 * (1 - shade)
                r = uniform(rng, 0.022, 0.05)
                easel.ellipse(
                    tx + shift + uniform(rng, -0.025, 0.025),
                    ty + shift + uniform(rng, -0.02, 0.02),
                    r,
                    0.75 * r,
                    np.clip(leaf * shade, 0, 1),
                )
    return easel.image


def _branch(easel: Easel, rng: Generator, foot: tuple[float, float], angle: float, length: float, width: float,
            colour: Array, tips: list[tuple[float, float]]) -> None:  # fmt: skip
    bow = uniform(rng, -0.25, 0.25)
    points = [
        (foot[0] + length * t * np.cos(angle + bow * t), foot[1] + length * t * np.sin(angle + bow * t))
        for t in (0, 0.35, 0.7, 1)
    ]
    easel.stroke(points, width, 0.62 * width, colour)
    if length < 0.06:
        tips.append((float(points[-1][0]), float(points[-1][1])))
        return
    for side in (-1, 1) if rng.random() < 0.6 else (-1, 0.1, 1):
        _branch(
            easel,
            rng,
            points[-1],
            angle + side * uniform(rng, 0.3, 0.7),
            length * uniform(rng, 0.62, 0.8),
            0.6 * width,
            colour,
            tips,
        )


def peaks(rng: Generator, n: int, p: Palette) -> Array:
    """Steep mountains rising one behind another out of mist, above water with a boat."""
    easel = _sky(rng, n, p)
    layers = int(rng.integers(3, 5))
    for k in range(layers):
        base = 0.34 + 0.44 * k / layers
        edge = _crest(rng, n, base, 0.06, 2.5 + k, 5)
        x = grid(n)[1][0]
        peak = uniform(rng, 0.1, 0.9)
        edge = f32(edge - uniform(rng, 0.05, 0.2) * np.exp(-(((x - peak) / uniform(rng, 0.06, 0.16)) ** 2)))
        tone = mix(code(p.sky[1]), code(p.land[min(k, 2)]), 0.35 + 0.65 * k / (layers - 1))
        easel.below(edge, tone * 0.85, mix(code(p.sky[1]), code(p.light), 0.4))
        if k >= 1:
            for _ in range(int(rng.integers(2, 7))):
                tx = uniform(rng, 0.02, 0.98)
                _cypress(easel, rng, tx, float(edge[int(tx * n)]) + 0.012, 0.04 + 0.03 * k, p)
    level = uniform(rng, 0.8, 0.87)
    easel.below(np.full(n, level, np.float32), mix(code(p.water[0]), code(p.light), 0.3), code(p.water[1]))
    _boat(easel, rng, uniform(rng, 0.2, 0.8), level + 0.06, uniform(rng, 0.07, 0.12), p)
    return easel.image


def fishes(rng: Generator, n: int, p: Palette) -> Array:
    """Fishes circling among weeds in deep water."""
    easel = Easel(n, code(p.water[0]), code(p.water[1]))
    for k in range(int(rng.integers(6, 11))):
        x, lean = uniform(rng, 0, 1), uniform(rng, -0.1, 0.1)
        points = [
            (x + 0.02 * np.sin(6 * t + k) + lean * t, 1.02 - uniform(rng, 0.4, 0.5) * t) for t in np.linspace(0, 1, 7)
        ]
        easel.stroke(points, 0.035, 0.006, code(p.land[k % 3]))
    spin, count = uniform(rng, 0, 6.28), int(rng.integers(2, 5))
    for k in range(count):
        a = spin + 2 * np.pi * k / count
        r = 0.26 if count > 2 else 0.2
        _fish(
            easel,
            rng,
            0.5 + r * np.cos(a),
            0.47 + r * np.sin(a),
            uniform(rng, 0.16, 0.21),
            a + np.pi / 2 + uniform(rng, -0.2, 0.2),
            p,
        )
    for _ in range(9):
        easel.ellipse(uniform(rng, 0, 1), uniform(rng, 0, 0.8), 0.016, 0.016, code(p.light), form=0)
    return easel.image


def _fish(easel: Easel, rng: Generator, x: float, y: float, s: float, turn: float, p: Palette) -> None:
    first, second = (code(c) for c in rng.permutation(np.asarray(p.accents))[:2])
    c, d = np.cos(turn), np.sin(turn)

    def place(u: float, v: float) -> tuple[float, float]:
        return x + s * (u * c - v * d), y + s * (u * d + v * c)

    easel.polygon([place(-0.7, 0), place(-1.35, -0.45), place(-1.15, 0), place(-1.35, 0.45)], second)
    easel.polygon([place(-0.3, -0.3), place(0.0, -0.75), place(0.4, -0.3)], second)
    easel.polygon([place(-0.2, 0.3), place(0.0, 0.65), place(0.3, 0.3)], second)
    easel.ellipse(x, y, s, 0.44 * s, first, turn=turn, form=0.4)
    for u in (-0.45, -0.1, 0.25):
        easel.stroke([place(u, -0.32), place(u + 0.1, 0), place(u, 0.32)], 0.13 * s, 0.13 * s, second)
    easel.ellipse(*place(0.65, -0.08), 0.12 * s, 0.12 * s, code(p.light), form=0)
    easel.ellipse(*place(0.68, -0.08), 0.06 * s, 0.06 * s, code(p.dark), form=0)


def bamboo(rng: Generator, n: int, p: Palette) -> Array:
    """Bamboo stems with joints and pointed leaves before an empty sky."""
    easel = _sky(rng, n, p)
    for near in np.sort(rng.uniform(0.1, 1, int(rng.integers(3, 7)))).tolist():
        x, lean, wide = uniform(rng, 0.05, 0.95), uniform(rng, -0.18, 0.18), 0.012 + 0.032 * near
        tone = mix(code(p.sky[1]), code(choose(rng, [p.land[2], p.dark])), 0.25 + 0.75 * near)
        joints = np.linspace(1.05, -0.05, int(rng.integers(5, 9)))
        for low, high in pairwise(joints):
            easel.stroke(
                [(x + lean * (1 - low), low - 0.006), (x + lean * (1 - high), high + 0.006)], wide, wide * 0.94, tone
            )
            if rng.random() < 0.75:
                _leaves(easel, rng, x + lean * (1 - high), float(high), 0.09 + 0.09 * near, tone)
    return easel.image


def _leaves(easel: Easel, rng: Generator, x: float, y: float, size: float, tone: Array) -> None:
    side = 1 if rng.random() < 0.5 else -1
    for _ in range(int(rng.integers(3, 6))):
        a, s = uniform(rng, -0.4, 0.9), size * uniform(rng, 0.6, 1.2)
        u, v = side * np.cos(a), np.sin(a)
        mid = (x + 0.45 * s * u, y + 0.45 * s * v)
        side_v, side_u = 0.11 * s * v, 0.11 * s * u
        blade = [
            (x, y),
            (mid[0] - side_v, mid[1] + side_u),
            (x + s * u, y + s * v),
            (mid[0] + side_v, mid[1] - side_u),
        ]
        easel.polygon(blade, tone * uniform(rng, 0.8, 1.1))


def blossom(rng: Generator, n: int, p: Palette) -> Array:
    """A flowering branch reaching across an empty sky."""
    easel = _sky(rng, n, p)
    side, y = (1 if rng.random() < 0.5 else -1), uniform(rng, 0.45, 0.85)
    tips: list[tuple[float, float]] = []
    foot = (0.5 - 0.53 * side, y)
    _branch(easel, rng, foot, (0.0 if side > 0 else np.pi) - side * 0.35, 0.3, 0.04, code(p.dark), tips)
    for x, y in tips:
        for _ in range(int(rng.integers(0, 3))):
            px, py = x + uniform(rng, -0.04, 0.04), y + uniform(rng, -0.04, 0.04)
            _flower(easel, rng, px, py, uniform(rng, 0.022, 0.04), code(p.accents[0]), code(p.accents[-1]))
    return easel.image


SUBJECTS: dict[str, Callable[[Generator, int, Palette], Array]] = {
    "hills": hills,
    "harbour": harbour,
    "bouquet": bouquet,
    "tree": tree,
    "peaks": peaks,
    "fishes": fishes,
    "bamboo": bamboo,
    "blossom": blossom,
}
