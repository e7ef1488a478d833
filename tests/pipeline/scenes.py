"""Photographs and paintings made of numbers, for tests of metrics: small, seeded, and unlike each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.metrics.references import Observers, References, Settings
from pipeline.scoring import HeldOut, View

SIDE = 64
SETTINGS = Settings(patches=48, directions=16, levels=2, bootstrap=60)
Pixels = NDArray[np.uint8]


def photograph(seed: int, side: int = SIDE) -> Pixels:
    """Return a scene in cool colours: a sky, a few large shapes, many small ones, soft light."""
    rng = np.random.default_rng([1, seed])
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    light = 0.75 - 0.4 * y
    for _ in range(5):
        cx, cy, radius = rng.uniform(0, 1, 3) * [1, 1, 0.3] + [0, 0, 0.06]
        light = np.where(np.hypot(x - cx, y - cy) < radius, rng.uniform(0.1, 0.95), light)
    for _ in range(24):
        left, top, width, height = rng.uniform(0, 1, 4) * [0.9, 0.9, 0.12, 0.12] + [0, 0, 0.03, 0.03]
        inside = (x > left) & (x < left + width) & (y > top) & (y < top + height)
        light = np.where(inside, rng.uniform(0.1, 0.95), light)
    colour = np.array([0.8, 0.95, 1.0]) * rng.uniform(0.9, 1.0, 3)
    image = Image.fromarray((255 * np.clip(light[..., None] * colour, 0, 1)).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.6)))


def paint(picture: Pixels, seed: int) -> Pixels:
    """Return a picture in the style of `painting`: its light in warm colours, under slanting strokes."""
    rng = np.random.default_rng([2, seed])
    side = picture.shape[0]
    y, x = np.mgrid[0:side, 0:side]
    angle, phase = rng.uniform(0.6, 1.0), rng.uniform(0, 6)
    strokes = np.sign(np.sin((x * np.cos(angle) + y * np.sin(angle)) * 1.1 + phase)) * 0.13
    light = picture.astype(np.float64).mean(axis=2) / 255
    warm = np.clip(light + strokes, 0, 1)[..., None] * np.array([1.0, 0.72, 0.3])
    return np.asarray((255 * warm).astype(np.uint8))


def painting(seed: int, side: int = SIDE) -> Pixels:
    """Return an artwork: another scene, painted."""
    return paint(photograph(10_000 + seed, side), seed)


def photographs(count: int = 10) -> list[Pixels]:
    return [photograph(i) for i in range(count)]


def paintings(count: int = 8, first: int = 0) -> list[Pixels]:
    return [painting(first + i) for i in range(count)]


def blurred(picture: Pixels, radius: float) -> Pixels:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def shuffled(picture: Pixels, tile: int, seed: int = 0) -> Pixels:
    """Return rubble: every tile somewhere else."""
    count = picture.shape[0] // tile
    tiles = picture.reshape(count, tile, count, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
    tiles = np.random.default_rng([3, seed]).permutation(tiles)
    return tiles.reshape(count, count, tile, tile, 3).swapaxes(1, 2).reshape(picture.shape)


def noisy(picture: Pixels, strength: float, seed: int = 0) -> Pixels:
    noise = np.random.default_rng([4, seed]).normal(0, strength, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def statistics(picture: Pixels) -> NDArray[np.float64]:
    """Return mean and deviation of colours, and strength of gradients across and down: (8,), each from 0 to 1."""
    light = picture.astype(np.float64) / 255
    slopes = [np.abs(slope).mean() for slope in np.gradient(light.mean(axis=2))]
    return np.concatenate([light.mean(axis=(0, 1)), light.std(axis=(0, 1)), slopes])


class FakeFeatures:
    """A network that describes a picture by what can be said in a line."""

    name = "statistics 1"

    def __call__(self, image: Pixels) -> NDArray[np.float64]:
        return statistics(image)


class FakeJudge:
    """A judge that takes what is warm, and what is full of strokes, for a painting of these scenes."""

    name = "scenes 1"

    def rates(self, image: Pixels) -> dict[str, float]:
        """Return about 0 for a photograph of these scenes and about 1 for a painting."""
        red, _, blue, *_, down, across = statistics(image)
        return {
            "judge/colour": float(1 / (1 + np.exp(-20 * (red - blue - 0.12)))),
            "judge/luminance": float(1 / (1 + np.exp(-150 * (down + across - 0.075)))),
        }


class FakePerception:
    """A distance between two pictures: that of their colours."""

    name = "colours 1"

    def __call__(self, one: Pixels, other: Pixels) -> float:
        return float(np.abs(one.astype(np.float64) - other).mean() / 255)


OBSERVERS = Observers(FakeFeatures(), FakeJudge(), FakePerception())


def references(training: bool = True, observers: Observers = OBSERVERS) -> References:
    trained = tuple(paintings(6, 100)) if training else None
    return References(tuple(photographs()), tuple(paintings()), trained, observers)


def held_out() -> HeldOut:
    photos = [View(f"photo {i}", picture) for i, picture in enumerate(photographs())]
    art = [View(f"art {i}", picture) for i, picture in enumerate(paintings())]
    return HeldOut.of(photos, art, observers=OBSERVERS)
