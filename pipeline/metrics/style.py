"""Style: how far the outputs' patches, texture and colours are from those of held-out paintings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.colour import pixels_to_lab
from pipeline.metrics import sketch
from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.pyramid import (
    box_reduce,
    contrast_normalised,
    gaussian,
    gaussian_pyramid,
    laplacian_pyramid,
    smooth,
)
from pipeline.metrics.references import Pixels, References, Settings

Array: TypeAlias = NDArray[np.float32]
Projection: TypeAlias = Callable[[Pixels], Array]

_SEED = 26_917
_PATCH = 7  # px
_SOFTNESS = (1.0, 1.6)  # px, standard deviations of the smoothing of directions, in turn
_WINDOW = 2.0  # px, standard deviation: the neighbourhood of contrast normalisation
_CONTRAST_FLOOR = 3.0  # L units: grain below it stays small instead of being normalised up to a stroke's strength
_LAB_FLOOR = 0.5  # Lab units: below it a level of a flat style is 8-bit noise
_TEXTURE_FLOOR = 0.05  # of normalised contrast
_PALETTE_CELLS = 40  # colours are means over a grid of about this many cells a side
_PALETTE_DIRECTIONS = 32
_SLICED_SHIFT = 2.0  # a shift by d in three dimensions moves its projection by d / 2 on average


class Style:
    """The three style metrics: `style/patch_swd`, `style/texture_swd`, `style/palette`."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Sketch the paintings once."""
        self._projections: dict[str, Projection] = {
            "style/patch_swd": lambda image: project_patches(
                laplacian_pyramid(pixels_to_lab(image), settings.levels), settings
            ),
            "style/texture_swd": lambda image: project_patches(_texture(image, settings.levels), settings),
            "style/palette": project_colours,
        }
        groups = dict.fromkeys(self._projections, settings.directions) | {"style/palette": _PALETTE_DIRECTIONS}
        floors = {"style/patch_swd": _LAB_FLOOR, "style/texture_swd": _TEXTURE_FLOOR, "style/palette": _LAB_FLOOR}
        self._against = references.outputs
        self._frames: dict[str, sketch.Frame] = {}
        self._paintings: dict[str, Array] = {}
        self._units: dict[str, float] = {}
        for name, projection in self._projections.items():
            values = [projection(image) for image in references.paintings]
            frame = sketch.Frame.of(values, groups[name], floors[name])
            self._frames[name] = frame
            self._paintings[name] = np.stack([frame.sketch(value) for value in values])
            self._units[name] = _SLICED_SHIFT * float(frame.scale[0, 0]) if name == "style/palette" else 1.0

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the distances between weighted outputs and weighted paintings."""
        result = {}
        for name, found in self._sketches(outputs).items():
            distance = sketch.distances(found, resamples.photographs, self._paintings[name], resamples.paintings)
            result[name] = distance * self._units[name]
        return result

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return distances between halves of the paintings, at the sampling noise of `measure`."""
        return {
            name: sketch.halves(found, self._against, splits) * self._units[name]
            for name, found in self._paintings.items()
        }

    def each(self, outputs: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        """Return each output's own distance (one number an image) to all paintings: to rank, not to judge."""
        everything = np.full((len(outputs), len(self._paintings["style/palette"])), 1.0, np.float32)
        everything /= everything.shape[1]
        alone = np.eye(len(outputs), dtype=np.float32)
        return {
            name: sketch.distances(found, alone, self._paintings[name], everything) * self._units[name]
            for name, found in self._sketches(outputs).items()
        }

    def _sketches(self, outputs: Sequence[Pixels]) -> dict[str, Array]:
        return {
            name: np.stack([self._frames[name].sketch(projection(image)) for image in outputs])
            for name, projection in self._projections.items()
        }


def project_patches(levels: Sequence[Array], settings: Settings) -> Array:
    """Return projections of patches of every level on fixed random directions of unit length.

    Places are random but fixed: the same in every image of a size, so that a photograph and its painting are read at
    the same places; random, so that no grid of an upsampler can hide between them.

    Args:
        levels: (H, W) or (H, W, C) each.
        settings: number of patches and of directions.

    Returns:
        (levels * directions, patches).
    """
    rows = []
    for number, level in enumerate(levels):
        image = level if level.ndim == 3 else level[..., None]
        windows = sliding_window_view(image, (_PATCH, _PATCH), axis=(0, 1))
        height, width, *patch = windows.shape
        places = np.random.default_rng([_SEED, 0, number, height, width])
        y, x = places.integers(height, size=settings.patches), places.integers(width, size=settings.patches)
        length = int(np.prod(patch))
        directions = _directions(settings.directions, patch[0], number)
        patches = windows[y, x].reshape(settings.patches, length)
        # einsum and not @: products this small cost a hundred times more to share out among BLAS threads on a busy
        # machine, and their last digits would depend on how many there are.
        rows.append(np.einsum("dl,pl->dp", directions, patches))
    return np.concatenate(rows)


@functools.cache
def _directions(count: int, channels: int, level: int) -> Array:
    """Return unit filters as rows (count, channels * 7 * 7): random and smooth.

    White random directions see little but the variance of a patch, so that noise of the right strength passes for
    brushwork. Smoothed ones answer to what is coherent over a few pixels: measured on van Gogh and the samples,
    noise on a recoloured photograph closes at most a seventh of its gap to paintings.
    """
    rng = np.random.default_rng([_SEED, 1, level, channels])
    filters = rng.normal(size=(count, channels, _PATCH, _PATCH)).astype(np.float32)
    for number, one in enumerate(filters):
        kernel = gaussian(_SOFTNESS[number % len(_SOFTNESS)])
        one[:] = smooth(one.transpose(1, 2, 0), kernel).transpose(2, 0, 1)
    rows = filters.reshape(count, -1)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def project_colours(image: Pixels) -> Array:
    """Return Lab colours of a coarse grid on fixed directions: (directions, cells)."""
    lab = pixels_to_lab(image)
    colours = box_reduce(lab, max(1, round(image.shape[0] / _PALETTE_CELLS))).reshape(-1, 3)
    directions = np.random.default_rng([_SEED, 2]).normal(size=(_PALETTE_DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions.astype(np.float32) @ colours.T


def _texture(image: Pixels, levels: int) -> list[Array]:
    luminance = pixels_to_lab(image)[..., 0]
    return [contrast_normalised(level, _WINDOW, _CONTRAST_FLOOR) for level in gaussian_pyramid(luminance, levels)]
