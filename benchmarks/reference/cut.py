"""CUT (Park et al. 2020), plainly: what `pipeline.methods.cut` with `pipeline.trainer` is measured by.

Networks, loss functions and settings are the pipeline's. How they are computed is what public implementations do:
eager fp32 in contiguous memory, the discriminator first and then the generator, a forward pass for each time a
network is needed (the photograph is encoded again for PatchNCE, paintings and outputs are judged apart, outputs a
second time for the generator), and every loss is read at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import losses
from pipeline.methods.cut import CutMethod
from pipeline.networks.averaging import Average
from pipeline.params import Params
from pipeline.trainer import learning_rate

Named = dict[str, Tensor]
_MARGIN = 8  # px by which the judged window is smaller than the image


@dataclass(frozen=True)
class Choices:
    """What a step draws before it looks: where the judged window lies, and the directions of the statistics."""

    top: int
    left: int
    room: int
    texture: Tensor
    palette: Tensor

    @classmethod
    def draw(cls, side: int, device: torch.device, draw: torch.Generator) -> Choices:
        """Draw in the order of `CutMethod`, so that the same stream gives both the same choices."""
        room = min(_MARGIN, side // 8)
        top, left = torch.randint(room + 1, (2,), generator=draw).tolist()
        texture = _unit(torch.randn(32, 1, 5, 5, generator=draw)).to(device)
        palette = _unit(torch.randn(16, 3, 1, 1, generator=draw)).to(device)
        return cls(top, left, room, texture, palette)

    def window(self, images: Tensor) -> Tensor:
        """Return the judged window of images."""
        height, width = images.shape[2] - self.room, images.shape[3] - self.room
        return images[:, :, self.top : self.top + height, self.left : self.left + width]


class Painted(NamedTuple):
    """A step's images: photographs, paintings, and the generator's outputs of the photographs."""

    photos: Tensor
    paintings: Tensor
    fake: Tensor


class ReferenceCut:
    """One generator, one discriminator, one Adam each, updated in turn."""

    def __init__(self, params: Params, device: torch.device) -> None:
        """Begin with the weights that `CutMethod` begins with."""
        self.params, self.device = params, device
        method = CutMethod(params)
        networks, self.levels = method.networks, method.levels
        for network in networks.values():
            network.to(device, memory_format=torch.contiguous_format)
        self.generator, self.heads = networks["generator"], networks["heads"]
        self.discriminator = networks["discriminator"]
        self.average = Average(self.generator, params.train.ema)
        self.optimiser_g = self._adam(self.generator, self.heads)
        self.optimiser_d = self._adam(self.discriminator)

    def step(self, photos: Tensor, paintings: Tensor, step: int, draw: torch.Generator) -> dict[str, float]:
        """Train both players at step number `step` (from 0) and return the value of every loss."""
        for optimiser in (self.optimiser_d, self.optimiser_g):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(self.params.train, step)
        images = Painted(photos, paintings, self.generator(photos))
        values: dict[str, float] = {}
        if step < self.params.cut.warmup_steps:
            values |= _update(self.optimiser_g, "generator", warmup_losses(images))
        else:
            choices = Choices.draw(photos.shape[2], self.device, draw)
            self.discriminator.requires_grad_(True)
            values |= _update(self.optimiser_d, "discriminator", self.discriminator_losses(images, choices))
            self.discriminator.requires_grad_(False)
            values |= _update(self.optimiser_g, "generator", self.generator_losses(images, choices, draw))
        self.average.update(self.generator, step)
        return values

    def discriminator_losses(self, images: Painted, choices: Choices) -> Named:
        """Return the discriminator's losses; no gradient reaches the generator."""
        fake = self.discriminator(choices.window(images.fake.detach()))
        real = self.discriminator(choices.window(images.paintings))
        return {"gan": losses.D_ADVERSARIAL[self.params.cut.gan](real, fake)}

    def generator_losses(self, images: Painted, choices: Choices, draw: torch.Generator) -> Named:
        """Return the generator's weighted losses, those without a weight left out."""
        photos, paintings, fake = (choices.window(each) for each in images)
        terms: dict[str, Callable[[], Tensor]] = {
            "gan": lambda: losses.G_ADVERSARIAL[self.params.cut.gan](self.discriminator(fake)),
            "nce": lambda: self._patch_nce(images, draw),
            "identity": lambda: losses.g_identity(self.generator(images.paintings), images.paintings),
            "texture": lambda: losses.g_texture(fake, paintings, choices.texture),
            "palette": lambda: losses.g_palette(fake, paintings, choices.palette),
            "contrast": lambda: losses.g_contrast(fake, paintings),
            "structure": lambda: losses.g_structure(fake, photos),
            "calm": lambda: losses.g_calm(fake, photos),
            "chroma": lambda: losses.g_chroma(fake, photos),
            "smoothness": lambda: losses.g_smoothness(fake),
        }
        weights = asdict(self.params.cut.weights)
        return {name: weights[name] * term() for name, term in terms.items() if weights[name]}

    def _patch_nce(self, images: Painted, draw: torch.Generator) -> Tensor:
        cut = self.params.cut
        of_output, of_photo = self.generator.encode(images.fake), self.generator.encode(images.photos)
        queries, keys = ([features[level] for level in self.levels] for features in (of_output, of_photo))
        places = [
            torch.randperm(level.shape[2] * level.shape[3], generator=draw)[: cut.nce_patches].to(self.device)
            for level in keys
        ]
        pairs = zip(self.heads(queries, places), self.heads(keys, places), strict=True)
        each = [losses.g_patch_nce(query, key, cut.nce_temperature) for query, key in pairs]
        return torch.stack(each).mean()

    def _adam(self, *networks: nn.Module) -> torch.optim.Adam:
        settings = self.params.train
        parameters = [parameter for network in networks for parameter in network.parameters()]
        return torch.optim.Adam(parameters, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2))


def warmup_losses(images: Painted) -> Named:
    """Return the generator's losses while it learns to draw the photograph."""
    return {"reconstruction": (images.fake - images.photos).abs().mean()}


def _update(optimiser: torch.optim.Optimizer, player: str, named: Named) -> dict[str, float]:
    optimiser.zero_grad()
    torch.stack(list(named.values())).sum().backward()
    optimiser.step()
    return {f"{player}/{name}": loss.item() for name, loss in named.items()}


def _unit(filters: Tensor) -> Tensor:
    return F.normalize(filters.flatten(1), dim=1).view_as(filters)
