"""Whether an image tells the codes that it was made with: to the model's own head, and to a classifier of our own.

The model's head may read a code out of what no eye sees. So a second classifier, trained here from nothing on half of
the images (those of even seeds), says what anybody could read off the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipeline.colour import pixels_to_lab
from pipeline.metrics import bootstrap
from pipeline.metrics.bootstrap import Samples
from pipeline.metrics.pyramid import box_reduce
from pipeline.metrics.references import Pixels

Array: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.int64]

CHANCE = "chance"
"""The name of the control: what guessing scores."""
OWN, OWN_NUMBERS = "codes/own", "codes/own_continuous"
SEEN, SEEN_NUMBERS = "codes/independent", "codes/independent_continuous"
_CELLS = 8  # a side of the grid on which the classifier sees light, colours and roughness
_DECAY = 3.0  # weight of the squared weights of the classifier, for standardised features


@dataclass(frozen=True)
class Coded:
    """Images, and the codes of each: what they were made with, and what the model's own head reads."""

    images: Sequence[Pixels]
    categories: tuple[Numbers, ...]  # (N,) of each categorical code
    kinds: tuple[int, ...]  # how many categories each has
    numbers: Array  # (N, continuous codes)
    read_categories: tuple[Numbers, ...]
    read_numbers: Array


def measure(coded: Coded, resamples: int) -> dict[str, Samples]:
    """Return samples of every figure, over the images of odd place; those of even place teach the classifier.

    Accuracies are means over categorical codes, correlations over continuous ones.
    """
    teach, test = slice(0, None, 2), slice(1, None, 2)
    features = standardised(np.stack([describe(image) for image in coded.images]), teach)
    weights = bootstrap.draw(len(features[test]), 2, resamples).photographs.astype(np.float64)
    found: dict[str, Samples] = {}
    if coded.kinds:
        seen = [
            classify(features[teach], codes[teach], kinds, features[test])
            for codes, kinds in zip(coded.categories, coded.kinds, strict=True)
        ]
        found[OWN] = _accuracy(weights, coded.categories, coded.read_categories, test)
        found[SEEN] = _accuracy(weights, [codes[test] for codes in coded.categories], seen, slice(None))
    if coded.numbers.shape[1]:
        guessed = regress(features[teach], coded.numbers[teach], features[test])
        found[OWN_NUMBERS] = _correlation(weights, coded.numbers[test], coded.read_numbers[test])
        found[SEEN_NUMBERS] = _correlation(weights, coded.numbers[test], guessed)
    return found


def chance(coded: Coded, resamples: int) -> dict[str, Samples]:
    """Return what guessing scores, as samples that are all alike: one in as many as there are categories, and 0."""
    rows = 1 + resamples
    found: dict[str, Samples] = {}
    if coded.kinds:
        level = float(np.mean([1 / kinds for kinds in coded.kinds]))
        found |= {name: np.full(rows, level) for name in (OWN, SEEN)}
    if coded.numbers.shape[1]:
        found |= {name: np.zeros(rows) for name in (OWN_NUMBERS, SEEN_NUMBERS)}
    return found


def describe(image: Pixels) -> Array:
    """Return what the classifier sees: Lab colours on a grid, and how rough light is in each of its cells."""
    lab = pixels_to_lab(image)
    factor = max(1, image.shape[0] // _CELLS)
    rough = box_reduce(lab[..., :1] ** 2, factor) - box_reduce(lab[..., :1], factor) ** 2
    cells = [box_reduce(lab, factor), np.sqrt(np.maximum(rough, 0))]
    return np.concatenate([cell.reshape(-1) for cell in cells]).astype(np.float64)


def standardised(features: Array, teach: slice) -> Array:
    """Return features less their mean, by their deviation, both of the rows that teach."""
    known = features[teach]
    return np.asarray((features - known.mean(axis=0)) / (known.std(axis=0) + 1e-6))


def classify(features: Array, codes: Numbers, kinds: int, unseen: Array) -> Numbers:
    """Return the categories of unseen images by multinomial logistic regression with weight decay.

    It is convex and begins at 0, so the same images always give the same answer.

    Args:
        features: (N, F) of the images that teach.
        codes: (N,) their categories.
        kinds: how many categories there are.
        unseen: (M, F).
    """
    inputs = np.hstack([features, np.ones((len(features), 1))])
    wanted = np.eye(kinds)[codes]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(inputs.shape[1], kinds)
        logits = inputs @ weights
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        decayed = weights.copy()
        decayed[-1] = 0  # the bias
        value = -(wanted * logs).sum() + 0.5 * _DECAY * (decayed**2).sum()
        return float(value), (inputs.T @ (np.exp(logs) - wanted) + _DECAY * decayed).reshape(-1)

    found = minimize(loss, np.zeros(inputs.shape[1] * kinds), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weights = found.x.reshape(inputs.shape[1], kinds)
    return np.asarray(np.argmax(np.hstack([unseen, np.ones((len(unseen), 1))]) @ weights, axis=1))


def regress(features: Array, numbers: Array, unseen: Array) -> Array:
    """Return estimates (M, C) of the numbers (N, C) of unseen images by ridge regression."""
    mean = numbers.mean(axis=0)
    decay = _DECAY * len(features) / 100 * np.eye(features.shape[1])
    weights = np.linalg.solve(features.T @ features + decay, features.T @ (numbers - mean))
    return np.asarray(unseen @ weights + mean)


def _accuracy(weights: Array, codes: Sequence[Numbers], told: Sequence[Numbers], part: slice) -> Samples:
    right = [(one[part] == other[part]).astype(np.float64) for one, other in zip(codes, told, strict=True)]
    return np.asarray(weights @ np.mean(right, axis=0))


def _correlation(weights: Array, numbers: Array, told: Array) -> Samples:
    """Return the mean over columns of the weighted correlation of each, row by row of weights; 0 for a constant."""
    x, y = numbers[None], told[None]
    x = x - np.einsum("rn,nc->rc", weights, numbers)[:, None]
    y = y - np.einsum("rn,nc->rc", weights, told)[:, None]
    together = np.einsum("rn,rnc->rc", weights, x * y)
    size = np.sqrt(np.einsum("rn,rnc->rc", weights, x**2) * np.einsum("rn,rnc->rc", weights, y**2))
    return np.asarray(np.divide(together, size, out=np.zeros_like(size), where=size > 1e-12).mean(axis=1))
