"""Content: what is left of the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.colour import pixels_to_lab
from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.pyramid import box_reduce, gaussian, smooth
from pipeline.metrics.references import Pixels, References, Settings

Array: TypeAlias = NDArray[np.float32]

_STRUCTURE_CELLS = 40  # a thumbnail in which a subject can still be told
_EDGE_CELLS = 80
_WINDOW = gaussian(1.0)  # cells
_STABLE = 4.0  # L units squared: variance below which a difference is nothing anyone sees
_CALM = 0.5  # L units: the weight of a calm area, beside its deviation


class Content:
    """`content/structure` and `content/edges`."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Keep the photographs' luminance."""
        del settings  # nothing here is sampled
        self._photographs = [_luminance(image) for image in references.photographs]

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the weighted means over photographs."""
        return {name: _mean(values, resamples) for name, values in self.each(outputs).items()}

    def each(self, outputs: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        """Return one number an output."""
        pairs = [(photo, _luminance(out)) for photo, out in zip(self._photographs, outputs, strict=True)]
        return {
            "content/structure": np.array([structure(*pair) for pair in pairs]),
            "content/edges": np.array([edges(*pair) for pair in pairs]),
        }

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return nothing: paintings have no photograph."""
        del splits
        return {}


def structure(photograph: Array, output: Array) -> float:
    """Return how much of a photograph's coarse structure an output keeps, in [-1, 1].

    SSIM's structure term (Wang et al. 2004) on a thumbnail, times its contrast term where contrast was lost: strokes
    may add contrast, blur may not take it away. Weighted by the photograph's local deviation: paint in an empty sky
    costs little, a lost subject much.

    Args:
        photograph: (V, V) luminance, L units.
        output: the same.
    """
    factor = max(1, round(photograph.shape[0] / _STRUCTURE_CELLS))
    x, y = box_reduce(photograph, factor), box_reduce(output, factor)
    mean_x, mean_y = smooth(x, _WINDOW), smooth(y, _WINDOW)
    var_x = np.maximum(smooth(x * x, _WINDOW) - mean_x**2, 0)
    var_y = np.maximum(smooth(y * y, _WINDOW) - mean_y**2, 0)
    covariance = smooth(x * y, _WINDOW) - mean_x * mean_y
    product = np.sqrt(var_x * var_y)
    correlation = (covariance + _STABLE / 2) / (product + _STABLE / 2)
    kept = np.minimum(var_x, var_y)
    lost_contrast = (2 * np.sqrt(var_x * kept) + _STABLE) / (var_x + kept + _STABLE)
    weight = np.sqrt(var_x) + _CALM
    return float(np.clip((weight * correlation * lost_contrast).sum() / weight.sum(), -1, 1))


def edges(photograph: Array, output: Array) -> float:
    """Return the cosine between the luminance gradients of two (V, V) images at medium scale, in [-1, 1]."""
    factor = max(1, round(photograph.shape[0] / _EDGE_CELLS))
    one, other = (_gradient(box_reduce(image, factor)) for image in (photograph, output))
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    if norm == 0:  # two blank sheets agree; a blank sheet and a picture do not
        return float(np.array_equal(one, other))
    return float(np.clip((one * other).sum() / norm, -1, 1))


def _gradient(image: Array) -> Array:
    soft = smooth(image, _WINDOW)
    return np.stack([np.gradient(soft, axis=0), np.gradient(soft, axis=1)])


def _luminance(image: Pixels) -> Array:
    return pixels_to_lab(image)[..., 0]


def _mean(values: NDArray[np.float64], resamples: Resamples) -> Samples:
    return resamples.photographs.astype(np.float64) @ values
