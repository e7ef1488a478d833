"""Sections of params.yaml on judging: the frozen judge, an evaluation, the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.params.ranges import Between


@dataclass(frozen=True)
class Judge:
    """The frozen judge of a style, see `pipeline.judge`."""

    steps: Annotated[int, Between(1, 1_000_000)]
    batch: Annotated[int, Between(2, 4096)]  # paintings a step, and as many photographs
    channels: Annotated[int, Between(2, 512)]  # after the first convolution
    learning_rate: Annotated[float, Between(1e-6, 1)]


@dataclass(frozen=True)
class Evaluate:
    """How a package is scored."""

    max_images: Annotated[int, Between(2, 100_000)]  # held-out images used of each collection
    patches: Annotated[int, Between(8, 100_000)]  # per image and pyramid level
    directions: Annotated[int, Between(4, 4096)]  # projections of the sliced Wasserstein distance
    levels: Annotated[int, Between(1, 6)]  # of the pyramid
    bootstrap: Annotated[int, Between(20, 100_000)]  # resamples behind an interval
    features: Literal["auto", "inception", "vgg16", "judge"]  # of kernel distances
    samples: Annotated[int, Between(2, 100_000)]  # images of a model that makes them out of noise
    coded: Annotated[int, Between(16, 1_000_000)]  # images of which the codes are read, of a model that has codes
    gallery: Annotated[int, Between(1, 200)]  # before/after pairs in the report


@dataclass(frozen=True)
class SeedNoise:
    """How much a figure may be worse than the champion's before it counts: another seed makes as much difference."""

    style: Annotated[float, Between(0, 1)]  # style/patch_swd
    texture: Annotated[float, Between(0, 1)]  # style/texture_swd
    structure: Annotated[float, Between(0, 1)]  # content/structure
    psnr: Annotated[float, Between(0, 10)]  # restored/psnr, dB
    ssim: Annotated[float, Between(0, 1)]  # restored/ssim


@dataclass(frozen=True)
class Gate:
    """What a model must show to be promoted. No stage depends on it."""

    mode: Literal["not_worse", "better", "manual"]
    min_gap_closed: Annotated[float, Between(0, 1)]  # of the way from Lab transfer to held-out paintings
    min_structure: Annotated[float, Between(0, 1)]
    max_flicker: Annotated[float, Between(0, 100)]  # L units: paint that changes when the photograph moves a little
    min_spread: Annotated[float, Between(0, 1)]  # diversity of images out of noise; 1: as the paintings
    seed_noise: SeedNoise
    min_photographs: Annotated[int, Between(2, 100_000)]  # held out; fewer cannot carry an interval
    min_paintings: Annotated[int, Between(2, 100_000)]
