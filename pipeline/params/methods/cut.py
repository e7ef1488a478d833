"""The section `cut`: contrastive unpaired translation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pipeline.params.data import Prepare
from pipeline.params.facts import Facts
from pipeline.params.networks import Discriminator, Generator, StatisticsWeights, check_crop
from pipeline.params.ranges import Adversarial, Between, Weight
from pipeline.params.section import Section
from pipeline.params.training import Train


@dataclass(frozen=True)
class CutWeights(StatisticsWeights):
    """Weights of the generator's losses."""

    gan: Weight
    nce: Weight
    identity: Weight  # L1 between a painting and what becomes of it
    nce_identity: Weight  # PatchNCE between the two


@dataclass(frozen=True)
class Cut(Section):
    """Contrastive unpaired translation; CUT and FastCUT differ in their settings alone."""

    facts: ClassVar[Facts] = Facts(
        task="stylize",
        photographs=True,
        what="contrastive unpaired translation: photograph to painting, one way",
        cost="minutes on a CPU at 96 px; the preset for a GPU at 256 px has not been timed",
        needs="20 photographs and 8 artworks; better some hundred of each",
        choose="the default: any style, subjects stay recognisable",
    )

    generator: Generator
    discriminator: Discriminator
    gan: Adversarial
    warmup_steps: Annotated[int, Between(0, 1_000_000)]  # L1 to the photograph alone
    flip_equivariance: bool  # half of the steps paint mirrored photographs; PatchNCE compares unmirrored features
    nce_layers: tuple[str, ...]  # feature levels that PatchNCE compares, see `networks.generators.level_names`
    nce_patches: Annotated[int, Between(1, 65_536)]  # of each level
    nce_negatives: Literal["internal", "external"]  # other patches of the same image | of the whole batch
    nce_features: Annotated[int, Between(4, 4096)]
    nce_temperature: Annotated[float, Between(0.001, 10)]
    weights: CutWeights

    def check(self, name: str, train: Train, prepare: Prepare) -> None:
        """Return when the values suit each other and the training; see `Section.check`."""
        if self.warmup_steps >= train.steps:
            raise ValueError(
                f"{name}.warmup_steps is {self.warmup_steps} but train.steps is only {train.steps}; "
                f"set {name}.warmup_steps below it"
            )
        known = ["image", "stem", *(f"down{i + 1}" for i in range(self.generator.downsamplings))]
        known += [*(f"block{i + 1}" for i in range(self.generator.blocks)), "middle", "end"]
        wrong = [level for level in self.nce_layers if level not in known]
        if wrong or not self.nce_layers or len(set(self.nce_layers)) < len(self.nce_layers):
            what = f"names {wrong[0]!r}" if wrong else "names none" if not self.nce_layers else "names one twice"
            raise ValueError(f"'{name}.nce_layers' {what}; choose each once of those there are: {', '.join(known)}")
        check_crop(name, self.generator, train)
