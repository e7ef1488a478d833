"""Memorisation: whether outputs lie closer to training images than paintings that the model never saw do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.diversity import cross, thumbnails
from pipeline.metrics.references import Pixels, References, Settings


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

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: 1 is what held-out paintings score."""
        del splits
        return {}

    def _nearest(self, images: Sequence[Pixels]) -> NDArray[np.float64]:
        assert self._training is not None
        return np.asarray(cross(thumbnails(images), self._training).min(axis=1))


def _both_ways(training: Iterable[Pixels] | None) -> NDArray[np.float32] | None:
    if training is None:
        return None
    rows = [thumbnails([image, image[:, ::-1]]) for image in training]
    return np.concatenate(rows) if rows else None
