"""Filters and pyramids that the metrics see through. No loss uses them: what measures never trains."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

_BINOMIAL: Array = np.array([1, 4, 6, 4, 1], np.float32) / np.float32(16)
_SMALLEST = 16  # px; a coarser level would be all border


def gaussian(sigma: float) -> Array:
    """Return a Gaussian kernel of standard deviation `sigma` px, cut at three of them, that sums to 1."""
    radius = max(1, round(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def smooth(image: Array, kernel: Array) -> Array:
    """Return `image` (H, W) or (H, W, C) filtered with an odd `kernel` along both axes, mirrored at borders."""
    radius = len(kernel) // 2
    for axis in (0, 1):
        size = image.shape[axis]
        padding = [(0, 0)] * image.ndim
        padding[axis] = (radius, radius)
        padded = np.pad(image, padding, mode="reflect" if radius < size else "symmetric")
        taken = [slice(None)] * image.ndim
        result = np.zeros_like(image)
        for offset, weight in enumerate(kernel):
            taken[axis] = slice(offset, offset + size)
            result += weight * padded[tuple(taken)]
        image = result
    return image


def gaussian_pyramid(image: Array, levels: int) -> list[Array]:
    """Return at most `levels` images, each half the one before, none with a side under 16 px but the first."""
    result = [image]
    while len(result) < levels and min(result[-1].shape[:2]) >= 2 * _SMALLEST:
        result.append(smooth(result[-1], _BINOMIAL)[::2, ::2])
    return result


def laplacian_pyramid(image: Array, levels: int) -> list[Array]:
    """Return at most `levels` bands, finest first; the last holds all that is coarser.

    A band is a level of the Gaussian pyramid less its own smoothing (Burt and Adelson 1983).
    """
    levels_ = gaussian_pyramid(image, levels)
    return [level - smooth(level, _BINOMIAL) for level in levels_[:-1]] + levels_[-1:]


def box_reduce(image: Array, factor: int) -> Array:
    """Return means over `factor` x `factor` blocks of (H, W) or (H, W, C); an incomplete border is left out."""
    height, width = (side // factor for side in image.shape[:2])
    cut = image[: height * factor, : width * factor]
    shape = (height, factor, width, factor, *image.shape[2:])
    return np.asarray(cut.reshape(shape).mean(axis=(1, 3)), dtype=np.float32)


def thumbnail(image: Array, side: int) -> Array:
    """Return means of (H, W, C) over `side` x `side` equal blocks, (side, side, C); pixels beyond are left out."""
    rows, columns = (max(1, length // side) for length in image.shape[:2])
    cut = image[: rows * side, : columns * side]
    shape = (cut.shape[0] // rows, rows, cut.shape[1] // columns, columns, *image.shape[2:])
    return np.asarray(cut.reshape(shape).mean(axis=(1, 3)), dtype=np.float32)


def contrast_normalised(luminance: Array, window: float, floor: float) -> Array:
    """Return (L - local mean) / (local deviation + floor): texture without lighting.

    The floor keeps calm areas calm: without it the faintest grain of flat paper would count like brushwork.

    Args:
        luminance: (H, W).
        window: standard deviation of the Gaussian neighbourhood, px.
        floor: in the units of `luminance`.
    """
    kernel = gaussian(window)
    centred = luminance - smooth(luminance, kernel)
    deviation = np.sqrt(smooth(centred**2, kernel))
    return np.asarray(centred / (deviation + floor), dtype=np.float32)
