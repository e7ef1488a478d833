"""Deception: how much of the outputs the frozen judge takes for paintings by this hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.references import Pixels, References, Settings

_SEED = 71_993


class Deception:
    """`judge/colour` and `judge/luminance`; nothing without a judge."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Ask the judge about the held-out paintings once."""
        del settings
        self._judge = references.observers.judge
        self._paintings = self._rates(references.paintings) if self._judge else {}

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the mean rates over photographs."""
        weights = resamples.photographs.astype(np.float64)
        return {name: weights @ values for name, values in self.each(outputs).items()}

    def each(self, outputs: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        """Return one number an output."""
        return self._rates(outputs) if self._judge else {}

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return mean rates of the held-out paintings, resampled: what real paintings score."""
        rng = np.random.default_rng([_SEED, splits])
        return {
            name: values[rng.integers(len(values), size=(splits, len(values)))].mean(axis=1)
            for name, values in self._paintings.items()
        }

    def _rates(self, images: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        assert self._judge is not None
        found = [self._judge.rates(image) for image in images]
        return {name: np.array([rates[name] for rates in found], np.float64) for name in found[0]}
