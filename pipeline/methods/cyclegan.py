"""CycleGAN: unpaired translation both ways (Zhu et al. 2017).

Two generators, each with an adversary that judges what it makes; there and back again must be where it began. At its
default weights it is the published method; CUT's statistics losses may be added on the way to the painting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline import losses
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition, Direction, NoCondition
from pipeline.methods.pool import ImagePool
from pipeline.methods.statistics import statistics, weighted, window
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.generators import ResnetGenerator
from pipeline.networks.layers import initialise_normal
from pipeline.params import Params

_DEVIATION = 0.02  # of the first weights, as published


class CycleGanMethod(Method):
    """Photograph to painting, and painting to photograph.

    Two processes with half a batch each compute what one computes with the whole, pools included: these hold the
    images of all. But `texture`, `palette`, `contrast` and `chroma`, which have no weight by default, see each
    process alone.
    """

    name: ClassVar[str] = "cyclegan"
    averaged: ClassVar[tuple[str, ...]] = ("generator", "reverse")
    conditions: tuple[type[Condition], ...] = (NoCondition, Direction)

    def __init__(self, params: Params) -> None:
        """Build generators, discriminators and pools of both ways."""
        self.params = params.cyclegan
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.generator, self.reverse = (ResnetGenerator(**asdict(self.params.generator)) for _ in range(2))
            self.discriminator, self.reverse_discriminator = (
                PatchDiscriminator(**asdict(self.params.discriminator)) for _ in range(2)
            )
            self.networks = {
                "generator": self.generator,
                "reverse": self.reverse,
                "discriminator": self.discriminator,
                "reverse_discriminator": self.reverse_discriminator,
            }
            for network in self.networks.values():
                initialise_normal(network, _DEVIATION)
        self.players = {
            "generator": ("generator", "reverse"),
            "discriminator": ("discriminator", "reverse_discriminator"),
        }
        self.pool, self.reverse_pool = (ImagePool(self.params.pool, params.train.crop) for _ in range(2))
        self.memories = {"pool": self.pool, "reverse_pool": self.reverse_pool}

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of both generators and both discriminators; see `Method.step`."""
        photos, paintings = batch.photos, batch.paintings
        painted, kept = self._forward(self.generator, photos, paintings)
        photographed, kept_photos = self._forward(self.reverse, paintings, photos)
        adversarial = losses.G_ADVERSARIAL[self.params.gan]
        terms: dict[str, Callable[[], Tensor]] = {
            "gan": lambda: adversarial(self.discriminator(painted)),
            "reverse_gan": lambda: adversarial(self.reverse_discriminator(photographed)),
            "cycle": lambda: losses.g_cycle(self.reverse(painted), photos),
            "reverse_cycle": lambda: losses.g_cycle(self.generator(photographed), paintings),
            "identity": lambda: losses.g_identity(kept, paintings),
            "reverse_identity": lambda: losses.g_identity(kept_photos, photos),
            **statistics(window(batch, painted, draw), draw),
        }
        weights = asdict(self.params.weights)
        weights["identity"] *= weights["cycle"]
        weights |= {f"reverse_{name}": weights[name] for name in ("gan", "cycle", "identity")}
        named = weighted(terms, weights)
        judged = self._judge(self.discriminator, paintings, self.pool, painted, draw)
        judged_photos = self._judge(self.reverse_discriminator, photos, self.reverse_pool, photographed, draw)
        self.accuracy = (judged[1] + judged_photos[1]) / 2
        return {"generator": named, "discriminator": {"gan": judged[0], "reverse_gan": judged_photos[0]}}

    def translate(self, photo: Tensor, condition: Condition = NOTHING) -> Tensor:
        """Return paintings of photographs, or, as a reverse `Direction` says, photographs of paintings."""
        self.accept(condition)
        backwards = isinstance(condition, Direction) and condition.reverse
        translated: Tensor = (self.reverse if backwards else self.generator)(photo)
        return translated

    def describe(self) -> dict[str, Any]:
        """Return a generator's class and arguments; both have the same."""
        return {"name": "resnet", "arguments": asdict(self.params.generator)}

    def _forward(self, generator: nn.Module, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a generator makes of its source, and, if that has a weight, of what it should leave alone."""
        if not self.params.weights.identity * self.params.weights.cycle:
            return generator(source), target
        both: Tensor = generator(torch.cat([source, target]))
        return both[: len(source)], both[len(source) :]

    def _judge(
        self, discriminator: nn.Module, real: Tensor, pool: ImagePool, fake: Tensor, draw: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return a discriminator's loss on real images and pooled outputs, and its accuracy there."""
        pooled = pool(self.team.gather(fake.detach()), draw)
        count = len(fake)
        mine = pooled[self.team.rank * count : (self.team.rank + 1) * count]
        scores: Tensor = discriminator(torch.cat([real, mine]))
        on_real, on_fake = scores[: len(real)], scores[len(real) :]
        right = losses.accuracy(on_real, on_fake, losses.BOUNDARY[self.params.gan])
        return losses.D_ADVERSARIAL[self.params.gan](on_real, on_fake), right
