"""CIE Lab (D65) in floating point: conversion, pooled statistics, and the recolouring that is a control.

numpy only, so that packaging and scoring agree on every digit and need no image library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Pixels: TypeAlias = NDArray[np.uint8]

# IEC 61966-2-1, and the white it is defined for.
_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _RGB_TO_XYZ.sum(axis=1)  # the white of these very primaries, so that grey has no colour at all
_KNEE = 6 / 29  # where Lab's cube root gives way to a line
_MIN_DEVIATION = 1.0  # Lab units; below it a channel is noise, which recolouring must not amplify


def srgb_to_lab(rgb: ArrayLike) -> Floats:
    """Return Lab of sRGB values: L in [0, 100], a and b about [-110, 110], the dtype of a floating input kept.

    Args:
        rgb: (..., 3), in [0, 1]; values outside are clipped.
    """
    values = np.asarray(rgb)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    values = np.clip(values, 0, 1)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return _linear_to_lab(linear.astype(values.dtype))


def pixels_to_lab(image: Pixels) -> NDArray[np.float32]:
    """Return float32 Lab (..., 3) of 8-bit sRGB, by a table of 256 entries: the way every image here goes."""
    levels = np.arange(256) / 255
    table = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return _linear_to_lab(table[image]).astype(np.float32)


def lab_to_srgb(lab: ArrayLike) -> Floats:
    """Return sRGB (..., 3) in [0, 1] of Lab values; colours that sRGB lacks are clipped channel by channel."""
    values = np.asarray(lab)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    light = (values[..., 0] + 16) / 116
    roots = np.stack([light + values[..., 1] / 500, light, light - values[..., 2] / 200], axis=-1)
    xyz = np.where(roots > _KNEE, roots**3, 3 * _KNEE**2 * (roots - 4 / 29)) * _WHITE
    linear = np.clip(xyz @ np.linalg.inv(_RGB_TO_XYZ).T, 0, 1)
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(rgb, 0, 1), dtype=values.dtype)


def lab_statistics(images: Sequence[Pixels]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (3) and standard deviation (3) of Lab over all pixels of all images, each pixel counted once.

    Args:
        images: (H, W, 3) 8-bit sRGB, of any sizes.

    Raises:
        ValueError: there is no pixel.
    """
    count = 0
    total = np.zeros(3)
    squares = np.zeros(3)
    for image in images:
        lab = pixels_to_lab(image).reshape(-1, 3).astype(np.float64)
        count += len(lab)
        total += lab.sum(axis=0)
        squares += (lab**2).sum(axis=0)
    if count == 0:
        raise ValueError("colour statistics need at least one image that is not empty")
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))


def transfer_lab(image: Pixels, mean: ArrayLike, std: ArrayLike) -> Pixels:
    """Return `image` with its Lab mean and deviation moved to `mean` and `std` (Reinhard et al. 2001, in Lab).

    A channel that hardly varies is moved, not stretched beyond `std` times.

    Args:
        image: (H, W, 3) 8-bit sRGB.
        mean: (3), Lab.
        std: (3), Lab.
    """
    lab = pixels_to_lab(image)
    flat = lab.reshape(-1, 3)
    own_mean = flat.mean(axis=0, dtype=np.float64)
    own_std = np.maximum(flat.std(axis=0, dtype=np.float64), _MIN_DEVIATION)
    moved = (lab - own_mean) / own_std * np.asarray(std, np.float64) + np.asarray(mean, np.float64)
    return np.asarray(np.rint(lab_to_srgb(moved) * 255), dtype=np.uint8)


def _linear_to_lab(linear: Floats) -> Floats:
    xyz = linear @ (_RGB_TO_XYZ / _WHITE[:, None]).T.astype(linear.dtype)
    roots = np.where(xyz > _KNEE**3, np.cbrt(xyz), xyz / (3 * _KNEE**2) + 4 / 29)
    x, y, z = roots[..., 0], roots[..., 1], roots[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
