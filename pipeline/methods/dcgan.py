"""DCGAN: images out of noise (Radford, Metz, Chintala 2016), with spectral normalisation and R1 as options."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipeline import losses
from pipeline.catalogue import Task
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition
from pipeline.networks.dcgan import DcganDiscriminator, DcganGenerator, initialise
from pipeline.networks.layers import shrink
from pipeline.params import Params


class DcganMethod(Method):
    """Noise to small images of paintings' crops, each reduced as a whole to `dcgan.side` px.

    Two processes with half a batch each compute what one computes with the whole, but for batch normalisation, which
    sees only its own half.
    """

    task: ClassVar[Task] = "generate"
    photographs: ClassVar[bool] = False
    averaged: ClassVar[tuple[str, ...]] = ("generator",)

    def __init__(self, params: Params) -> None:
        """Build generator and discriminator."""
        self.params = params.dcgan
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.generator = DcganGenerator(self.params.latent, self.params.generator.channels, self.params.side)
            self.discriminator = DcganDiscriminator(side=self.params.side, **asdict(self.params.discriminator))
            for network in (self.generator, self.discriminator):
                initialise(network)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of generator and discriminator; see `Method.step`."""
        gan, r1 = self.params.gan, self.params.r1
        paintings = shrink(batch.paintings, self.params.side).requires_grad_(r1 > 0)
        outputs = self.generator(self.generator.draw(batch.size, draw))
        # One pass each: in one, batch normalisation would tell the discriminator which half an image lies in.
        real, fake = self.discriminator(paintings), self.discriminator(outputs)
        self.accuracy = losses.accuracy(real, fake, losses.BOUNDARY[gan])
        found: Losses = {
            "generator": {"gan": losses.G_ADVERSARIAL[gan](fake)},
            "discriminator": {"gan": losses.D_ADVERSARIAL[gan](real, fake)},
        }
        if r1:
            found["discriminator"]["r1"] = r1 * losses.d_r1(real, paintings)
        return found

    def sample(self, count: int, draw: torch.Generator, condition: Condition = NOTHING) -> Tensor:
        """Return new images, as the generator makes them now."""
        self.accept(condition)
        images: Tensor = self.generator(self.generator.draw(count, draw))
        return images

    def describe(self) -> dict[str, Any]:
        """Return the generator's class and arguments."""
        arguments = {"latent": self.params.latent, **asdict(self.params.generator), "side": self.params.side}
        return {"name": "dcgan", "arguments": arguments}
