"""Things of the built-in photographs: ray-traced still lifes and city blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from pipeline.samples.canvas import (
    Array,
    choose,
    dot,
    f32,
    fractal,
    grid,
    lens_blur,
    linear,
    mix,
    sample,
    smoothstep,
    uniform,
)
from pipeline.samples.landscapes import light_of_day, sky

_FRUIT = {  # colour, second colour, proportions (wide, high), roughness of the skin
    "orange": ("#e8861c", "#d9731a", (1.0, 0.95), 0.05),
    "lemon": ("#ecc92f", "#d8b02a", (1.0, 0.78), 0.04),
    "apple": ("#b3261e", "#d9a441", (1.0, 0.92), 0.0),
    "green apple": ("#8fae3a", "#b9c65a", (1.0, 0.9), 0.0),
    "plum": ("#4a2440", "#6a3a5a", (0.72, 0.78), 0.01),
    "peach": ("#e8a060", "#c9503c", (0.95, 0.92), 0.01),
    "egg": ("#e4cdb2", "#d8b998", (0.72, 0.92), 0.01),
    "pumpkin": ("#c9691f", "#8a5a20", (1.4, 1.0), 0.02),
    "melon": ("#4f6b34", "#a9b06a", (1.3, 1.2), 0.01),
    "cherry": ("#7a1020", "#a81c28", (0.42, 0.42), 0.0),
    "lime": ("#6f9a2e", "#96b84a", (0.72, 0.66), 0.03),
    "pomegranate": ("#9c2a34", "#d08a5a", (1.08, 1.02), 0.01),
}


@dataclass(frozen=True)
class _Body:
    """An ellipsoid standing on the table: centre, half axes, skin."""

    centre: Array
    axes: Array
    colour: Array
    second: Array
    rough: float
    gloss: float
    ribs: bool
    stalk: bool


def _bodies(rng: Generator) -> list[_Body]:
    """Return two to seven bodies that do not stand inside one another, largest first."""
    bodies: list[_Body] = []
    wanted = int(rng.integers(3, 8))
    names = [choose(rng, list(_FRUIT)) for _ in range(wanted)]
    if rng.random() < 0.4:  # a bowlful of one kind reads as a subject, too
        names = [names[0]] * wanted
    for name in sorted(names, key=lambda key: -_FRUIT[key][2][1]):
        colour, second, (wide, high), rough = _FRUIT[name]
        size = uniform(rng, 0.4, 0.52)
        axes = f32([wide * size, high * size, wide * size])
        for _ in range(30):
            spot = f32([uniform(rng, -1.5, 1.5), axes[1], uniform(rng, -0.7, 1.0)])
            if all(np.hypot(*(spot - b.centre)[[0, 2]]) > 0.97 * (axes[0] + b.axes[0]) for b in bodies):
                tint = f32(np.clip(rng.normal(1, 0.08, 3), 0.7, 1.3))
                bodies.append(
                    _Body(
                        spot,
                        axes,
                        linear(colour) * tint,
                        linear(second),
                        rough,
                        uniform(rng, 0.2, 1),
                        name == "pumpkin",
                        name not in ("egg", "lemon", "lime"),
                    )
                )
                break
    return bodies


def _reach(origin: Array, ray: Array, body: _Body) -> tuple[Array, Array]:
    """Return how far along unit rays (..., 3) a body is met (infinite when missed), and the miss margin."""
    o, d = (origin - body.centre) / body.axes, ray / body.axes
    a, b, c = dot(d, d), dot(o, d), dot(o, o) - 1
    inside = b * b - a * c
    near = (-b - np.sqrt(np.maximum(inside, 0))) / a
    hit = np.where((inside > 0) & (near > 1e-3), near, np.inf)
    return f32(hit), f32(inside / a)


def still_life(rng: Generator, n: int) -> Array:
    """Return fruit and vessels on a table (n, n, 3), ray-traced with soft shadows, by a window's light."""
    bodies = _bodies(rng)
    y, x = grid(n)
    tilt = uniform(rng, 0.16, 0.34)
    eye = f32([0, 0.75 + 4.2 * tilt, -4.2])
    aim = f32([uniform(rng, -0.2, 0.2), uniform(rng, 0.4, 0.65), 0.2])
    forward = (aim - eye) / np.linalg.norm(aim - eye)
    right = f32(np.cross(f32([0, 1, 0]), forward))
    right /= np.linalg.norm(right)
    up = np.cross(forward, right)
    zoom = uniform(rng, 0.7, 0.92)
    ray = f32(forward + (zoom * (x - 0.5))[..., None] * right - (zoom * (y - 0.5))[..., None] * up)
    ray /= np.sqrt(dot(ray, ray))[..., None]
    sun = f32([uniform(rng, 0.5, 1.1) * (1 if rng.random() < 0.5 else -1), uniform(rng, 0.7, 1.2), -0.45])
    sun /= np.linalg.norm(sun)
    warm = linear(choose(rng, ["#fff0d8", "#ffe2b8", "#f2f5ff"]))

    table = f32(np.where(ray[..., 1] < -1e-3, -eye[1] / np.minimum(ray[..., 1], -1e-3), np.inf))
    back = f32((2.6 - eye[2]) / np.maximum(ray[..., 2], 1e-3))
    ground = table < back
    distance = np.minimum(table, back)
    which = np.full((n, n), -1, np.int8)
    for k, body in enumerate(bodies):
        hit, _ = _reach(eye, ray, body)
        which[hit < distance] = k
        distance = np.minimum(distance, hit)
    point = f32(eye + ray * distance[..., None])

    normal = np.where(ground[..., None], f32([0, 1, 0]), f32([0, 0, -1])).astype(np.float32)
    colour = _room(rng, n, point, ground)
    gloss = np.where(ground, 0.15, 0.0).astype(np.float32)
    skin, spots = fractal(rng, n, cells=40, octaves=3, gain=0.8), fractal(rng, n, cells=5, octaves=5, gain=0.6)
    for k, body in enumerate(bodies):
        mine = which == k
        if not mine.any():
            continue
        local = (point[mine] - body.centre) / body.axes
        bent = local / body.axes
        bent = bent / np.linalg.norm(bent, axis=-1, keepdims=True)
        around = np.arctan2(local[:, 0], -local[:, 2]) / 6.2832
        bump = sample(skin, local[:, 1] * 0.5 + 0.5, around * 2)
        normal[mine] = bent + body.rough * bump[:, None] * f32([1, 0.6, -0.5])
        blush = smoothstep(-0.7, 1.6, sample(spots, local[:, 1] * 0.3 + 0.5, around + 0.13 * k) + 1.1 * local[:, 1])
        hue = body.colour + (body.second - body.colour) * 0.75 * blush[:, None]
        colour[mine] = hue * (1 + 0.05 * bump[:, None])
        if body.ribs:
            groove = np.cos(around * 6.2832 * 9)
            normal[mine] += (0.22 * np.sin(around * 6.2832 * 9))[:, None] * f32([1, 0, 0.3])
            colour[mine] *= (0.82 + 0.18 * groove)[:, None]
        if body.stalk:  # a dimple with the rest of a stalk, leaning a little to the viewer
            pole = smoothstep(0.955, 0.992, local @ f32([0.1, 0.93, -0.34]))[:, None]
            colour[mine] = colour[mine] * (1 - pole) + linear("#3a2a18") * pole
        gloss[mine] = body.gloss
    shadow, open_ = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    bounce = np.zeros((n, n, 3), np.float32)
    start = f32(point + normal * 0.01)
    for k, body in enumerate(bodies):
        other = which != k
        hit, margin = _reach(start, sun, body)
        offset = body.centre - point
        ahead = (offset @ sun) > 0
        soft = smoothstep(-0.22, 0.12, margin * body.axes.mean() ** 2)
        shadow *= 1 - np.where(other & ahead, soft, 0)
        far = np.sqrt(dot(offset, offset)) + 1e-3
        facing = np.clip(dot(normal, offset) / far, 0, 1) * np.clip((body.axes.mean() / far) ** 2, 0, 1)
        open_ *= 1 - np.where(other, 0.85 * facing, 0)
        bounce += np.where(other, facing, 0)[..., None] * body.colour * 0.2
    lit = np.clip(normal @ sun, 0, 1) * shadow
    half = sun - ray
    half /= np.sqrt(dot(half, half))[..., None]
    shine = np.clip(dot(normal, half), 0, 1)
    grazing = (1 - np.clip(-dot(normal, ray), 0, 1)) ** 4
    high = gloss * (0.7 * shine**90 + 0.12 * shine**12) * shadow + 0.12 * gloss * grazing
    sky_ = (0.35 + 0.25 * normal[..., 1]) * open_
    image = (
        colour * (lit[..., None] * warm * 1.15 + sky_[..., None] * f32([0.42, 0.48, 0.6]))
        + bounce * (open_**2 * 0.5)[..., None]
    )
    image += high[..., None] * warm
    soft = lens_blur(image, uniform(rng, 0.006, 0.02))
    return mix(image, soft, smoothstep(5.4, 6.8, distance))


