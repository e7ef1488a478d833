"""What all metrics of one evaluation share: the held-out images, the training images, and the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import Resamples, Samples

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """How finely to measure."""

    patches: int  # per image and pyramid level
    directions: int
    levels: int
    bootstrap: int


class Features(Protocol):
    """A frozen network that describes a picture. Figures of features of different names are never compared."""

    @property
    def name(self) -> str:
        """Which network, with a digest of its weights."""
        ...

    def __call__(self, image: Pixels) -> NDArray[np.float64]:
        """Return the picture's features (D,); of one picture alone, so that no figure depends on a batch."""
        ...


class Judge(Protocol):
    """A frozen classifier of paintings by this hand against photographs."""

    @property
    def name(self) -> str:
        """Its version: a digest of its weights."""
        ...

    def rates(self, image: Pixels) -> Mapping[str, float]:
        """Return the share of a picture taken for a painting, in [0, 1], as `judge/colour` and `judge/luminance`."""
        ...


class Perceptual(Protocol):
    """A distance between two pictures, from a frozen network."""

    @property
    def name(self) -> str:
        """Which network, with a digest of its weights."""
        ...

    def __call__(self, one: Pixels, other: Pixels) -> float:
        """Return the distance of two pictures of one size, 0 for the same."""
        ...


@dataclass(frozen=True)
class Observers:
    """The networks that look at pictures; None where there is none at hand, and then nothing is measured by it."""

    features: Features | None = None
    judge: Judge | None = None
    perceptual: Perceptual | None = None

    def names(self) -> dict[str, str | None]:
        """Return which networks looked, for reports: figures of others are not comparable."""
        return {
            "features": self.features.name if self.features else None,
            "judge": self.judge.name if self.judge else None,
            "perceptual": self.perceptual.name if self.perceptual else None,
        }


NOBODY = Observers()
"""No network looks: what needs one is not measured."""


@dataclass(frozen=True)
class References:
    """8-bit sRGB squares of one side, (V, V, 3), in canonical order, training images, and the networks that look."""

    photographs: tuple[Pixels, ...]
    paintings: tuple[Pixels, ...]
    training: Iterable[Pixels] | None = None  # squares of any side; read once
    observers: Observers = NOBODY
    images: int | None = None  # how many outputs are scored, where they come of no photograph

    @property
    def outputs(self) -> int:
        """How many outputs are scored: one a photograph, where there are photographs."""
        return len(self.photographs) if self.images is None else self.images


class Family(Protocol):
    """Metrics that share what they compute. Built once from references, then asked about sets of outputs."""

    def measure(self, outputs: Sequence[Pixels], resamples: Resamples) -> dict[str, Samples]:
        """Return samples of each of the family's metrics.

        Args:
            outputs: one for each photograph of the references, in their order and size.
            resamples: row 0 the estimate, the others resamples.
        """
        ...

    def upper(self, splits: int) -> dict[str, Samples]:
        """Return draws of what outputs as good as paintings would score, where that has a meaning."""
        ...


def canonical_order(images: Sequence[Pixels]) -> list[int]:
    """Return the order of images by the digest of their pixels, so that no figure depends on how they were listed."""
    digests = [hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest() for image in images]
    return sorted(range(len(images)), key=digests.__getitem__)
