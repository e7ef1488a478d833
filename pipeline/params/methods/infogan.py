"""The section `infogan`: `dcgan` with codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.params.data import Prepare
from pipeline.params.facts import Facts
from pipeline.params.methods.dcgan import Dcgan
from pipeline.params.ranges import Between, Weight
from pipeline.params.training import Train


@dataclass(frozen=True)
class Information:
    """How much it counts that the codes can be read off an image: lambda of InfoGAN."""

    categorical: Weight
    continuous: Weight


@dataclass(frozen=True)
class Infogan(Dcgan):
    """DCGAN with codes beside the noise, which can be read off its images."""

    facts: ClassVar[Facts] = Facts(
        task="generate",
        photographs=False,
        what="dcgan with codes that the images reveal, found without labels (Chen et al. 2016)",
        cost="a tenth more than dcgan's a step",
        needs="as dcgan: some tens of artworks; better thousands",
        choose="if kinds and tendencies of images should have a handle (`atelier generate --code k1=3`)",
    )

    categories: tuple[int, ...]  # of each categorical code, 2 or more
    continuous: Annotated[int, Between(0, 64)]  # codes from -1 to 1
    recogniser: Annotated[int, Between(4, 4096)]  # hidden features of the head that reads the codes
    information: Information

    def check(self, name: str, train: Train, prepare: Prepare) -> None:
        """Return when the values suit each other and the training; see `Section.check`."""
        super().check(name, train, prepare)
        if any(count < 2 for count in self.categories):
            raise ValueError(
                f"infogan.categories is {list(self.categories)}; a categorical code needs 2 categories or more"
            )
        if not self.categories and not self.continuous:
            raise ValueError(
                "infogan.categories is empty and infogan.continuous is 0: there is no code to reveal; give one, "
                "or use the method dcgan"
            )
