"""Distances between features of outputs and of paintings: kernel distance, and Fréchet distance of many images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.references import Features, Pixels, References, Settings
from pipeline.metrics.sketch import random_halves

Array: TypeAlias = NDArray[np.float64]

PUBLISHED = frozenset({"inception 6726825d", "vgg16 397923af"})
"""Names of the features that others report too: torch-fidelity's Inception and torchvision's VGG16, as released."""

_FRECHET_LEAST = 2_000  # images of each kind; with fewer, the bias of the covariance is larger than what is measured
_NO_PAIR = 1e-9  # share of pairs of different images below which a resample holds one image alone


class Kernel:
    """`style/kid`, and `style/frechet` from 2,000 images of each kind up; nothing when no network looks."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Look at the paintings once."""
        del settings
        self._network = references.observers.features
        if self._network is None:
            return
        found = _look(self._network, references.paintings)
        self._scale = 1.0 if self._network.name in PUBLISHED else _root_mean_square(found)
        self._paintings = found / self._scale
        self._within = polynomial(self._paintings, self._paintings)

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the distances; those of the Fréchet distance are NaN but for the estimate.

        Its every resample would cost the square root of another large matrix.
        """
        if self._network is None:
            return {}
        found = _look(self._network, outputs) / self._scale
        kernels = polynomial(found, found), polynomial(found, self._paintings), self._within
        result = {"style/kid": kernel_distance(*kernels, resamples.photographs, resamples.paintings)}
        if min(len(found), len(self._paintings)) >= _FRECHET_LEAST:
            result["style/frechet"] = np.full(len(resamples.photographs), np.nan)
            result["style/frechet"][0] = frechet_distance(found, self._paintings)
        return result

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return kernel distances between random halves of the paintings: about 0, as it has no bias.

        Empty draws when there are fewer than 4 paintings, since a half needs a pair.
        """
        if self._network is None:
            return {}
        count = len(self._within)
        if count < 4:
            return {"style/kid": np.empty(0)}
        kernels = self._within, self._within, self._within
        return {"style/kid": kernel_distance(*kernels, *random_halves(count, splits))}


def polynomial(left: Array, right: Array) -> Array:
    """Return the kernel (x.y / d + 1)^3 of Binkowski et al. 2018 for rows of features: (n, d), (m, d) -> (n, m)."""
    return np.asarray((left @ right.T / left.shape[1] + 1) ** 3)


def kernel_distance(
    left: Array, cross: Array, right: Array, left_weights: NDArray[np.float32], right_weights: NDArray[np.float32]
) -> Samples:
    """Return the unbiased squared maximum mean discrepancy (Gretton et al. 2012) of weighted images.

    A pair of an image with itself says nothing about a distribution. It is left out, also where a resample holds
    the image more than once.

    Args:
        left: (n, n) kernel of the outputs among themselves.
        cross: (n, m) kernel of outputs and paintings.
        right: (m, m) kernel of the paintings among themselves.
        left_weights: (rows, n), at least 0.
        right_weights: (rows, m).

    Returns:
        (rows); may be negative.
    """
    x, y = _normalised(left_weights), _normalised(right_weights)
    return np.asarray(_mean_of_pairs(left, x) + _mean_of_pairs(right, y) - 2 * ((x @ cross) * y).sum(axis=1))


def _mean_of_pairs(kernel: Array, weights: Array) -> Array:
    others = kernel - np.diag(np.diag(kernel))
    total = ((weights @ others) * weights).sum(axis=1)
    pairs = 1 - (weights**2).sum(axis=1)
    # A resample that holds one image alone, as happens among very few, has no pair: the first row stands in for it.
    mean = np.full_like(total, total[0] / pairs[0])
    return np.asarray(np.divide(total, pairs, out=mean, where=pairs > _NO_PAIR))


def _normalised(weights: NDArray[np.float32]) -> Array:
    # In single precision rows miss 1 by more than what is left of three large terms that nearly cancel.
    wide = weights.astype(np.float64)
    return np.asarray(wide / wide.sum(axis=1, keepdims=True))


def frechet_distance(left: Array, right: Array) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to rows of features (Dowson & Landau 1982), at least 0.

    |m - n|^2 + tr(A + B - 2 (A B)^(1/2)); the last trace is that of (A^(1/2) B A^(1/2))^(1/2), which is symmetric.

    Args:
        left: (n, d), n of at least 2.
        right: (m, d).
    """
    shift = left.mean(axis=0) - right.mean(axis=0)
    one, other = (np.cov(rows, rowvar=False).reshape(left.shape[1], -1) for rows in (left, right))
    values, vectors = linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = linalg.eigvalsh(root @ other @ root)
    overlap = np.sqrt(np.maximum(product, 0)).sum()  # rounding leaves specks below 0
    return max(0.0, float(shift @ shift + np.trace(one) + np.trace(other) - 2 * overlap))


def _look(network: Features, images: Sequence[Pixels]) -> Array:
    """Return one row of features an image."""
    return np.stack([network(image) for image in images]).astype(np.float64)


def _root_mean_square(features: Array) -> float:
    """Return the scale in which features are about 1.

    A learned judge's features have the scale that training left them in: too small and the kernel is 1 whatever
    they are, too large and it sees the largest alone.
    """
    return float(np.sqrt((features**2).mean())) or 1.0
