"""Distortion: how far outputs are from their photographs, pixel by pixel. It describes: painting must cost some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.references import Pixels, References, Settings

_BEST = 1e-10  # mean squared error of 100 dB: equal images have no finite PSNR


class Distortion:
    """`distortion/mse` and `distortion/psnr`."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Keep the photographs."""
        del settings
        self._photographs = references.photographs

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the weighted means over photographs."""
        weights = resamples.photographs.astype(np.float64)
        return {name: weights @ values for name, values in self.each(outputs).items()}

    def each(self, outputs: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        """Return one number an output."""
        pairs = zip(self._photographs, outputs, strict=True)
        error = np.array([np.mean((a.astype(np.float64) - b) ** 2) / 255**2 for a, b in pairs])
        return {"distortion/mse": error, "distortion/psnr": -10 * np.log10(np.maximum(error, _BEST))}

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: paintings have no photograph."""
        del splits
        return {}
