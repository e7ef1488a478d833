"""pix2pix: a conditional GAN that undoes damage (Isola, Zhu, Zhou, Efros 2017), drawn on the artworks themselves.

The discriminator sees a picture beside what is left of it and says whether that is the original; L1 says how far the
output is from it. At its default weights it is the published objective (eq. 4).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline import losses
from pipeline.damage.dice import Dice
from pipeline.damage.draw import Damaged, any_grade, damage
from pipeline.devices import to_device
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition, Mask
from pipeline.networks.dcgan import initialise
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.unet import RestorationGenerator
from pipeline.params import Params


class Pix2PixMethod(Method):
    """What is left of artworks in, the artworks out: `pix2pix.task` says what has happened to them.

    Two processes with half a batch each compute what one computes with the whole, but for batch normalisation, which
    sees only its own half, and for L1 inside of holes, of which each takes the mean of its own.
    """

    name: ClassVar[str] = "pix2pix"

    def __init__(self, params: Params) -> None:
        """Build generator and discriminator."""
        self.params = params.pix2pix
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.generator = RestorationGenerator(**self._arguments())
            seen = 7 if self.generator.masked else 6
            self.discriminator = PatchDiscriminator(**asdict(self.params.discriminator), inputs=seen)
            for network in (self.generator, self.discriminator):
                initialise(network)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
        if self.generator.masked:
            self.conditions = (Mask,)

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of generator and discriminator; see `Method.step`."""
        gan, weights, originals = self.params.gan, self.params.weights, batch.paintings
        left = self._damage(originals, draw)
        output = self.generator(left.pictures, left.holes, self._noise(originals, draw))
        real, fake = self._judge(left, originals, output)
        self.accuracy = losses.accuracy(real, fake, losses.BOUNDARY[gan])
        return {
            "generator": {
                "gan": weights.gan * losses.G_ADVERSARIAL[gan](fake),
                "l1": weights.l1 * losses.g_restored(output, originals, left.holes),
            },
            "discriminator": {"gan": losses.D_ADVERSARIAL[gan](real, fake)},
        }

    def damage(self, originals: Tensor, draw: torch.Generator) -> tuple[Tensor, Condition]:
        """Return what is left of originals, and where it is lost."""
        left = self._damage(originals, draw)
        return left.pictures, NOTHING if left.holes is None else Mask(left.holes)

    def restore(self, pictures: Tensor, condition: Condition = NOTHING) -> Tensor:
        """Return whole pictures, as the generator makes them now; the same again for the same picture.

        Raises:
            ValueError: a condition that the model does not take, or a mask of another size.
        """
        self.accept(condition)
        holes = condition.holes if isinstance(condition, Mask) else None
        if isinstance(condition, Mask):
            condition.fits(pictures)
        whole: Tensor = self.generator(pictures, holes)
        return whole

    def describe(self) -> dict[str, Any]:
        """Return the generator's class and arguments."""
        return {"name": "restoration", "arguments": self._arguments()}

    def _arguments(self) -> dict[str, Any]:
        scale = self.params.scale if self.params.task == "super_resolution" else 1
        return {"task": self.params.task, "scale": scale, **asdict(self.params.generator)}

    def _damage(self, originals: Tensor, draw: torch.Generator) -> Damaged:
        settings = self.params
        dice = Dice(draw, len(originals), originals.device, self.team.rank, self.team.size)
        grade = any_grade(settings.task, settings.damage, dice)
        return damage(originals, settings.task, settings.scale, settings.damage, grade, dice)

    def _noise(self, originals: Tensor, draw: torch.Generator) -> list[Tensor]:
        """Return this process's part of a step's dropout."""
        count, _, height, width = originals.shape
        team = self.team
        drawn = self.generator.unet.noise(count * team.size, height, width, draw)
        return [to_device(keep[team.rank * count :][:count], originals.device) for keep in drawn]

    def scores(self, images: Tensor, discriminator: str = "discriminator") -> Tensor:
        """Return the patches' scores (N, 1, h, w) of pictures, each beside itself, of which nothing is lost."""
        holes = images.new_zeros(len(images), 1, *images.shape[2:]) if self.generator.masked else None
        found: Tensor = self.networks[discriminator](torch.cat([_beside(images, holes, images), images], dim=1))
        return found

    def _judge(self, left: Damaged, originals: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of originals and of outputs, each beside what is left of it."""
        seen = _beside(left.pictures, left.holes, originals)
        both = torch.cat([torch.cat([seen, originals], dim=1), torch.cat([seen, output], dim=1)])
        real, fake = self.discriminator(both).chunk(2)
        return real, fake


def _beside(pictures: Tensor, holes: Tensor | None, originals: Tensor) -> Tensor:
    """Return what the discriminator sees beside a picture: what is left, in the original's size, and its mask."""
    if pictures.shape != originals.shape:
        pictures = F.interpolate(pictures, size=originals.shape[2:], mode="nearest")
    return pictures if holes is None else torch.cat([pictures, holes], dim=1)
