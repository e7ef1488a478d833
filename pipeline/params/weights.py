"""Parameters of published weights: where files lie on this machine, and which files they must be."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.params.ranges import Sha256


@dataclass(frozen=True)
class Weights:
    """Local files of pretrained weights; empty means torch's cache, if it is filled.

    Where a file lies is this machine's; which file it must be is part of an evaluation's results.
    """

    vgg16: str
    vgg16_sha256: Sha256
    inception: str
    inception_sha256: Sha256