def _room(rng: Generator, n: int, point: Array, ground: np.ndarray) -> Array:
    """Return the colour of table and wall at every point: boards, linen or stone before a plain wall."""
    cloth = choose(rng, ["boards", "linen", "stone", "checks"])
    wall = linear(choose(rng, ["#5c5a52", "#7f8a86", "#2e2a2a", "#8c7a64", "#3d4a5a", "#b9b2a4", "#6e3f34"]))
    u, v = point[..., 0], point[..., 2]
    coarse, fine = fractal(rng, n, cells=4, octaves=7, gain=0.6), fractal(rng, n, cells=30, octaves=4, gain=0.8)
    if cloth == "boards":
        base = linear(choose(rng, ["#8a5a34", "#6b442a", "#a9794a", "#4d3426"]))
        board = np.floor(v * 1.6 + 40)
        streak = sample(fine, v * 0.9 + board * 0.37, u * 0.035 + board * 0.21)
        tone = 1 + 0.16 * streak + 0.1 * np.sin(board * 12.9)
        seam = smoothstep(0.0, 0.03, np.abs(v * 1.6 + 40 - board - 0.5) * -1 + 0.5)
        top = base * (tone * (0.45 + 0.55 * seam))[..., None]
    elif cloth == "checks":
        a, b = linear("#e6e0d2"), linear(choose(rng, ["#a8433a", "#4a6a94", "#5f7f58"]))
        stripe = 0.5 * smoothstep(-0.05, 0.05, np.sin(u * 9)) + 0.5 * smoothstep(-0.05, 0.05, np.sin(v * 9))
        top = mix(a, b, stripe) * (1 + 0.05 * sample(fine, v * 0.7, u * 0.7))[..., None]
    else:
        base = linear(choose(rng, ["#cfc7b4", "#b8b0a2", "#8b8f94", "#3f4346"]))
        grain = sample(coarse, v * 0.2, u * 0.2) * (0.05 if cloth == "linen" else 0.16)
        top = base * (1 + grain + 0.07 * sample(fine, v * 0.8, u * 0.8))[..., None]
    shade = 1 + 0.1 * sample(coarse, point[..., 1] * 0.12, u * 0.12) + 0.16 * u * (0.2 if cloth == "linen" else -0.2)
    return f32(np.where(ground[..., None], top, wall * np.clip(shade, 0.3, 2)[..., None]))


