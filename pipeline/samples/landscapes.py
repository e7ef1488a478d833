"""Landscapes of the built-in photographs: skies, mountains, dunes, lakes, the sea.

The terrain is a height field seen in true perspective, lit with cast shadows and aerial perspective.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from pipeline.samples.canvas import (
    Array,
    choose,
    f32,
    fractal,
    grid,
    linear,
    mix,
    ridged,
    sample,
    smoothstep,
    uniform,
)

_FOCAL = 1.05  # of the frame's height: a moderate wide angle


@dataclass(frozen=True)
class Light:
    """The light of an hour: colours (3,) in linear light, and where the sun stands."""

    zenith: Array
    horizon: Array
    sun: Array
    ambient: Array
    cloud: Array
    elevation: float  # of the sun, as a slope: 0 on the horizon, 1 at 45 degrees


def _light(zenith: str, horizon: str, sun: str, cloud: str, power: float, elevation: float) -> Light:
    top, low = linear(zenith), linear(horizon)
    return Light(top, low, linear(sun) * power, f32(0.22 * top + 0.13 * low), linear(cloud), elevation)


def light_of_day(rng: Generator) -> Light:
    """Return the light of one of six hours and weathers."""
    hours = {
        "noon": _light("#2f6bb5", "#bcd5ea", "#fff4de", "#ffffff", 1.5, 1.1),
        "afternoon": _light("#3f78b8", "#d9dcd6", "#ffe3b0", "#fff6e8", 1.5, 0.6),
        "golden": _light("#5a7fae", "#f7cf98", "#ffb765", "#ffdcb0", 1.6, 0.26),
        "sunset": _light("#34406e", "#f79a5c", "#ff8a42", "#f4906c", 1.5, 0.14),
        "overcast": _light("#8d9aa8", "#ccd3d8", "#e8ecf0", "#dfe4e8", 0.6, 0.9),
        "dawn": _light("#6a86b4", "#f2cfc8", "#ffc9a8", "#f6d6d6", 1.2, 0.3),
    }
    return hours[choose(rng, list(hours))]


def sky(rng: Generator, n: int, horizon: float, light: Light, *, cover: float | None = None) -> Array:
    """Return a sky (n, n, 3) over a horizon at height `horizon` (fraction from the top), with clouds.

    The clouds lie on a plane overhead, so that they shrink and flatten towards the horizon; their edges
    towards the sun are lit and their bellies shaded.
    """
    y, x = grid(n)
    rise = np.clip(horizon - y, 0.004, 1) + np.zeros_like(x)
    sun_x, sun_y = uniform(rng, 0.05, 0.95), horizon - _FOCAL * light.elevation * 0.55
    far = np.hypot(x - sun_x, y - sun_y)
    base = mix(light.horizon, light.zenith, f32(1 - np.exp(-rise * 2.6)))
    glow = np.exp(-far * 5) * 0.5 + np.exp(-far * 22) * 1.2
    base = base + glow[..., None] * light.sun * 0.45
    amount = uniform(rng, -0.1, 1.5) if cover is None else cover
    texture = fractal(rng, n, cells=3, octaves=7, gain=0.55)
    wispy = fractal(rng, n, cells=3, octaves=6, gain=0.5, stretch=2.5)
    over = 0.13 / (rise + 0.07)
    across, along = (x - 0.5) * over + uniform(rng, 0.4, 0.6), over * 0.9 + uniform(rng, 0, 3)
    density = sample(texture, along, across) + 0.35 * sample(wispy, along * 0.6, across * 0.6)
    towards = 0.03
    sunward = sample(texture, along - towards * 0.5, across + towards * np.sign(sun_x - 0.5))
    opaque = smoothstep(0.9 - amount, 2.3 - amount, density)
    thick = smoothstep(0.9 - amount, 3.6 - amount, density + 0.4 * sunward)
    lit = mix(light.cloud * 1.02, f32(light.ambient * 0.9 + light.horizon * 0.3), thick)
    lit = lit * (1 + 0.12 * np.clip(density - sunward, -1.5, 1.5))[..., None]
    lit += (np.exp(-far * 4) * (1 - thick))[..., None] * light.sun * 0.3
    return mix(base, lit, f32(opaque * smoothstep(0.0, 0.1, rise) * 0.95))


@dataclass(frozen=True)
class Land:
    """A kind of terrain: how it is shaped and what grows on it."""

    low: Array
    mid: Array
    high: Array
    relief: float
    crests: float
    snow: float
    water: float | None


def _lands(rng: Generator) -> dict[str, Land]:
    green = choose(rng, ["#4c6b2c", "#5f7a35", "#7d8a3e", "#8a7c3a"])
    lake = uniform(rng, 0.25, 0.34)
    return {
        "alps": Land(linear("#3c5230"), linear("#6f6a60"), linear("#f2f5f8"), 1.9, 0.75, 0.36, None),
        "lake": Land(linear("#38502b"), linear("#77706a"), linear("#f2f5f8"), 1.5, 0.65, 0.5, lake),
        "hills": Land(linear(green), linear("#8a9a4a"), linear("#a79a62"), 0.8, 0.1, 9.0, None),
        "dunes": Land(linear("#c99a62"), linear("#d9ab73"), linear("#e2b985"), 0.9, 0.35, 9.0, None),
        "canyon": Land(linear("#9a5a38"), linear("#b5734a"), linear("#d09a6c"), 1.5, 0.6, 9.0, None),
        "islands": Land(linear("#57683a"), linear("#857a64"), linear("#a39a80"), 1.0, 0.55, 9.0, 0.42),
    }


def _cast_shadows(height: Array, slope: float, aside: float) -> Array:
    """Return which of a height field (n, n) the sun reaches: 1 lit, 0 shaded, soft between.

    The sun stands on the right for positive `aside`; `slope` is its rise per unit of distance.
    """
    n = height.shape[0]
    shade = np.zeros_like(height)
    for step in np.geomspace(0.006, 0.3, 14):
        across, back = round(step * aside * n), round(step * (1 - abs(aside)) * n)
        blocker = np.roll(height, (back, -across), axis=(0, 1)) - step * slope
        shade = np.maximum(shade, blocker - height)
    return f32(1 - smoothstep(0.0, 0.02, shade))


def _visible(height: Array, n: int, horizon: float, eye: float) -> tuple[Array, Array]:
    """Return, for each pixel, how far the terrain is (1 near, infinite in the sky) and its x in the field.

    Columns are swept from near to far; what rises above everything nearer is seen.
    """
    _, x = grid(n)
    depth = np.geomspace(0.16, 4.0, 360, dtype=np.float32)[:, None]
    across = 0.5 + (x - 0.5) * depth * 0.55
    ground = sample(height, depth * 0.32, across)
    rise = np.maximum.accumulate((ground - eye) / depth * _FOCAL * 0.55, axis=0)
    wanted = np.ascontiguousarray(horizon - grid(n)[0][:, 0])
    index = np.empty((n, n), np.float32)
    for column in range(n):  # a search per column: n calls, each over all rows
        seen = rise[:, column] + np.arange(360, dtype=np.float32) * 1e-7
        index[:, column] = np.interp(wanted, seen, np.arange(360), left=0, right=1e9)
    distance = f32(0.16 * (4.0 / 0.16) ** (np.minimum(index, 359) / 359))
    return np.where(index > 359, np.inf, distance).astype(np.float32), f32(0.5 + (x - 0.5) * distance * 0.55)


def terrain(rng: Generator, n: int) -> Array:
    """Return a landscape (n, n, 3): one of six kinds of land under one of six lights."""
    light, lands = light_of_day(rng), _lands(rng)
    kind = choose(rng, list(lands))
    land = lands[kind]
    horizon = uniform(rng, 0.36, 0.56)
    base = 0.5 + 0.22 * fractal(
        rng, n, cells=3.0 if kind != "dunes" else 5.0, octaves=6 if kind != "dunes" else 3, gain=0.36
    )
    crest = ridged(rng, n, cells=4)
    height = f32(np.clip((1 - land.crests) * base + land.crests * crest, 0, 1.4) * land.relief)
    detail = fractal(rng, n, cells=24, octaves=5, gain=0.7)
    if kind == "canyon":  # strata: soft layers between hard ledges
        height = f32(height + 0.02 * np.sin(height * 90))
    if kind == "dunes":
        height = f32(height + 0.0012 * np.sin(150 * (grid(n)[0] + 0.06 * base) * 2))
    away, across = np.linspace(-1, 1, n, dtype=np.float32)[:, None], np.linspace(-1, 1, n, dtype=np.float32)
    height = f32(height * (0.55 + 0.45 * smoothstep(-0.9, 0.4, away)) * (0.75 + 0.35 * np.abs(across)))
    rough = 0.0 if kind == "dunes" else 0.006
    raised = f32(height + rough * detail)
    level = land.water * land.relief if land.water is not None else -1.0
    surface = np.maximum(raised, level)
    eye = max(float(surface[: n // 4, n // 3 : 2 * n // 3].max()) + 0.05, 0.4 * land.relief)
    depth, column = _visible(surface, n, horizon, eye)
    ground = np.isfinite(depth)
    flat = f32(np.where(ground, depth, 4.0))
    row = f32(flat * 0.32)

    slope_y, slope_x = np.gradient(raised * n / 3.2)
    side = uniform(rng, 0.55, 0.95) * (1 if rng.random() < 0.5 else -1)
    normal = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    toward = f32((-slope_x * side + slope_y * (1 - abs(side)) + light.elevation) * normal)
    toward = np.clip(toward / np.hypot(1, light.elevation), 0, 1)
    sunlit = toward * _cast_shadows(raised, light.elevation * 0.32, side)
    steep = 1 - normal
    patches = fractal(rng, n, cells=7, octaves=6, gain=0.6)
    rise = raised / land.relief
    cover = mix(land.low, land.mid, smoothstep(0.12, 0.4, steep + 0.25 * rise + 0.05 * patches))
    white = smoothstep(land.snow - 0.12, land.snow + 0.12, rise + 0.05 * patches - 0.12 * steep)
    top = white if land.snow < 2 else smoothstep(0.4, 1.0, rise + 0.1 * patches)
    cover = mix(cover, land.high, top)
    grit = 1 + (0.1 * detail + 0.13 * patches) * (0.25 if kind == "dunes" else 1.0)
    cover = f32(cover * np.clip(grit, 0.4, 1.6)[..., None])
    shaded = cover * (sunlit[..., None] * light.sun + (0.55 + 0.45 * normal)[..., None] * light.ambient * 1.6)

    colour = np.stack([sample(f32(shaded[..., c]), row, column) for c in range(3)], axis=-1)
    close = fractal(rng, n, cells=40, octaves=4, gain=0.8)
    fine = sample(close, row * 4, column * 4) * smoothstep(1.2, 0.2, flat)
    colour = colour * np.clip(1 + 0.16 * fine * (0.3 if kind == "dunes" else 1), 0.3, 2)[..., None]
    haze = 1 - np.exp(-((flat / uniform(rng, 2.2, 6.0)) ** 1.4))
    air = mix(light.horizon, light.zenith, 0.25) * 0.85
    above = sky(rng, n, horizon, light)
    seen = mix(above, mix(colour, air, haze), ground.astype(np.float32))
    if level > 0:
        wet = ground & (sample(raised, row, column) <= level)
        seen = mix(seen, reflection(rng, seen, horizon, light), wet.astype(np.float32))
    return mist(rng, seen, flat, ground, light) if light.elevation < 0.35 or rng.random() < 0.3 else seen


def mist(rng: Generator, image: Array, depth: Array, ground: np.ndarray, light: Light) -> Array:
    """Return `image` with fog lying in its far valleys, thinning upwards."""
    n = image.shape[0]
    y, _ = grid(n)
    banks = 0.6 + 0.4 * fractal(rng, n, cells=3, octaves=4, stretch=3)
    thick = np.where(ground, smoothstep(0.5, 2.5, depth), 0) * np.clip(banks, 0, 1)
    low = smoothstep(0.2, 0.5, y + np.zeros_like(depth))
    return mix(image, f32(light.horizon * 0.9), f32(0.75 * thick * low))


def reflection(rng: Generator, image: Array, horizon: float, light: Light, *, waves: float = 1.0) -> Array:
    """Return what water in the place of every pixel shows: the mirrored scene, broken by ripples.

    Args:
        rng: draws the ripples.
        image: the scene above the water (n, n, 3).
        horizon: where the mirror line lies, a fraction from the top.
        light: colours the water's body.
        waves: 0 a mirror, 1 a breeze, more is rough.
    """
    n = image.shape[0]
    y, x = grid(n)
    below = np.clip(y - horizon, 0.002, 1) + np.zeros_like(x)
    near = 0.12 / (below + 0.02)
    bump = fractal(rng, n, cells=22, octaves=5, gain=0.6, stretch=2.0)
    ripple = sample(bump, near * 1.6, (x - 0.5) * near * 1.2 + 0.5)
    ripple += 0.6 * sample(bump, near * 5.1, (x - 0.5) * near * 3 + 0.5) * smoothstep(0.03, 0.2, below)
    calm = waves * np.minimum(0.25 + below * 2.2, 1)
    mirror_y = np.clip(horizon - below * 0.92 + 0.028 * ripple * calm, 0.0, horizon)
    mirror_x = x + 0.006 * ripple * calm
    seen = np.stack([sample(image[..., c], mirror_y, mirror_x) for c in range(3)], axis=-1)
    facing = np.clip(0.1 + 1.5 * below + 0.1 * ripple * calm, 0, 0.85)
    body = f32(light.zenith * 0.16 + linear("#1f4a4a") * 0.22)
    return mix(seen * 0.92, body, f32(facing))


def sea(rng: Generator, n: int) -> Array:
    """Return a seascape (n, n, 3): swell, glitter under the sun, sometimes a far coast and a beach."""
    light = light_of_day(rng)
    horizon = uniform(rng, 0.34, 0.6)
    y, x = grid(n)
    above = sky(rng, n, horizon, light, cover=uniform(rng, 0.0, 1.5))
    coast = (
        horizon - 0.02 - 0.05 * np.clip(fractal(rng, n, cells=2, octaves=7)[:1] - 0.2, 0, 3) * uniform(rng, 0.3, 1.4)
    )
    rock = mix(linear("#4d4b46"), light.horizon, 0.45)
    above = mix(above, rock * 0.7, smoothstep(0, 0.004, (y - coast)) if rng.random() < 0.6 else 0.0)
    rough = uniform(rng, 0.8, 2.6)
    water = reflection(rng, above, horizon, light, waves=rough)
    below = np.clip(y - horizon, 0.002, 1) + np.zeros_like(x)
    near = 0.11 / (below + 0.012)
    swell = fractal(rng, n, cells=9, octaves=7, gain=0.58, stretch=2.6)
    wave = sample(swell, near * 1.1, (x - 0.5) * near * 0.7 + 0.5)
    lean = wave - sample(swell, near * 1.1 + 0.012, (x - 0.5) * near * 0.7 + 0.5)
    water = water * np.clip(1 + 0.5 * lean * rough * smoothstep(0, 0.12, below), 0.25, 2.2)[..., None]
    foam = (
        smoothstep(1.5, 2.4, wave + 0.5 * lean)
        * smoothstep(0.03, 0.2, below)
        * smoothstep(1.2, 2.4, f32(rough + 0 * wave))
    )
    water = mix(water, light.cloud * 0.8, f32(foam * 0.8))
    spark = smoothstep(0.35, 1.1, lean * rough) * np.exp(
        -(((x - uniform(rng, 0.25, 0.75)) / (0.05 + 0.3 * below)) ** 2)
    )
    water = water + (spark * 0.9)[..., None] * light.sun
    seen = mix(above, water, smoothstep(-0.001, 0.001, y - horizon + 0 * x))
    return _beach(rng, seen, light) if rng.random() < 0.4 else seen


def _beach(rng: Generator, image: Array, light: Light) -> Array:
    """Return a seascape with sand in front: dry, then wet and shining, then a line of foam."""
    n = image.shape[0]
    y, x = grid(n)
    edge = (
        uniform(rng, 0.72, 0.82)
        + uniform(rng, -0.25, 0.25) * (x - 0.5)
        + 0.012 * fractal(rng, n, cells=5, octaves=4)[:1]
    )
    inland = y - edge
    grains = fractal(rng, n, cells=60, octaves=4, gain=0.9)
    dunes = fractal(rng, n, cells=6, octaves=5, stretch=3)
    sand = linear("#cdb48a") * (1 + 0.06 * grains + 0.1 * dunes)[..., None] * (light.sun * 0.5 + light.ambient * 1.5)
    wet = smoothstep(0.09, 0.02, inland + 0.01 * dunes)
    sand = mix(sand, f32(sand * 0.4 + 0.3 * light.horizon), wet)
    image = mix(image, sand, smoothstep(-0.01, 0.012, inland))
    lace = smoothstep(0.022, 0.0, np.abs(inland + 0.006 * dunes)) * smoothstep(-1.2, 0.6, grains + dunes)
    return mix(image, light.cloud * 0.9, f32(lace * 0.85))
