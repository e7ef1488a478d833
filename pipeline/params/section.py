"""What every method says of itself without torch: its section of params.yaml, its facts, what suits it.

Also all that the section of an ordinary method is made of, so that its module takes it from one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.params.data import Prepare
from pipeline.params.facts import Facts
from pipeline.params.networks import Discriminator, Generator, StatisticsWeights, check_crop
from pipeline.params.ranges import Adversarial, Between, Weight
from pipeline.params.training import Train

__all__ = ["Adversarial", "Between", "Discriminator", "Facts", "Generator", "Section", "StatisticsWeights", "Weight"]


@dataclass(frozen=True)
class Section:
    """A method's section of params.yaml."""

    facts: ClassVar[Facts]

    def check(self, name: str, train: Train, prepare: Prepare) -> None:
        """Return when the values suit each other, and the training; asked of methods that a recipe uses.

        Here: a ResNet generator, where there is one, can halve the crops.

        Args:
            name: the section's, for the message.
            train: the recipe's.
            prepare: of the workspace.

        Raises:
            ValueError: they do not; the message says what to set.
        """
        generator = getattr(self, "generator", None)
        if isinstance(generator, Generator):
            check_crop(name, generator, train)
