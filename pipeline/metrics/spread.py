"""Diversity of images that come of no photograph: as much as the paintings differ from each other?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.diversity import pairwise, thumbnails
from pipeline.metrics.references import Pixels, References, Settings


class Spread:
    """`diversity/spread`."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Measure the paintings once."""
        del settings
        self._paintings = pairwise(thumbnails(references.paintings))

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the ratio of mean distances of different images."""
        ours = mean_distance(pairwise(thumbnails(outputs)), resamples.photographs)
        theirs = mean_distance(self._paintings, resamples.paintings)
        with np.errstate(divide="ignore", invalid="ignore"):  # paintings that are all equal: no number
            return {"diversity/spread": ours / theirs}

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: 1 is what the paintings score."""
        del splits
        return {}


def mean_distance(distances: NDArray[np.float64], weights: NDArray[np.float32]) -> Samples:
    """Return the mean distance of two different images, row by row of weights; of the pairs there are in each.

    An image that a resample holds twice has no distance to itself, so these pairs are left out of the mean as well.
    A resample that holds one image alone, as happens among very few, has the distance 0.

    Args:
        distances: (n, n).
        weights: (rows, n), each row summing to 1.
    """
    wide = weights.astype(np.float64)
    clean = distances - np.diag(np.diag(distances))  # rounding leaves specks where an image meets itself
    total = ((wide @ clean) * wide).sum(axis=1)
    pairs = 1 - (wide**2).sum(axis=1)
    return np.asarray(np.divide(total, pairs, out=np.zeros_like(total), where=pairs > 1e-9))
