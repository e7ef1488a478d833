"""Bootstrap over photographs and over paintings, as weights, so that a resample costs a matrix product.

Row 0 of every array of samples is the estimate itself (equal weights); the rows after it are resamples. All figures
of one evaluation use the same rows, so a difference of two arrays of samples is a paired difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics import Metric

Samples: TypeAlias = NDArray[np.float64]
Figure: TypeAlias = dict[str, float | None]

_SEED = 81_407
_LEVEL = 95.0  # percent
_DIGITS = 6  # significant; the rest is the order of summation


@dataclass(frozen=True)
class Resamples:
    """Weights of images. Each row sums to 1; row 0 is uniform."""

    photographs: NDArray[np.float32]  # (1 + resamples, photographs)
    paintings: NDArray[np.float32]  # (1 + resamples, paintings)


def draw(photographs: int, paintings: int, resamples: int) -> Resamples:
    """Return the weights of `resamples` draws with replacement; the same numbers give the same weights."""
    rng = np.random.default_rng([_SEED, photographs, paintings])
    return Resamples(_weights(rng, photographs, resamples), _weights(rng, paintings, resamples))


def _weights(rng: np.random.Generator, count: int, resamples: int) -> NDArray[np.float32]:
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.full((1, count), 1 / count), drawn / count]).astype(np.float32)


def figure(samples: Samples, bounds: Metric | None = None) -> Figure:
    """Return value, low and high (95 %) of samples; None in place of what is no number.

    A resampled distance is biased upwards (it holds the sampling noise twice), so the resamples give the shape of the
    interval and the estimate its place: value + (resample - mean of resamples). `bounds` cuts it to what is possible.
    """
    value, rest = float(samples[0]), samples[1:]
    if not np.isfinite(samples).all():
        return {"value": _number(value), "low": None, "high": None}
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(rest - rest.mean(), [tail, 100 - tail]) + value
    # An estimate may lie outside the quantiles of a skewed distribution, but not outside its interval.
    low, high = min(float(low), value), max(float(high), value)
    if bounds is not None:
        low, high = max(low, bounds.low), min(high, bounds.high)
    return {"value": _number(value), "low": _number(low), "high": _number(high)}


def spread(samples: Samples) -> Figure:
    """Return mean and central 95 % of samples that are draws themselves (no row 0), as those of `paintings` are."""
    if samples.size == 0 or not np.isfinite(samples).all():
        return {"value": None, "low": None, "high": None}
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return {"value": _number(samples.mean()), "low": _number(low), "high": _number(high)}


def _number(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
