"""Memorisation: whether outputs lie closer to training images than paintings that the model never saw do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.diversity import cross, thumbnails
from pipeline.metrics.references import Pixels, References, Settings

# Of held-out paintings' distance to the training set: what is nearer is a copy. Pasted training paintings score 0, an
# honest painter 0.9; laid over his picture, a pasted one scores 0.6 at half its strength, 0.3 at three quarters (on
# the tests' scenes). The nearest single output of honest models scored 0.8.
COPY = 0.35
_ROWS = 4096  # thumbnails compared at a time: what is added to memory stays at some tens of MiB


@dataclass(frozen=True)
class Nearest:
    """The training image that an output is nearest to."""

    ratio: float  # distance, relative to that of held-out paintings; NaN where those are training images
    training: int  # number in the order in which the training images were read
    mirrored: bool  # it is the mirror image that is near


class Memorisation:
    """`memorisation/nearest_train`; nothing when there are no training images."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Measure the held-out paintings once."""
        del settings
        self._training = _both_ways(references.training)
        self._paintings = self._nearest(references.paintings) if self._training is not None else None

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the ratio of mean distances to the nearest training image, crop or mirror image."""
        if self._paintings is None:
            return {}
        ours = resamples.photographs.astype(np.float64) @ self._nearest(outputs)
        theirs = resamples.paintings.astype(np.float64) @ self._paintings
        with np.errstate(divide="ignore", invalid="ignore"):  # held-out paintings that are training images
            return {"memorisation/nearest_train": ours / theirs}

    def nearest(self, outputs: Sequence[Pixels]) -> list[Nearest]:
        """Return the nearest training image of each output; empty where there are none."""
        if self._training is None or self._paintings is None:
            return []
        distances, rows = _closest(thumbnails(outputs), self._training)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = distances / self._paintings.mean()
        return [Nearest(float(r), int(row) // 2, bool(row % 2)) for r, row in zip(ratios, rows, strict=True)]

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: 1 is what held-out paintings score."""
        del splits
        return {}

    def _nearest(self, images: Sequence[Pixels]) -> NDArray[np.float64]:
        assert self._training is not None
        return _closest(thumbnails(images), self._training)[0]


def _closest(
    rows: NDArray[np.float32], training: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return distance and number of the nearest of the training rows, the first of equals, for each row."""
    distances = np.full(len(rows), np.inf)
    numbers = np.zeros(len(rows), np.intp)
    for start in range(0, len(training), _ROWS):
        found = cross(rows, training[start : start + _ROWS])
        best = found.argmin(axis=1)
        least = found[np.arange(len(rows)), best]
        nearer = least < distances
        distances[nearer], numbers[nearer] = least[nearer], best[nearer] + start
    return distances, numbers


def _both_ways(training: Iterable[Pixels] | None) -> NDArray[np.float32] | None:
    if training is None:
        return None
    rows = [thumbnails([image, image[:, ::-1]]) for image in training]
    return np.concatenate(rows) if rows else None