def _slabs(box: tuple[Array, Array], start: list[Any], inverse: list[Any]) -> tuple[Array, Array]:
    """Return where rays enter and leave a box; a ray misses it when it leaves before it enters.

    Args:
        box: its low and its high corner (3,).
        start: x, y, z of where the rays start, each a number or a map.
        inverse: 1 over x, y, z of their directions, likewise. Planes by axis, which numpy handles many
            times faster than a last axis of three.
    """
    near, far = f32(-np.inf), f32(np.inf)
    for axis in range(3):
        a, b = (box[0][axis] - start[axis]) * inverse[axis], (box[1][axis] - start[axis]) * inverse[axis]
        near, far = np.maximum(near, np.minimum(a, b)), np.minimum(far, np.maximum(a, b))
    return near, far


def city(rng: Generator, n: int) -> Array:
    """Return city blocks (n, n, 3) seen from above a street: ray-traced boxes, windows, cast shadows."""
    light = light_of_day(rng)
    y, x = grid(n)
    pitch, eye_y = uniform(rng, -0.16, 0.3), uniform(rng, 1.2, 4.2)
    eye = f32([uniform(rng, -0.4, 0.4), eye_y, -7.0])
    turn = uniform(rng, -0.5, 0.5)
    px, py = (x - 0.5) * 1.1 + 0 * y, (0.5 - y) * 1.1 - pitch + 0 * x
    ray = f32(np.stack([px * np.cos(turn) + np.sin(turn), py, np.cos(turn) - px * np.sin(turn)], axis=-1))
    ray = np.where(np.abs(ray) < 1e-4, 1e-4, ray).astype(np.float32)
    sun = f32([uniform(rng, 0.5, 1.2) * (1 if rng.random() < 0.5 else -1), 0.35 + light.elevation, -0.6])
    sun /= np.linalg.norm(sun)
    boxes: list[tuple[Array, Array]] = []
    tints: list[Array] = []
    tall = uniform(rng, 0.7, 2.0)
    for row in range(6):
        for column in range(-3, 4):
            if rng.random() < 0.12:
                continue
            cx, cz = column * 2.3 + uniform(rng, -0.1, 0.1) + 1.15, row * 2.4 - 2.4
            hx, hz = uniform(rng, 0.6, 0.86), uniform(rng, 0.6, 0.86)
            top = tall * float(rng.gamma(3.0, 0.45)) + 0.5
            boxes.append((f32([cx - hx, 0, cz - hz]), f32([cx + hx, top, cz + hz])))
            tints.append(
                linear(choose(rng, ["#b9a58c", "#8f8a84", "#a86f54", "#d0c4ae", "#6f7c88", "#c2b8b0", "#8c5c4a"]))
            )
    distance = f32(-eye[1] / np.minimum(ray[..., 1], -1e-4))
    distance = np.where(ray[..., 1] < 0, np.minimum(distance, 200), np.inf).astype(np.float32)
    which = np.where(np.isfinite(distance), -1, -2).astype(np.int16)
    inverse = [f32(1 / ray[..., axis]) for axis in range(3)]
    for k, box in enumerate(boxes):
        near, far = _slabs(box, [eye[axis] for axis in range(3)], inverse)
        met = (near < far) & (near > 0) & (near < distance)
        distance[met], which[met] = near[met], k
    ground = np.isfinite(distance)
    point = f32(eye + ray * np.where(ground, distance, 1)[..., None])
    hit = np.where(which >= 0, which, 0)
    lows, highs = f32([b[0] for b in boxes])[hit], f32([b[1] for b in boxes])[hit]
    roof = (which >= 0) & (point[..., 1] > highs[..., 1] - 2e-3)
    side_x = np.minimum(np.abs(point[..., 0] - lows[..., 0]), np.abs(point[..., 0] - highs[..., 0])) < 2e-3
    facing = np.where(side_x, -np.sign(ray[..., 0]) * sun[0], -np.sign(ray[..., 2]) * sun[2])
    facing = np.where((which == -1) | roof, sun[1], facing)
    shadow = np.ones((n, n), np.float32)
    start, back = [np.ascontiguousarray(point[..., axis]) for axis in range(3)], [1 / sun[axis] for axis in range(3)]
    for box in boxes:
        near, far = _slabs(box, start, back)
        shadow[(near < far) & (far > 6e-3)] = 0

    tint = f32(tints)[hit]
    along = np.where(side_x, point[..., 2], point[..., 0])
    floor_size, bay = 0.24 + 0.05 * np.sin(hit * 3.7), 0.2 + 0.06 * np.sin(hit * 7.1)
    v, u = point[..., 1] / floor_size, along / bay
    pane = (np.abs(v % 1 - 0.5) < 0.3) & (np.abs(u % 1 - 0.5) < 0.3 + 0.1 * np.sin(hit * 2.3))
    pane &= (point[..., 1] < highs[..., 1] - 0.12) & ~roof & (which >= 0)
    cell = np.sin(np.floor(v) * 12.9898 + np.floor(u) * 78.233 + hit * 37.7) * 43758.5453
    cell = cell - np.floor(cell)
    dark = light.elevation < 0.3
    grime = fractal(rng, n, cells=8, octaves=6, gain=0.7)
    glass = light.zenith * 0.35 + cell[..., None] * light.horizon * 0.5
    glow = linear("#ffc878") * np.where(cell > 0.55, 0.5 + cell, 0.0)[..., None] * (1.0 if dark else 0.0)
    road = linear("#55565a") * (1 + 0.08 * grime)[..., None]
    lane = (np.abs((point[..., 0] % 2.3) - 0.0) < 0.03) & (point[..., 2] % 0.6 < 0.3)
    road = np.where(lane[..., None], linear("#d8d4c8"), road)
    wall = tint * (1 + 0.08 * grime - 0.12 * (v % 1 > 0.93))[..., None]
    colour = np.where(roof[..., None], tint * 0.6 + 0.08, wall)
    colour = np.where((which == -1)[..., None], road, colour)
    lit = np.clip(facing, 0, 1) * shadow
    occluded = 0.45 + 0.55 * smoothstep(0.0, 1.1, point[..., 1])
    occluded = np.where(roof, 1.0, occluded)[..., None]
    image = colour * (lit[..., None] * light.sun * 0.85 + light.ambient * 2.2 * occluded)
    image = np.where(pane[..., None], glass * (0.5 + 0.5 * lit[..., None]) + glow, image)
    haze = 1 - np.exp(-((np.where(ground, distance, 0) / uniform(rng, 14, 34)) ** 1.5))
    horizon = 0.5 - pitch / 1.1
    above = sky(rng, n, float(np.clip(horizon, 0.05, 0.95)), light)
    return mix(above, mix(f32(image), f32(light.horizon * 0.85), f32(haze)), f32(ground))
