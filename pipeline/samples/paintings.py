"""The three hands of the built-in artworks: thick oil, mosaic, ink and wash.

Each paints subjects of its own choice in its own palettes; what they share is the grain of the picture, the
direction in which forms run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy import ndimage, spatial

from pipeline.samples.canvas import (
    Array,
    blur,
    f32,
    fractal,
    grid,
    luminance,
    mix,
    sample,
    shrink,
    smoothstep,
    to_image,
    uniform,
)
from pipeline.samples.easel import Palette
from pipeline.samples.subjects import SUBJECTS

_OIL = (
    Palette(("#1f3f8f", "#5f93c8"), "#f6d24a", ("#4f7f9a", "#c9a83a", "#2f6a4a"), ("#2a63a0", "#173a78"),
            ("#e8a71c", "#d9622a", "#f0d060", "#7fa03a", "#b8322a"), "#1a2438", "#f2ead0"),
    Palette(("#e0a23c", "#f4d98a"), "#fff0a8", ("#7a8fb0", "#d98a2c", "#5a7a34"), ("#3f86a0", "#1f4f7a"),
            ("#c8401f", "#f0b428", "#2f5fa0", "#e8762c", "#8f2f3f"), "#2a2030", "#f7efcf"),
    Palette(("#2f8f9a", "#a8d4b8"), "#f9e27a", ("#5a6fae", "#7fb04a", "#2a5f5a"), ("#3aa0a8", "#1a5a80"),
            ("#e0502a", "#f2c230", "#3a4fa8", "#f08a3a", "#d8d04a"), "#14303a", "#fbf3d4"),
)  # fmt: skip
_TESSERAE = (
    Palette(("#c99a2e", "#e6c45a"), "#f8eec2", ("#8a9a6a", "#5f7a4a", "#3f5a3a"), ("#2f8a9a", "#155a7a"),
            ("#b03a26", "#d98a2a", "#1f5a8a", "#e8dcb8", "#6a2f3a"), "#2a2226", "#f2e8cf"),
    Palette(("#1f5f8a", "#58a8b8"), "#e8bc3e", ("#7fa890", "#4f8a6a", "#2a5f50"), ("#3aa3a8", "#17608a"),
            ("#d8a02a", "#c04a2a", "#f0e4c4", "#8a2f2f", "#e0b85a"), "#1f2630", "#f4ecd6"),
    Palette(("#e9ddc0", "#f3ead2"), "#d98a2a", ("#b8a880", "#8a9a6a", "#5f6f4a"), ("#6fb0b0", "#2f7f90"),
            ("#a83a2a", "#1f5f7a", "#d9a02a", "#5a3040", "#c8642a"), "#2f2624", "#ffffff"),
)  # fmt: skip
_INKS = (
    Palette(("#e8e4da", "#f6f2e8"), "#ffffff", ("#a8a8a4", "#6f7070", "#2f3234"), ("#e4e2da", "#bdbebc"),
            ("#c8402c", "#8a8a88", "#5a5c5e"), "#151618", "#fbf8ee"),
    Palette(("#dcdcd8", "#f4f1e8"), "#ffffff", ("#b4b6b6", "#7d8284", "#3a4044"), ("#dcdcd8", "#a4a8aa"),
            ("#c24a30", "#6a6e70", "#9a9a98"), "#101214", "#fcf8ee"),
)  # fmt: skip
_SIGNS = (  # strokes x, y, x, y of the seal's four characters, in a square of 64
    (14, 10, 14, 28), (8, 16, 26, 16), (22, 10, 22, 28), (40, 10, 54, 10), (47, 10, 47, 28), (38, 27, 56, 27),
    (10, 38, 28, 38), (18, 38, 10, 54), (18, 44, 28, 54), (40, 38, 54, 38), (40, 38, 40, 54), (54, 38, 54, 54),
    (40, 46, 54, 46), (40, 54, 54, 54),
)  # fmt: skip


def _subject(rng: Generator, n: int, index: int, names: tuple[str, ...], palettes: tuple[Palette, ...]) -> Array:
    """Return the picture to paint: subjects in turn, so that a small collection has them all."""
    palette = palettes[int(rng.integers(len(palettes)))]
    return f32(np.clip(SUBJECTS[names[index % len(names)]](rng, n, palette), 0, 1))


def grain(rng: Generator, image: Array, *, scale: float, wander: float) -> Array:
    """Return the direction (n, n) in radians along which forms run, mod pi.

    The structure tensor gives it where there are edges, carried into flat areas by the blur of `scale`;
    where it says nothing, a slowly turning field of strength `wander` does.
    """
    n = image.shape[0]
    gradients = [np.gradient(blur(f32(image[..., c]), 0.006)) for c in range(3)]
    xx, yy, xy = (sum(g[a] * g[b] for g in gradients) for a, b in ((1, 1), (0, 0), (0, 1)))
    swirl = fractal(rng, n, cells=2, octaves=2) * 2.2
    strength = wander * float(np.mean(xx + yy))
    even = blur(f32(xx - yy), scale) - strength * np.cos(swirl)
    odd = blur(f32(2 * xy), scale) - strength * np.sin(swirl)
    return f32(0.5 * np.arctan2(odd, even) + np.pi / 2)


def impasto(rng: Generator, n: int, index: int) -> Image.Image:
    """Return an oil painting of side n: loaded strokes along the forms, lit as relief."""
    work = 2 * n
    subject = _subject(rng, work, index, ("hills", "harbour", "bouquet", "tree", "peaks"), _OIL)
    flow = grain(rng, subject, scale=0.025, wander=0.35)
    canvas = f32(blur(subject, 0.02) * 0.75)
    relief = 0.15 * fractal(rng, work, cells=90, octaves=1)
    bristles = fractal(rng, work, cells=60, octaves=4, gain=0.9, stretch=14)
    detail = smoothstep(0.3, 1.4, f32(np.hypot(*np.gradient(luminance(blur(subject, 0.004)))) * work / 6))
    detail = ndimage.maximum_filter(detail, max(1, work // 50))
    for half, everywhere in ((0.024, True), (0.015, True), (0.0085, False)):
        canvas, relief = _coat(rng, subject, canvas, relief, flow, bristles, detail, half, everywhere)
    slope_y, slope_x = np.gradient(relief)
    tilt = -(slope_x + 1.2 * slope_y) * (work / 512) ** 0.5
    lit = canvas * (1 + 0.5 * np.clip(tilt, -0.7, 0.9))[..., None]
    gleam = np.clip(tilt - 0.35, 0, 0.6)
    return to_image(shrink(f32(lit + 0.28 * gleam[..., None]), 2))


def _coat(rng: Generator, subject: Array, canvas: Array, relief: Array, flow: Array, bristles: Array, detail: Array,
          half: float, everywhere: bool) -> tuple[Array, Array]:  # fmt: skip
    """Return canvas and relief after one coat of strokes of half-width `half`.

    Strokes are drawn by number into a map; everything else (where on its stroke a pixel lies, how the
    bristles run there) is then computed for all pixels at once.
    """
    n = canvas.shape[0]
    spacing = half * 1.25
    steps = np.arange(spacing / 2, 1, spacing)
    places = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    places = np.clip(places + rng.uniform(-0.6, 0.6, places.shape) * spacing, 0, 0.999)
    places = places[rng.permutation(len(places))]
    luck = rng.random(len(places))
    pixel = (places * n).astype(int)
    if not everywhere:
        kept = luck < 0.12 + detail[pixel[:, 0], pixel[:, 1]]
        places, pixel = places[kept], pixel[kept]
    count = len(places)
    angle = flow[pixel[:, 0], pixel[:, 1]] + rng.normal(0, 0.12, count)
    ahead = places + 1.5 * half * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    later = (np.clip(ahead, 0, 0.999) * n).astype(int)
    bend = (flow[later[:, 0], later[:, 1]] - angle + np.pi / 2) % np.pi - np.pi / 2
    curve = np.clip(bend, -0.5, 0.5) / (1.5 * half) * 0.7
    long, wide = half * rng.uniform(2.2, 4.2, count), half * rng.uniform(0.75, 1.15, count)
    colour = subject[pixel[:, 0], pixel[:, 1]] * rng.normal(1, 0.07, (count, 1)) + rng.normal(0, 0.03, (count, 3))
    hot = rng.random(count) < 0.07  # broken colour: now and then the neighbour's paint is on the brush
    colour[hot] = 0.5 * colour[hot] + 0.5 * np.roll(colour, 7, axis=0)[hot]

    u = np.linspace(-1, 1, 7)[None, :] * long[:, None]
    v = 0.5 * curve[:, None] * u**2
    ring_u, ring_v = (
        np.concatenate([u, u[:, ::-1]], 1),
        np.concatenate([v - wide[:, None], v[:, ::-1] + wide[:, None]], 1),
    )
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    ring_x, ring_y = places[:, 1:] + ring_u * c - ring_v * s, places[:, :1] + ring_u * s + ring_v * c
    sheet = Image.new("I", (n, n), 0)
    pen = ImageDraw.Draw(sheet)
    outline = (np.stack([ring_x, ring_y], axis=-1) * n).reshape(count, -1)
    for number, ring in enumerate(outline.tolist(), start=1):
        pen.polygon(ring, fill=number)
    owner = np.asarray(sheet)
    drawn, k = owner > 0, np.maximum(owner - 1, 0)

    y, x = grid(n)
    dx, dy = x - f32(places[:, 1])[k], y - f32(places[:, 0])[k]
    cos, sin = f32(np.cos(angle))[k], f32(np.sin(angle))[k]
    along = (dx * cos + dy * sin) / f32(long)[k]
    across = (dy * cos - dx * sin - 0.5 * f32(curve)[k] * (along * f32(long)[k]) ** 2) / f32(wide)[k]
    phase = f32(rng.random(count))[k]
    hair = sample(bristles, 0.5 * across * f32(wide)[k] * 6 + phase * 7, 0.6 * along * f32(long)[k] + phase * 3)
    edge = np.minimum(1.04 - np.abs(across), (1.03 - np.abs(along)) * 2.4)
    cover = smoothstep(0.0, 0.22, f32(edge + 0.10 * hair)) * drawn
    paint = f32(colour)[k] * (1 + 0.075 * hair)[..., None]
    rim = np.exp(-(((np.abs(across) - 0.86) / 0.12) ** 2)) + 0.7 * np.exp(-(((along - 0.85) / 0.12) ** 2))
    body = 130 * half + 0.75 * hair * (0.5 + 12 * half) + 110 * half * rim
    return mix(canvas, f32(np.clip(paint, 0, 1)), cover), f32(relief + (0.35 * relief * -1 + body) * cover)


def mosaic(rng: Generator, n: int, index: int) -> Image.Image:
    """Return a mosaic of side n: tesserae of stone and gold in rows along the contours, set in grout."""
    work = 2 * n
    subject = _subject(rng, work, index, ("fishes", "hills", "bouquet", "harbour", "tree"), _TESSERAE)
    flow = grain(rng, subject, scale=0.02, wander=0.02)
    size = uniform(rng, 0.0225, 0.026)
    places = _settle(rng, flow, size)
    owner, gap, local_u, local_v = _tiles(places, flow, size, work)
    pixel = (np.clip(places, 0, 0.999) * work).astype(int)
    smooth = blur(subject, 0.004)
    colour = smooth[pixel[:, 0], pixel[:, 1]] * 1.08
    colour = (np.round(colour * 11) / 11) * rng.normal(1, 0.1, (len(places), 1)) + rng.normal(
        0, 0.02, (len(places), 3)
    )
    tilt = rng.normal(0, 0.14, (len(places), 2))
    gold = (colour[:, 0] > 0.6) & (colour[:, 2] < 0.45) & (rng.random(len(places)) < 0.5)
    colour[gold] = colour[gold] * 0.75 + f32([0.28, 0.22, 0.06])
    stone = fractal(rng, work, cells=50, octaves=4, gain=0.8)
    gleam = f32(1 - 0.5 * (tilt[:, 0] + tilt[:, 1]))[owner] + 0.05 * stone
    gleam = gleam - (local_u * f32(tilt[:, 0])[owner] + local_v * f32(tilt[:, 1])[owner]) * 1.2
    shine = np.clip(gleam - 1.12, 0, 1) * np.where(gold, 2.2, 0.7).astype(np.float32)[owner]
    tile = f32(colour)[owner] * gleam[..., None] + shine[..., None]
    lip = smoothstep(0.0, 0.16, gap - 0.14)
    facing = (-local_u - local_v) * (1 - lip)
    tile = tile * (0.8 + 0.2 * lip + 0.28 * facing)[..., None]
    sand = fractal(rng, work, cells=110, octaves=3, gain=0.9)
    grout = f32([0.47, 0.43, 0.37]) * (0.66 + 0.09 * sand)[..., None]
    return to_image(
        shrink(mix(grout, f32(np.clip(tile, 0, 1.1)), smoothstep(0.07, 0.17, f32(gap + 0.012 * stone))), 2)
    )


def _settle(rng: Generator, flow: Array, size: float) -> Array:
    """Return tile centres (m, 2): y, x, evened out by Lloyd's iteration under each tile's own square."""
    steps = np.arange(size / 2, 1, size)
    places = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    places = f32(places + rng.uniform(-0.35, 0.35, places.shape) * size)
    coarse = 144
    y, x = grid(coarse)
    for _ in range(5):
        owner = _tiles(places, flow, size, coarse)[0].ravel()
        share = np.maximum(np.bincount(owner, minlength=len(places)), 1)
        rows = np.bincount(owner, weights=(y + 0 * x).ravel(), minlength=len(places)) / share
        columns = np.bincount(owner, weights=(x + 0 * y).ravel(), minlength=len(places)) / share
        fresh = f32(np.stack([rows, columns], axis=1))
        places = np.where(np.bincount(owner, minlength=len(places))[:, None] > 0, fresh, places)
    return places


def _tiles(places: Array, flow: Array, size: float, n: int) -> tuple[np.ndarray, Array, Array, Array]:
    """Return, per pixel (n, n): its tile, how far inside it lies (0 on the joint), and u, v within it in [-1, 1].

    Each tile is a square turned along the flow; a pixel belongs to the one whose square it is deepest in.
    """
    y, x = grid(n)
    points = np.stack(np.broadcast_arrays(y, x), axis=-1).reshape(-1, 2)
    _, near = spatial.cKDTree(places).query(points, k=4)
    pixel = (np.clip(places, 0, 0.999) * flow.shape[0]).astype(int)
    angle = flow[pixel[:, 0], pixel[:, 1]]
    cos, sin = np.cos(angle), np.sin(angle)
    parts = []
    for rank in range(4):
        k = near[:, rank]
        dy, dx = points[:, 0] - places[k, 0], points[:, 1] - places[k, 1]
        parts.append(np.stack([dx * cos[k] + dy * sin[k], dy * cos[k] - dx * sin[k]]))
    local = f32(np.stack(parts, axis=1)) / (size / 2)  # (2, 4, pixels)
    square = (np.abs(local) ** 4).sum(0) ** 0.25
    order = np.argsort(square, axis=0)
    best = order[:1]
    first, second = (np.take_along_axis(square, order[r : r + 1], 0)[0] for r in (0, 1))
    owner = np.take_along_axis(near.T, best, 0)[0].reshape(n, n)
    u, v = (np.take_along_axis(local[axis], best, 0)[0].reshape(n, n) for axis in (0, 1))
    return owner, ((second - first) * 0.5).reshape(n, n), np.clip(u, -1, 1), np.clip(v, -1, 1)


def ink(rng: Generator, n: int, index: int) -> Image.Image:
    """Return a drawing of side n: brush line, two or three flat washes, hatching, much bare paper, a seal."""
    work = 2 * n
    subject = _subject(rng, work, index, ("peaks", "bamboo", "harbour", "blossom", "tree"), _INKS)
    wobble = 0.004 * np.stack([fractal(rng, work, cells=12, octaves=4) for _ in range(2)])
    y, x = grid(work)
    moved = np.stack([sample(f32(subject[..., c]), y + wobble[0], x + wobble[1]) for c in range(3)], axis=-1)
    tone = luminance(moved)
    fibre = fractal(rng, work, cells=40, octaves=5, gain=0.85)
    pools = fractal(rng, work, cells=6, octaves=5, gain=0.6)
    soft = blur(tone, 0.006) + 0.022 * pools
    wash = np.zeros_like(tone)
    for level, strength in ((0.80, 0.16), (0.58, 0.24), (0.33, 0.42)):
        stain = smoothstep(level + 0.025, level - 0.025, soft)
        rim = np.clip(stain - blur(stain, 0.006), 0, 1)  # pigment gathers where a wash dries
        wash += strength * stain * (1 + 0.10 * pools) + 0.22 * rim
    wash *= 1 + 0.10 * fibre
    thin, thick = blur(tone, 0.0022), blur(tone, 0.0052)
    dry = 0.5 + 0.5 * smoothstep(-1.4, 0.2, fibre + 0.8 * pools)
    line = smoothstep(0.012, 0.05, thick - thin + 0.004 * pools) * dry
    lean = (x * 0.8 + y * 0.6 + 0.012 * pools) * 95
    hatch = (
        smoothstep(0.35, 0.75, np.sin(2 * np.pi * lean) + 0.15 * fibre)
        * smoothstep(0.52, 0.44, soft)
        * smoothstep(0.2, 0.3, soft)
    )
    density = np.clip(wash + 0.85 * line + 0.34 * hatch, 0, 1.35)
    paper = f32([0.945, 0.905, 0.825]) * (1 + 0.014 * fibre + 0.012 * pools)[..., None]
    pigment = f32([0.83, 0.80, 0.72])  # what the ink takes away: it dries a little blue
    sheet = (
        paper * (1 - 0.9 * np.clip(density, 0, 1))[..., None]
        + (1 - pigment) * 0.3 * np.clip(density, 0, 1)[..., None]
    )
    red = smoothstep(0.12, 0.4, f32(blur(moved, 0.003)[..., 0] - blur(moved, 0.003)[..., 2]))
    sheet = mix(sheet, f32([0.76, 0.24, 0.17]) * (1 + 0.08 * fibre)[..., None], red * (0.72 + 0.08 * pools))
    return to_image(shrink(_seal(rng, f32(sheet), fibre), 2))


def _seal(rng: Generator, sheet: Array, fibre: Array) -> Array:
    """Return the sheet with the artist's seal, the same four signs each time, in a lower corner."""
    n = sheet.shape[0]
    stamp = Image.new("L", (64, 64), 0)
    pen = ImageDraw.Draw(stamp)
    pen.rounded_rectangle((2, 2, 61, 61), 6, fill=255)
    for sign in _SIGNS:
        pen.line(sign, fill=0, width=4)
    side = max(8, int(0.062 * n))
    mark = f32(np.asarray(stamp.resize((side, side), Image.Resampling.LANCZOS))) / 255
    top = int(n * 0.955) - side
    left = int(n * 0.045) if rng.random() < 0.5 else int(n * 0.955) - side
    patch = sheet[top : top + side, left : left + side]
    worn = smoothstep(-2.4, -0.6, fibre[top : top + side, left : left + side])
    patch[:] = mix(patch, f32([0.72, 0.17, 0.13]), f32(mark * worn * 0.92))
    return sheet


HANDS: dict[str, Callable[[Generator, int, int], Image.Image]] = {"impasto": impasto, "mosaic": mosaic, "ink": ink}
