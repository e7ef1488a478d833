"""Plants of the built-in photographs: woods, flowers close up, meadows."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from pipeline.samples.canvas import (
    Array,
    blur,
    choose,
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
from pipeline.samples.landscapes import Light, light_of_day, sky


def forest(rng: Generator, n: int) -> Array:
    """Return a wood (n, n, 3): trunks receding into lit fog over a floor of leaves."""
    light = light_of_day(rng)
    y, x = grid(n)
    season = choose(rng, ["#7f9a3c", "#5d7d3a", "#c98a2e", "#a8562a", "#93a86a"])
    leaf, fog = linear(season), mix(light.horizon, linear("#e9ead8"), 0.4)
    canopy = fractal(rng, n, cells=5, octaves=7, gain=0.75)
    image = mix(fog * 1.1, leaf * 1.1, smoothstep(-0.6, 1.6, canopy + 1.0 - 2.4 * y) * 0.75)
    floor_y = uniform(rng, 0.6, 0.72)
    warm = bool(rng.random() < 0.5)
    ground = mix(linear("#6b5836") if warm else linear("#3d4a22"), leaf, 0.4)
    near = 0.1 / np.clip(y - floor_y + 0.03, 0.01, 1)
    litter = fractal(rng, n, cells=16, octaves=6, gain=0.85)
    carpet = sample(litter, near * 1.5, (x - 0.5) * near + 0.5)
    dapple = smoothstep(0.2, 1.4, sample(canopy, near * 0.4, (x - 0.5) * near * 0.5 + 0.5))
    floor = (
        ground
        * np.clip(0.55 + 0.28 * carpet, 0.1, 2)[..., None]
        * (light.ambient * 1.8 + dapple[..., None] * light.sun * 0.8)
    )
    image = mix(
        image,
        mix(floor, fog, smoothstep(0.2, 0.0, y - floor_y + 0 * x) * 0.85),
        smoothstep(0, 0.03, y - floor_y + 0 * x),
    )
    bark_noise = fractal(rng, n, cells=14, octaves=5, gain=0.7, stretch=0.25)
    birch = bool(rng.random() < 0.4)
    bark = linear("#d8d4c8") if birch else linear(choose(rng, ["#4a3b2e", "#5c4a3c", "#3a3430"]))
    bend = fractal(rng, n, cells=3, octaves=3)
    side = 1.0 if rng.random() < 0.5 else -1.0
    for layer in range(6):
        near_share = layer / 5
        for _ in range(int(rng.integers(5, 9)) if layer < 4 else int(rng.integers(1, 4))):
            centre, lean = uniform(rng, -0.05, 1.05), uniform(rng, -0.06, 0.06)
            width = (0.006 + 0.028 * near_share**1.7) * uniform(rng, 0.7, 1.3)
            foot = floor_y + 0.02 + 0.3 * near_share**1.5
            image = _trunk(image, (centre, lean, width, foot), bark, bark_noise, bend, birch, light, side)
        veil = 0.3 * (1 - near_share)
        image = mix(image, fog, f32(veil * smoothstep(1.15, 0.3, y + 0 * x)))
        leaves = fractal(rng, n, cells=7 + 2 * layer, octaves=6, gain=0.85)
        crown = smoothstep(0.4, 1.3, leaves + 0.9 - (3.6 - 1.2 * near_share) * y) * 0.85
        tint = leaf * f32(np.clip(0.5 + 0.3 * np.roll(leaves, 3, axis=0), 0.1, 1.6))[..., None]
        image = mix(
            image, mix(tint * (light.ambient * 1.2 + light.sun * 0.6), fog, 0.65 * (1 - near_share)), f32(crown)
        )
    shafts = np.clip(sample(blur(canopy, 0.01), f32(0.3 + 0 * x), f32(x * 0.6 + y * 0.35 * side + 0.2)), 0, 2)
    return f32(image + (shafts * smoothstep(0.9, 0.2, y + 0 * x) * 0.12)[..., None] * light.sun * fog)


def _trunk(image: Array, shape: tuple[float, float, float, float], bark: Array, grain: Array, bend: Array,
           birch: bool, light: Light, side: float) -> Array:  # fmt: skip
    """Return `image` with one trunk: a rough cylinder lit from `side`, standing at `foot`."""
    centre, lean, width, foot = shape
    n = image.shape[0]
    y, _ = grid(n)
    left = max(0, int((centre - 3 * width - 0.09) * n))
    right = min(n, int((centre + 3 * width + 0.09) * n) + 1)
    if right - left < 2:
        return image
    x = grid(n)[1][:, left:right]
    column = min(n - 1, max(0, int(centre * n)))
    middle = centre + lean * (1 - y) + 0.006 * bend[:, column : column + 1]
    flare = width * (1 + 0.25 * y**2 + 0.7 * np.exp(-np.abs(foot - y) / (width * 0.7)))
    across = (x - middle) / flare
    bump = grain[:, left:right]
    round_ = np.sqrt(np.clip(1 - across**2, 0, 1))
    lit = np.clip(0.35 + 0.65 * (0.5 * round_ + 0.75 * across * side + 0.18 * bump), 0.05, 1.3)
    skin = bark * np.clip(1 + 0.25 * bump, 0.2, 2)[..., None]
    if birch:
        skin = mix(skin, linear("#2b2623"), smoothstep(1.0, 1.6, np.roll(grain.T, 31, axis=1)[:, left:right] * 1.2))
    mound = foot + 0.35 * width * np.sqrt(np.clip(1 - across**2, 0, 1)) + 0.1 * width * bump
    cover = smoothstep(1.02, 0.95, np.abs(across)) * smoothstep(0.004, -0.004, y - mound)
    image[:, left:right] = mix(
        image[:, left:right], skin * (lit[..., None] * light.sun * 0.55 + light.ambient), f32(cover)
    )
    return image


def bloom(rng: Generator, n: int) -> Array:
    """Return one flower close up (n, n, 3) before a garden out of focus."""
    y, x = grid(n)
    leaf = linear(choose(rng, ["#3f5d2a", "#2f4a2c", "#5a6f38", "#4a5a4a"]))
    light = linear(choose(rng, ["#fff3dc", "#ffe6c0", "#eef3ff"]))
    blobs = fractal(rng, n, cells=4, octaves=6, gain=0.8)
    back = leaf * np.exp(0.55 * blobs)[..., None]
    for _ in range(int(rng.integers(14, 40))):  # lights and other blossoms, soon discs of blur
        spot = np.hypot(x - uniform(rng, 0, 1), y - uniform(rng, 0, 1)) < uniform(rng, 0.008, 0.03)
        colour = linear(choose(rng, ["#ffd9e8", "#fff2c0", "#ffffff", "#d9e8b0", "#f0a060"])) * uniform(rng, 0.8, 4)
        back = mix(back, colour, spot.astype(np.float32))
    image = lens_blur(f32(back), uniform(rng, 0.03, 0.06))
    image *= (0.55 + 0.7 * smoothstep(1.1, 0.0, y + 0.4 * x))[..., None]
    cx, cy, size = uniform(rng, 0.38, 0.62), uniform(rng, 0.36, 0.56), uniform(rng, 0.25, 0.42)
    bow = uniform(rng, -0.12, 0.12)
    stem = np.abs(x - cx - bow * (y - cy) ** 2 * 2 + 0 * y)
    thick = 0.013 + 0.0 * y
    round_ = np.clip(1 - (stem / thick) ** 2, 0, 1)
    image = mix(
        image, leaf * (0.5 + 1.3 * np.sqrt(round_))[..., None] * light, smoothstep(0.02, 0.12, round_) * (y > cy)
    )
    return _corolla(rng, image, (cx, cy, size), light)


def _corolla(rng: Generator, image: Array, place: tuple[float, float, float], light: Array) -> Array:
    """Return `image` with a flower head of several whorls of petals, each shaded as a bent sheet."""
    n = image.shape[0]
    y, x = grid(n)
    cx, cy, size = place
    squash, spin = uniform(rng, 0.6, 1.0), uniform(rng, 0, 6.28)
    tone, inner = (linear(c) for c in _PETALS[int(rng.integers(len(_PETALS)))])
    count, whorls = int(rng.integers(5, 19)), int(rng.integers(2, 5))
    dx, dy = (x - cx) / size + 0 * y, (y - cy) / (size * squash) + 0 * x
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    veins = fractal(rng, n, cells=20, octaves=3, gain=0.8)
    width = uniform(rng, 0.85, 1.25)
    for whorl in range(whorls):
        reach = 1.0 - 0.19 * whorl
        for half in (0, 1):  # odd petals lie over even ones
            total = count - (2 if whorl > 1 and count > 8 else 0)
            turn = (angle + spin + whorl * 0.37) / 6.2832 * total
            petal = np.floor(turn)
            inside = (petal.astype(int) % 2) == half
            across = (turn - petal - 0.5) * 2
            length = reach * (1 + 0.07 * np.sin(petal * 5.7 + whorl))
            along = radius / length
            shape = np.clip(along * (1.0 - along**4), 0, 1) ** 0.55 * width * 1.25
            edge = shape - np.abs(across)
            cover = smoothstep(0.0, 0.05, edge) * (along < 1) * inside
            under = smoothstep(-0.35, 0.1, edge) * (along < 1.08) * (1 - cover)
            image = image * (1 - 0.35 * under * (radius < 0.8))[..., None]
            ribs = 1 + 0.1 * sample(veins, along * 0.15 + petal * 0.13, across * 0.5 + petal * 0.31)
            lean = np.sin(petal * 9.1) * 0.1
            fold = 0.72 + 0.3 * across * np.cos(angle - 0.8) + lean + 0.3 * along - 0.18 * np.abs(across)
            skin = mix(inner, tone, smoothstep(0.05, 0.75, along)) * (ribs * np.clip(fold, 0.15, 1.4))[..., None]
            image = mix(image, skin * light, f32(cover))
    heart = uniform(rng, 0.16, 0.3)
    seeds = f32(np.sin(radius * 70 + np.sin(angle * 13) * 2) * np.sin(angle * 21 + radius * 40))
    dome = np.clip(1 - (radius / heart) ** 2, 0, 1)
    core = linear(choose(rng, ["#e8b020", "#5a3a1c", "#c9c04a", "#3a2a24"]))
    lit = core * (0.45 + 0.5 * np.sqrt(dome) + 0.28 * seeds - 0.25 * (dx + dy) / heart * 0.5)[..., None]
    image = image * (1 - 0.4 * smoothstep(1.35 * heart, heart, radius))[..., None]
    return mix(image, f32(np.clip(lit, 0.01, 2)) * light, smoothstep(0.0, 0.1, dome))


_PETALS = (
    ("#d9486a", "#f2c0c8"),
    ("#f0eee8", "#d9d48a"),
    ("#e8a51e", "#c8641a"),
    ("#7a4fae", "#d8c0f0"),
    ("#c22a2a", "#5a1420"),
    ("#4a6fd0", "#e8ecff"),
    ("#f0a08a", "#f8e0b0"),
)


def meadow(rng: Generator, n: int) -> Array:
    """Return a field of flowers (n, n, 3) running to a line of trees, near ones out of focus."""
    light = light_of_day(rng)
    horizon = uniform(rng, 0.26, 0.5)
    y, x = grid(n)
    image = sky(rng, n, horizon, light)
    for depth in range(3):  # wooded ridges
        line = horizon - 0.05 + 0.028 * depth - 0.03 * fractal(rng, n, cells=2 + 2 * depth, octaves=7, gain=0.55)[:1]
        bushes = fractal(rng, n, cells=16, octaves=5, gain=0.75)
        wood = linear("#32482a") * np.exp(0.3 * bushes)[..., None] * (light.sun * 0.45 + light.ambient * 1.2)
        wood = mix(wood, light.horizon * 0.8, 0.62 - 0.2 * depth)
        image = mix(image, wood, smoothstep(-0.002, 0.003, y - line - 0.003 * bushes))
    below = np.clip(y - horizon - 0.03, 0.001, 1) + np.zeros_like(x)
    near = 0.1 / (below + 0.015)
    grass = fractal(rng, n, cells=22, octaves=6, gain=0.9, stretch=0.4)
    drift = fractal(rng, n, cells=4, octaves=5)
    blades = sample(grass, near * 1.5, (x - 0.5) * near * 1.5 + 0.5)
    turf = mix(
        linear("#55702e"), linear(choose(rng, ["#8a9440", "#b59a4c", "#4a6a3a"])), smoothstep(-1, 1.5, blades + drift)
    )
    turf = turf * np.exp(0.3 * blades)[..., None] * (light.sun * 0.6 + light.ambient * 1.4)
    turf = mix(turf, f32(light.horizon * 0.8), smoothstep(0.16, 0.0, below) * 0.5)
    image = mix(image, f32(turf), smoothstep(0.0, 0.01, y - horizon - 0.03 + 0.004 * grass))
    palette = [linear(c) for c in _FIELDS[int(rng.integers(len(_FIELDS)))]]
    for size, place, colour in _scatter(rng, drift, horizon, palette):
        _stamp(rng, image, place, size, colour * (light.sun * 0.6 + light.ambient * 1.3))
    focus = smoothstep(0.62, 1.05, y + 0 * x)
    return mix(image, lens_blur(image, 0.012), focus)


_FIELDS = (
    ("#c8281e", "#d8402a", "#b01c1c", "#e8e4d8"),
    ("#7a5ab8", "#6a4aa8", "#9a7ad0"),
    ("#f0c420", "#e8b010", "#f4dc60"),
    ("#f4f2ea", "#e8c030", "#f4f2ea"),
    ("#e07aa8", "#f0b0c8", "#c84a88", "#f4f0ea"),
    ("#3f68c8", "#c8281e", "#f0ead8"),
)


def _scatter(
    rng: Generator, drift: Array, horizon: float, palette: list[Array]
) -> list[tuple[float, tuple[float, float], Array]]:
    """Return flowers from far to near: radius, place (y, x) and colour; denser where `drift` is high."""
    depth = np.sort(rng.uniform(0.03, 1, 1500) ** 1.6)
    flowers = []
    for t, across, pick, luck in zip(
        depth, rng.random(1500), rng.integers(0, 99, 1500), rng.random(1500), strict=True
    ):
        y = horizon + 0.05 + (1.02 - horizon) * float(t)
        n = drift.shape[0]
        if luck < 0.5 + 0.4 * drift[min(n - 1, int(y * n)), min(n - 1, int(across * n))]:
            flowers.append((0.0022 + 0.026 * float(t) ** 1.2, (y, float(across)), palette[pick % len(palette)]))
    return flowers


def _stamp(rng: Generator, image: Array, place: tuple[float, float], radius: float, colour: Array) -> None:
    """Paint one flower of `radius` into `image`: petals around a heart, seen a little from above."""
    n = image.shape[0]
    reach = max(1, int(radius * n * 1.2))
    row, column = int(place[0] * n), int(place[1] * n)
    top, left = max(0, row - reach), max(0, column - reach)
    patch = image[top : row + reach + 1, left : column + reach + 1]
    if patch.size == 0:
        return
    dy = (np.arange(top, top + patch.shape[0]) - row)[:, None] / (0.72 * radius * n)
    dx = (np.arange(left, left + patch.shape[1]) - column)[None, :] / (radius * n)
    distance, turn = np.hypot(dx, dy), float(rng.random()) * 6
    petals = 0.82 + 0.18 * np.cos(5 * np.arctan2(dy, dx) + turn) if reach > 3 else 1.0
    cover = f32(np.clip((petals - distance) * radius * n * 0.8 + 0.5, 0, 1))
    shade = f32(0.75 + 0.35 * distance - 0.25 * dy)
    patch[:] = mix(patch, colour * shade[..., None], cover)
    patch[:] = mix(patch, linear("#4a3a14"), f32(np.clip((0.24 - distance) * radius * n, 0, 0.9)))
