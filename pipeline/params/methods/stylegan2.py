"""The section `stylegan2`: images out of noise, in styles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pipeline.params.data import Prepare
from pipeline.params.facts import Facts
from pipeline.params.ranges import Adversarial, Between, Weight
from pipeline.params.section import Section
from pipeline.params.training import Train


@dataclass(frozen=True)
class StyleMapping:
    """Noise to the latents of StyleGAN2."""

    layers: Annotated[int, Between(1, 32)]
    rate: Annotated[float, Between(1e-5, 1)]  # of its learning, in parts of train.learning_rate


@dataclass(frozen=True)
class StyleGenerator:
    """Skip generator."""

    channels: Annotated[int, Between(2, 512)]  # at the full side, doubled at each halving
    most: Annotated[int, Between(2, 4096)]  # channels at any side


@dataclass(frozen=True)
class StyleDiscriminator:
    """Residual discriminator."""

    channels: Annotated[int, Between(2, 512)]  # at the full side, doubled at each halving
    most: Annotated[int, Between(2, 4096)]  # channels at any side
    group: Annotated[int, Between(1, 64)]  # images whose deviation it sees; train.batch must be a multiple


@dataclass(frozen=True)
class AdaptiveAugmentation:
    """Adaptive discriminator augmentation."""

    kinds: tuple[Literal["blit", "geometry", "colour"], ...]  # of changes; [] for none
    target: Annotated[float, Between(0, 1)]  # of the mean sign of the discriminator's answers to paintings
    every: Annotated[int, Between(1, 10_000)]  # steps from one change of p to the next
    images: Annotated[int, Between(1, 1_000_000_000)]  # in which p goes from 0 to 1


@dataclass(frozen=True)
class Stylegan2(Section):
    """Images out of noise, in styles."""

    facts: ClassVar[Facts] = Facts(
        task="generate",
        photographs=False,
        what="noise to new images, by styles, with adaptive augmentation (StyleGAN2-ADA, Karras et al. 2020)",
        cost="a GPU and hours; minutes on a CPU at 32 px show colours and strokes",
        needs="some hundred artworks: augmentation makes up for few; better thousands",
        choose="for the best images out of noise: truncation, ways between images, 128 px and more",
        overrides={
            "train": {
                "batch": 32,
                "learning_rate": 0.0025,
                "beta1": 0.0,
                "beta2": 0.99,
                "decay_from": 1.0,
                "ema": 0.998,
            }
        },
    )

    side: Literal[8, 16, 32, 64, 128, 256, 512, 1024]  # px of the images; train.crop at least
    latent: Annotated[int, Between(1, 4096)]  # numbers of z, and of w
    mapping: StyleMapping
    generator: StyleGenerator
    discriminator: StyleDiscriminator
    gan: Adversarial
    mixing: Annotated[float, Between(0, 1)]  # probability that an image is of two latents
    r1: Annotated[float, Between(0, 1000)]  # gamma of R1 in parts of side ** 2 / batch; 0: none
    r1_every: Annotated[int, Between(1, 10_000)]  # steps; the term is multiplied by as many
    path_length: Weight
    path_every: Annotated[int, Between(1, 10_000)]  # steps; the term is multiplied by as many
    ada: AdaptiveAugmentation

    def check(self, name: str, train: Train, prepare: Prepare) -> None:
        """Return when the values suit each other and the training; see `Section.check`."""
        if self.side > train.crop:
            raise ValueError(
                f"stylegan2.side is {self.side} px but crops for training have {train.crop} px; "
                f"set stylegan2.side to {train.crop} or less, or raise train.crop"
            )
        group = self.discriminator.group
        if train.batch % min(group, train.batch):
            raise ValueError(
                f"train.batch is {train.batch}, which is no multiple of the {group} images whose deviation the "
                f"discriminator sees (stylegan2.discriminator.group); set it to {train.batch // group * group}"
            )
