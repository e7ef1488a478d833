"""What several methods share in their sections of params.yaml: networks and weights of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.params.ranges import Between, Weight
from pipeline.params.training import Train


@dataclass(frozen=True)
class Generator:
    """ResNet generator."""

    channels: Annotated[int, Between(4, 512)]  # after the first convolution
    blocks: Annotated[int, Between(1, 32)]
    downsamplings: Annotated[int, Between(1, 4)]
    antialias: bool  # blur-pooled down- and upsampling; else strided and nearest
    detail: bool  # full-resolution features of the first layer join the last one
    norm: Literal["channel", "instance"]  # behind the encoder


@dataclass(frozen=True)
class Discriminator:
    """PatchGAN discriminator."""

    channels: Annotated[int, Between(4, 512)]
    layers: Annotated[int, Between(1, 6)]
    spectral_norm: bool
    scale: Annotated[float, Between(0.01, 1000)]  # of the scores


@dataclass(frozen=True)
class StatisticsWeights:
    """Weights of the losses that need no network, of the painting of a photograph."""

    texture: Weight
    palette: Weight
    contrast: Weight
    structure: Weight
    calm: Weight
    chroma: Weight
    smoothness: Weight


def check_crop(name: str, generator: Generator, train: Train) -> None:
    """Return when a generator can halve the crops of a training.

    Raises:
        ValueError: it cannot; the message names a side that would do.
    """
    multiple = 2**generator.downsamplings
    if train.crop % multiple:
        raise ValueError(
            f"train.crop is {train.crop}, which is no multiple of {multiple} (2 ** {name}.generator.downsamplings); "
            f"set it to {train.crop // multiple * multiple}"
        )
