"""DCGAN: images out of noise (Radford, Metz, Chintala 2016), with spectral normalisation and R1 as options."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipeline import losses
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition
from pipeline.methods.statistics import plain_statistics, plain_window, weighted
from pipeline.networks.dcgan import DcganDiscriminator, DcganGenerator, initialise
from pipeline.networks.layers import shrink
from pipeline.params import Dcgan, Params


class DcganMethod(Method):
    """Noise to small images of paintings' crops, each reduced as a whole to `dcgan.side` px.

    Two processes with half a batch each compute what one computes with the whole, but for batch normalisation, which
    sees only its own half, and for texture, palette and contrast, which sort what is in the batch.
    """

    name: ClassVar[str] = "dcgan"

    def __init__(self, params: Params) -> None:
        """Build generator and discriminator."""
        self._begin(params.dcgan, params.seed)

    def _begin(self, settings: Dcgan, seed: int) -> None:
        self.settings = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator, self.discriminator = self._networks()
            for network in (self.generator, self.discriminator):
                initialise(network)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}

    def _networks(self) -> tuple[DcganGenerator, DcganDiscriminator]:
        own = self.settings
        generator = DcganGenerator(own.latent, own.generator.channels, own.side)
        return generator, DcganDiscriminator(side=own.side, **asdict(own.discriminator))

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of generator and discriminator; see `Method.step`."""
        paintings = self._small(batch)
        outputs = self.generator(self._latents(batch.size, draw))
        # One pass each: in one, batch normalisation would tell the discriminator which half an image lies in.
        real, fake = self.discriminator(paintings), self.discriminator(outputs)
        return self._play(paintings, outputs, real, fake, draw)

    def _latents(self, count: int, draw: torch.Generator) -> Tensor:
        """Return this process's part of the latents that are drawn for the whole team."""
        return self.generator.draw(count * self.team.size, draw).chunk(self.team.size)[self.team.rank]

    def _small(self, batch: Batch) -> Tensor:
        return shrink(batch.paintings, self.settings.side).requires_grad_(self.settings.r1 > 0)

    def _play(self, paintings: Tensor, outputs: Tensor, real: Tensor, fake: Tensor, draw: torch.Generator) -> Losses:
        """Return the losses of images and of the scores that they got."""
        gan, r1, weights = self.settings.gan, self.settings.r1, asdict(self.settings.weights)
        self.accuracy = losses.accuracy(real, fake, losses.BOUNDARY[gan])
        painted, drawn = plain_window(paintings.detach(), outputs, draw)
        terms = {"gan": lambda: losses.G_ADVERSARIAL[gan](fake), **plain_statistics(painted, drawn, draw)}
        found: Losses = {
            "generator": weighted(terms, weights),
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
        own = self.settings
        arguments = {"latent": own.latent, **asdict(own.generator), "side": own.side}
        return {"name": "dcgan", "arguments": arguments}
