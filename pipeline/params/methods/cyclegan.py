"""The section `cyclegan`: cycle-consistent translation, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.params.facts import Facts
from pipeline.params.networks import Discriminator, Generator, StatisticsWeights
from pipeline.params.ranges import Adversarial, Between, Weight
from pipeline.params.section import Section


@dataclass(frozen=True)
class CycleGanWeights(StatisticsWeights):
    """Weights of the generators' losses; those of `gan`, `cycle` and `identity` hold in both directions."""

    gan: Weight
    cycle: Weight
    identity: Weight  # times `cycle`


@dataclass(frozen=True)
class CycleGan(Section):
    """Cycle-consistent translation, both ways."""

    facts: ClassVar[Facts] = Facts(
        task="stylize",
        photographs=True,
        what="cycle-consistent translation as published: photograph to painting, and painting to photograph",
        cost="four times cut's a step on a CPU, four networks in memory; as published, many more steps",
        needs="some hundred photographs and artworks",
        choose="if the way back is wanted (`atelier stylize --reverse`), or no detail may be lost",
    )

    generator: Generator
    discriminator: Discriminator
    gan: Adversarial
    pool: Annotated[int, Between(0, 100_000)]  # earlier outputs of each generator, for its discriminator; 0: none
    weights: CycleGanWeights
