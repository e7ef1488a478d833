"""What all metrics of one evaluation share: the held-out images, the training images, and the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True)
class References:
    """8-bit sRGB squares of one side, (V, V, 3), in canonical order, and thumbnails of training images."""

    photographs: tuple[Pixels, ...]
    paintings: tuple[Pixels, ...]
    training: Iterable[Pixels] | None = None  # squares of any side; read once


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
