"""Mode collapse: how many different pictures the outputs amount to, against how many the photographs do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.diversity import pairwise, thumbnails
from pipeline.metrics.references import Pixels, References, Settings


class Modes:
    """`diversity/modes`."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Measure the photographs once: the median distance between two of them says what counts as different."""
        del settings
        distances = pairwise(thumbnails(references.photographs))
        self._bandwidth = float(np.median(distances[np.triu_indices(len(distances), 1)]))
        self._inputs = self._kernel(distances)

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the ratio of Vendi scores; no numbers where all photographs are one picture."""
        if self._bandwidth == 0:
            return {"diversity/modes": np.full(len(resamples.photographs), np.nan)}
        weights = resamples.photographs.astype(np.float64)
        found = vendi(self._kernel(pairwise(thumbnails(outputs))), weights)
        return {"diversity/modes": found / vendi(self._inputs, weights)}

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: the photographs are the measure."""
        del splits
        return {}

    def _kernel(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Gaussian similarities in [0, 1]; of an image with itself exactly 1."""
        with np.errstate(divide="ignore", invalid="ignore"):  # refused in `measure`
            similar = np.exp(-0.5 * (distances / self._bandwidth) ** 2)
        np.fill_diagonal(similar, 1)
        return np.asarray(similar)


def vendi(kernel: NDArray[np.float64], weights: NDArray[np.float64]) -> Samples:
    """Return the Vendi score (Friedman and Dieng 2023) of each row of weights: the number of different pictures.

    It is exp of the Shannon entropy of the eigenvalues of K_ij sqrt(w_i w_j), whose trace is 1. A picture of twice
    the weight counts as two copies of it would, so a resample costs no new kernel.

    Args:
        kernel: (n, n) similarities, positive semidefinite, 1 on the diagonal.
        weights: (rows, n), not negative; each row is divided by its sum.

    Returns:
        (rows), between 1, for copies of one picture, and n.
    """
    found = np.empty(len(weights))
    for row, weight in enumerate(weights):  # one at a time: memory is that of the kernel
        root = np.sqrt(weight / weight.sum())
        shares = np.linalg.eigvalsh(kernel * root[:, None] * root)
        shares = np.maximum(shares, np.finfo(np.float64).tiny)  # rounding leaves specks below 0; 0 log 0 is 0
        found[row] = np.exp(-(shares * np.log(shares)).sum())
    return found
