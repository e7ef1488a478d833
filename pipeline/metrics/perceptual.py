"""Perceptual distance: how far a frozen network finds outputs from their photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.references import Pixels, References, Settings


class PerceptualDistance:
    """`content/lpips`; nothing when there is no network for it."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Keep the photographs."""
        del settings
        self._network = references.observers.perceptual
        self._photographs = references.photographs

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the weighted mean over photographs."""
        weights = resamples.photographs.astype(np.float64)
        return {name: weights @ values for name, values in self.each(outputs).items()}

    def each(self, outputs: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        """Return one number an output."""
        if self._network is None:
            return {}
        pairs = zip(self._photographs, outputs, strict=True)
        return {"content/lpips": np.array([self._network(*pair) for pair in pairs], dtype=np.float64)}

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: paintings have no photograph."""
        del splits
        return {}
