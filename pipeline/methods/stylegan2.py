"""StyleGAN2 with adaptive discriminator augmentation: images out of noise (Karras et al. 2020, 2020b)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline import losses
from pipeline.devices import to_device
from pipeline.methods.ada import Augmenter
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition
from pipeline.networks.layers import shrink
from pipeline.networks.stylegan2 import StyleDiscriminator, StyleGenerator
from pipeline.params import Params

_FOLLOWS = 0.01  # how far the target of path lengths moves towards those of a step (Karras et al. 2020, appendix B)


class Stylegan2Method(Method):
    """Noise to images of paintings' crops, each reduced as a whole to `stylegan2.side` px.

    Both players move in one step from one forward pass, where the published trainer has them take turns. R1 and path
    length are lazy: computed once in so many steps, and multiplied by that number (Karras et al. 2020, section 3.1).

    Two processes with half a batch each compute what one computes with the whole, p and mean latent included, if half
    a batch is a multiple of the group whose deviation the discriminator sees, and even.
    """

    name: ClassVar[str] = "stylegan2"

    def __init__(self, params: Params) -> None:
        """Build generator and discriminator, and the state of augmentation and path length."""
        own = self.params = params.stylegan2
        # R1's gamma as in Karras et al. 2020b, appendix C: in proportion to pixels, and against the batch.
        self.gamma = own.r1 * own.side**2 / (params.train.batch * params.train.processes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.generator = StyleGenerator(**self._arguments())
            self.discriminator = StyleDiscriminator(side=own.side, **asdict(own.discriminator))
        self.augmenter = Augmenter(own.ada.kinds, own.ada.target, own.ada.every, own.ada.images)
        self.length = RunningLength()
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
        self.memories = {"augmenter": self.augmenter, "length": self.length}

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of generator and discriminator; see `Method.step`."""
        own = self.params
        penalised = own.r1 > 0 and step % own.r1_every == 0
        paintings = shrink(batch.paintings, own.side).detach().requires_grad_(penalised)
        styles, stream = self._styles(batch.size, draw), self._stream(draw)
        noise = self._noise(batch.size, stream)
        outputs = self.generator.synthesis(styles, noise)
        # A compiled network cannot be differentiated twice: what the lazy terms need is computed as it is written.
        judge = self.discriminator.forward if penalised else self.discriminator
        real = judge(self._changed(paintings, draw))
        fake = self.discriminator(self._changed(outputs, draw))
        self.accuracy = losses.accuracy(real, fake, losses.BOUNDARY[own.gan])
        found: Losses = {
            "generator": {"gan": losses.G_ADVERSARIAL[own.gan](fake)},
            "discriminator": {"gan": losses.D_ADVERSARIAL[own.gan](real, fake)},
        }
        if penalised:
            found["discriminator"]["r1"] = self.gamma * own.r1_every * losses.d_r1(real, paintings)
        if own.path_length and step % own.path_every == 0:
            found["generator"]["path"] = own.path_length * own.path_every * self._path(styles, noise, stream)
        self._adapt(real, step)
        return found

    def sample(self, count: int, draw: torch.Generator, condition: Condition = NOTHING) -> Tensor:
        """Return new images, as the generator makes them now."""
        self.accept(condition)
        images: Tensor = self.generator(self.generator.draw(count, draw))
        return images

    def describe(self) -> dict[str, Any]:
        """Return the generator's class and arguments."""
        return {"name": "stylegan2", "arguments": self._arguments()}

    def compile(self, backend: str = "inductor") -> None:
        """Compile what a step calls; see `Method.compile`."""
        super().compile(backend)
        for part in (self.generator.mapping, self.generator.synthesis):
            part.compile(backend=backend)

    def _arguments(self) -> dict[str, Any]:
        own = self.params
        return {"latent": own.latent, "side": own.side, **asdict(own.generator), **asdict(own.mapping)}

    def _mine(self, everyone: Tensor) -> Tensor:
        """Return this process's rows of what was drawn for the whole team, on the networks' device."""
        rows = everyone.chunk(self.team.size)[self.team.rank]
        return to_device(rows, self.generator.mean.device) if rows.device.type == "cpu" else rows

    def _styles(self, count: int, draw: torch.Generator) -> Tensor:
        """Return latents (count, depth, latent), some mixed of two from a layer on; their mean is remembered.

        Mixing regularisation (Karras et al. 2019, section 3.1): neighbouring layers learn not to rely on each other.
        """
        own, depth, total = self.params, self.generator.synthesis.depth, count * self.team.size
        random = self._mine(torch.randn(total, 2 * own.latent, generator=draw))
        mixed = torch.rand(total, generator=draw) < own.mixing
        border = torch.where(mixed, torch.randint(1, depth, (total,), generator=draw), depth)
        second = torch.arange(depth) >= border[:, None]
        both: Tensor = self.generator.mapping(random.view(2 * count, own.latent)).view(count, 2, own.latent)
        mean = both.detach().mean((0, 1))
        self.team.average([mean])
        self.generator.remember(mean)
        return torch.where(self._mine(second)[..., None], both[:, 1:], both[:, :1])

    def _stream(self, draw: torch.Generator) -> torch.Generator:
        """Return a stream on the device, begun from `draw`: a step's noise is too much to be drawn on the CPU."""
        seed = int(torch.randint(2**62, (), generator=draw))
        return torch.Generator(self.generator.mean.device).manual_seed(seed)

    def _noise(self, count: int, stream: torch.Generator) -> list[Tensor]:
        sides = self.generator.synthesis.sides
        return [self._gaussian((count, 1, side, side), stream) for side in sides]

    def _gaussian(self, shape: tuple[int, ...], stream: torch.Generator) -> Tensor:
        everyone = (shape[0] * self.team.size, *shape[1:])
        return self._mine(torch.randn(everyone, generator=stream, device=stream.device))

    def _changed(self, images: Tensor, draw: torch.Generator) -> Tensor:
        """Return images as the discriminator may see them."""
        drawn = self._mine(self.augmenter.draw(len(images) * self.team.size, draw))
        changed: Tensor = self.augmenter(images, drawn)
        return changed

    def _path(self, styles: Tensor, noise: list[Tensor], stream: torch.Generator) -> Tensor:
        """Return the path length penalty, of every second image, as published: it costs a pass of its own."""
        some = styles[::2]
        images = self.generator.synthesis.forward(some, [layer[::2] for layer in noise])
        directions = self._gaussian((len(styles), *images.shape[1:]), stream)[::2]
        lengths = losses.path_lengths(images, some, directions)
        mean = lengths.detach().mean()
        self.team.average([mean])
        return losses.g_path_length(lengths, self.length.follow(mean))

    def _adapt(self, real: Tensor, step: int) -> None:
        """Move the strength of augmentation by how the discriminator answers to paintings."""
        sign = torch.sign(real.detach().float() - losses.BOUNDARY[self.params.gan]).mean()
        self.team.average([sign])
        self.augmenter.adjust(sign, len(real) * self.team.size, step)
        self.figures = {"sign": sign, "p": self.augmenter.p.clone()}


class RunningLength(nn.Module):
    """The mean path length so far, which each new one is to have (Karras et al. 2020, appendix B)."""

    mean: Tensor

    def __init__(self) -> None:
        """Begin at 0, as published."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    @torch.no_grad()
    def follow(self, length: Tensor) -> Tensor:
        """Move towards the mean length of a step and return what it then is."""
        self.mean.lerp_(length, _FOLLOWS)
        return self.mean.clone()
