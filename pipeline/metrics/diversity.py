"""Diversity: whether different photographs still become different pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.colour import pixels_to_lab
from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.pyramid import thumbnail
from pipeline.metrics.references import Pixels, References, Settings

_SIDE = 16  # cells of the thumbnails that are compared


class Diversity:
    """`diversity/pairwise`."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Measure the photographs once."""
        del settings
        self._inputs = pairwise(thumbnails(references.photographs))

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the ratio of mean distances; pairs of a photograph with itself are left out."""
        weights = resamples.photographs.astype(np.float64)
        found = _quadratic(weights, pairwise(thumbnails(outputs)))
        with np.errstate(divide="ignore", invalid="ignore"):  # photographs that are all equal: no number
            return {"diversity/pairwise": found / _quadratic(weights, self._inputs)}

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: the photographs are the measure."""
        del splits
        return {}


def thumbnails(images: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return Lab thumbnails as rows: (images, 16 * 16 * 3), scaled so that a distance is in Lab units."""
    rows = np.stack([thumbnail(pixels_to_lab(image), _SIDE).reshape(-1) for image in images])
    return rows / np.float32(_SIDE)


def pairwise(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Euclidean distances between rows: (n, n)."""
    return cross(rows, rows)


def cross(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Euclidean distances between rows of two arrays: (n, m)."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _quadratic(weights: NDArray[np.float64], distances: NDArray[np.float64]) -> NDArray[np.float64]:
    clean = distances - np.diag(np.diag(distances))  # rounding leaves specks where an image meets itself
    return np.asarray(((weights @ clean) * weights).sum(axis=1))
