"""The section `adain`: style transfer from any reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pipeline.params.data import Prepare
from pipeline.params.facts import Facts
from pipeline.params.networks import Discriminator, StatisticsWeights
from pipeline.params.ranges import Adversarial, Between, Sha256, Weight
from pipeline.params.section import Section
from pipeline.params.training import Train


@dataclass(frozen=True)
class AdainEncoder:
    """What sees photographs and references."""

    kind: Literal["auto", "vgg16", "own"]  # auto: VGG16 where its weights are at hand when training begins, else own
    channels: Annotated[int, Between(2, 512)]  # of its own, at full resolution; doubled at each level
    levels: Annotated[int, Between(2, 5)]  # of its own
    vgg16_sha256: Sha256  # of the only file of VGG16's weights that a training may use


@dataclass(frozen=True)
class AdainWeights(StatisticsWeights):
    """Weights of the generator's losses; those of the statistics are of each output and its own reference."""

    gan: Weight
    content: Weight
    style: Weight
    identity: Weight  # L1 between a picture and what is drawn of its own features


@dataclass(frozen=True)
class Adain(Section):
    """Style transfer from any reference."""

    facts: ClassVar[Facts] = Facts(
        task="stylize",
        photographs=True,
        what="AdaIN: photograph to painting after any reference picture, of one or many styles",
        cost="as much as cut a step on a CPU, with an encoder of its own; VGG16 wants a GPU",
        needs="20 photographs, 8 artworks of each style; better VGG16's weights, many styles, hundreds of each",
        choose="for one model of many styles, mixtures of them, and references that it never saw",
        reference=True,
    )

    encoder: AdainEncoder
    discriminator: Discriminator
    gan: Adversarial
    warmup_steps: Annotated[int, Between(0, 1_000_000)]  # in which its own encoder is trained; 0: it stays random
    weights: AdainWeights

    def check(self, name: str, train: Train, prepare: Prepare) -> None:
        """Return when the values suit each other and the training; see `Section.check`."""
        if self.warmup_steps >= train.steps:
            raise ValueError(
                f"adain.warmup_steps is {self.warmup_steps} but train.steps is only {train.steps}; "
                f"set adain.warmup_steps below it"
            )
        multiple = 8 if self.encoder.kind == "vgg16" else 2 ** (self.encoder.levels - 1)
        if train.crop % multiple or train.crop < 2 * multiple:
            side = max(train.crop // multiple, 2) * multiple
            raise ValueError(
                f"train.crop is {train.crop}, but the encoder of adain halves it to a {multiple}th; set it to {side}"
            )
