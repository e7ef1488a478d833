"""How far restored pictures are from the originals: absolute error, gradients, PSNR and SSIM, as paired samples.

Every original is damaged once a grade (see `pipeline.damage`). Resamples are of originals, with all that was made of
each: what two grades show of one picture is not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics import REGISTRY, bootstrap
from pipeline.metrics.bootstrap import Samples
from pipeline.metrics.references import Pixels

_LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
_WINDOW = 11  # px: of SSIM, as published
PERFECT = 100.0  # dB, of equal pictures


class RestoredSuite:
    """Every figure against one set of originals; two restorers measured by one suite share its resamples."""

    def __init__(
        self,
        originals: Sequence[Pixels],
        lost: Mapping[str, Sequence[NDArray[np.bool_] | None]],
        resamples: int,
    ) -> None:
        """Hold the originals.

        Args:
            originals: (H, W, 3) each.
            lost: grade -> for each original (H, W), true where it was lost; None: all of it has suffered.
            resamples: of the bootstrap.

        Raises:
            ValueError: fewer than two originals, or a side below what SSIM looks at.
        """
        if len(originals) < 2:
            raise ValueError(
                f"only {len(originals)} held-out paintings: scoring needs at least 2; ingest more artworks"
            )
        if min(side for one in originals for side in one.shape[:2]) < _WINDOW:
            raise ValueError(f"held-out views must be {_WINDOW} px wide and high at least; raise prepare.view")
        self._originals, self._lost = originals, lost
        self._weights = bootstrap.draw(len(originals), len(originals), resamples).paintings

    def measure(self, outputs: Mapping[str, Sequence[Pixels]]) -> dict[str, Samples]:
        """Return samples of every figure of outputs, grade -> one an original; those of a grade alone by its name."""
        by_grade = {grade: self.each(grade, made) for grade, made in outputs.items()}
        figures = dict.fromkeys(name for found in by_grade.values() for name in found)
        values = {name: np.mean([found[name] for found in by_grade.values()], axis=0) for name in figures}
        for grade, found in by_grade.items():
            values |= {f"{name}/{grade}": of for name, of in found.items() if f"{name}/{grade}" in REGISTRY}
        return {name: np.asarray(self._weights @ of, dtype=np.float64) for name, of in values.items()}

    def each(self, grade: str, outputs: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        """Return what is found of every single output of a grade, by figure."""
        found = [
            _figures(original, output, lost)
            for original, output, lost in zip(self._originals, outputs, self._lost[grade], strict=True)
        ]
        return {f"restored/{name}": np.array([one[name] for one in found]) for name in found[0]}


def _figures(original: Pixels, output: Pixels, lost: NDArray[np.bool_] | None) -> dict[str, float]:
    inside = np.ones(original.shape[:2], bool) if lost is None or not lost.any() else lost
    a, b = original.astype(np.float64) / 255, output.astype(np.float64) / 255
    return {
        "l1": float(np.abs(a - b).mean(2)[inside].mean()),
        "gradient": float(_slopes_apart(a, b)[inside].mean()),
        "psnr": psnr(original, output),
        "ssim": ssim(original, output),
    }


def _slopes_apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (H, W): the length of the difference of both luminances' gradients, by central differences."""
    down, along = np.gradient((a - b) @ _LUMA)
    return np.asarray(np.hypot(down, along), dtype=np.float64)


def psnr(original: Pixels, output: Pixels) -> float:
    """Return the peak signal-to-noise ratio of a whole picture, 10 log10(255^2 / mean square); at most `PERFECT`."""
    square = np.square(original.astype(np.float64) - output).mean()
    return PERFECT if square == 0 else min(PERFECT, float(10 * np.log10(255**2 / square)))


def ssim(original: Pixels, output: Pixels) -> float:
    """Return the structural similarity of a whole picture (Wang et al. 2004): 11 px Gaussian windows, mean of RGB."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = (torch.from_numpy(x.astype(np.float64)).permute(2, 0, 1)[None] for x in (original, output))
    found = structural_similarity_index_measure(b, a, data_range=255.0, kernel_size=_WINDOW, sigma=1.5)
    assert isinstance(found, torch.Tensor)
    return float(found)
