"""The section `dcgan`: images out of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pipeline.params.data import Prepare
from pipeline.params.facts import Facts
from pipeline.params.ranges import Adversarial, Between, Weight
from pipeline.params.section import Section
from pipeline.params.training import Train


@dataclass(frozen=True)
class DcganGenerator:
    """Transposed convolutions."""

    channels: Annotated[int, Between(2, 512)]  # before the last layer, doubled at each halving of the side


@dataclass(frozen=True)
class DcganDiscriminator:
    """Strided convolutions."""

    channels: Annotated[int, Between(2, 512)]  # after the first layer, doubled at each halving of the side
    normalise: Literal["batch", "spectral", "none"]
    scale: Annotated[float, Between(0.01, 1000)]  # of the scores


@dataclass(frozen=True)
class DcganWeights:
    """Weights of the generator's losses; all but the first need no network and are not in the paper."""

    gan: Weight
    texture: Weight
    palette: Weight
    contrast: Weight


@dataclass(frozen=True)
class Dcgan(Section):
    """Images out of noise."""

    facts: ClassVar[Facts] = Facts(
        task="generate",
        photographs=False,
        what="noise to small new images, by transposed convolutions (Radford et al. 2016)",
        cost="half of cut's a step on a CPU, and thousands of steps",
        needs="some tens of artworks; better thousands",
        choose="for small studies and colour ideas out of nothing: light, well understood, 128 px at most",
    )

    side: Literal[8, 16, 32, 64, 128]  # px of the images; train.crop at least
    latent: Annotated[int, Between(1, 4096)]
    generator: DcganGenerator
    discriminator: DcganDiscriminator
    gan: Adversarial
    r1: Annotated[float, Between(0, 1000)]  # gamma of R1; 0: none
    weights: DcganWeights

    def check(self, name: str, train: Train, prepare: Prepare) -> None:
        """Return when the values suit each other and the training; see `Section.check`."""
        if self.side > train.crop:
            raise ValueError(
                f"{name}.side is {self.side} px but crops for training have {train.crop} px; "
                f"set {name}.side to {train.crop} or less, or raise train.crop"
            )
        if self.r1 and train.compile:
            raise ValueError(
                f"{name}.r1 differentiates a gradient, which compiled networks cannot; set train.compile to false or "
                f"{name}.r1 to 0"
            )
