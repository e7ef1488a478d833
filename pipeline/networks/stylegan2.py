"""StyleGAN2's generator and discriminator.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN": the skip generator and the residual
discriminator of section 4.1, at the widths of configuration F or any others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.dcgan import doublings
from pipeline.networks.equalised import EqualisedConv, EqualisedLinear, ModulatedConv, StyledLayer
from pipeline.networks.latent import LatentGenerator
from pipeline.networks.resampling import Fir

_FIRST = 4  # px
_MEMORY = 0.995  # of the mean latent, a step
_MAPS = 8  # noise maps a layer keeps: an image's own is a mixture of them


class Mapping(nn.Sequential):
    """Noise z to a latent w: z at unit length, then linear layers with leaky ReLU (Karras et al. 2019, section 2)."""

    def __init__(self, latent: int, layers: int = 8, rate: float = 0.01) -> None:
        """Make `layers` layers of `latent` numbers, which learn at `rate` times the speed of all others."""
        super().__init__(*(EqualisedLinear(latent, latent, rate=rate, activate=True) for _ in range(layers)))

    def forward(self, noise: Tensor) -> Tensor:
        """Return latents (N, latent) of Gaussian noise (N, latent), in full precision."""
        with torch.autocast(noise.device.type, enabled=False):
            unit = noise * torch.rsqrt(noise.square().mean(1, keepdim=True) + 1e-8)
            latents: Tensor = super().forward(unit)  # type: ignore[no-untyped-call]  # torch leaves it without types
            return latents


class Synthesis(nn.Module):
    """Latents, one a layer, to an image: the sum of what every resolution adds to it."""

    def __init__(self, latent: int, side: int, channels: int, most: int) -> None:
        """Make one: see `StyleGenerator`."""
        super().__init__()
        widths = list(reversed(widths_of(side, channels, most)))
        self.constant = nn.Parameter(torch.randn(1, widths[0], _FIRST, _FIRST))
        layers = [StyledLayer(widths[0], widths[0], latent)]
        for before, after in pairwise(widths):
            layers += [StyledLayer(before, after, latent, up=True), StyledLayer(after, after, latent)]
        self.layers = nn.ModuleList(layers)
        self.colours = nn.ModuleList(_ToRgb(width, latent) for width in widths)
        self.fir = Fir(3)
        self.sides = [_FIRST * 2 ** ((number + 1) // 2) for number in range(len(layers))]
        for number, size in enumerate(self.sides):
            self.register_buffer(f"noise_{number}", torch.randn(_MAPS, size, size))

    @property
    def depth(self) -> int:
        """How many latents an image has: one a layer, and one of the last colours."""
        return len(self.layers) + 1

    def noise(self, shares: Tensor) -> list[Tensor]:
        """Return noise (N, 1, s, s) for every layer: the network's own maps in shares (N, maps) of unit length."""
        kept = [self.get_buffer(f"noise_{number}") for number in range(len(self.layers))]
        return [
            (shares @ maps.flatten(1)).view(-1, 1, size, size) for maps, size in zip(kept, self.sides, strict=True)
        ]

    def forward(self, latents: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Return images (N, 3, side, side), of which the range is learnt.

        Args:
            latents: (N, depth, latent).
            noise: (N or 1, 1, s, s) for every layer, s as in `sides`.
        """
        x: Tensor = self.constant
        image: Tensor | None = None
        for number, (layer, own) in enumerate(zip(self.layers, noise, strict=True)):
            x = layer(x, latents[:, number], own)
            if number % 2 == 0:  # the last layer of a resolution
                colour = self.colours[number // 2](x, latents[:, number + 1])
                image = colour if image is None else self.fir.doubled(image) + colour
        assert image is not None
        return image


class StyleGenerator(LatentGenerator):
    """Latents w to images. What it is given is w and not z: the mapping network stands in `draw`.

    In w lies what there is to ask for: truncation, and the way between two images, which is a straight line there.
    A latent alone decides its image, here and in an ONNX graph: the noise of its layers is a mixture of maps that the
    network keeps, by where the latent lies as seen from the mean. So it differs from image to image, changes smoothly
    on the way between two, and is none in the mean image.
    """

    truncates: ClassVar[bool] = True
    mean: Tensor
    mixing: Tensor

    def __init__(
        self,
        latent: int = 512,
        side: int = 256,
        channels: int = 64,
        most: int = 512,
        layers: int = 8,
        rate: float = 0.01,
    ) -> None:
        """Make a generator.

        Args:
            latent: numbers of z, and of w.
            side: of the images, px: a power of 2 from 8 on.
            channels: at the full side, doubled at each halving.
            most: beyond which channels are not doubled.
            layers: of the mapping network.
            rate: of its learning, in parts of that of all others.
        """
        super().__init__()
        self.latent, self.side = latent, side
        self.mapping = Mapping(latent, layers, rate)
        self.synthesis = Synthesis(latent, side, channels, most)
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("mixing", torch.randn(latent, _MAPS))

    @torch.no_grad()
    def draw(self, count: int, draw: torch.Generator) -> Tensor:
        """Return latents w (count, latent) of random z, on the network's device; `draw` is a stream of the CPU."""
        latents: Tensor = self.mapping(super().draw(count, draw))
        return latents

    def between(self, first: Tensor, second: Tensor, share: float) -> Tensor:
        """Return latents at a share (0 to 1) of the straight way from `first` to `second`, (N, latent) each."""
        return torch.lerp(first, second, share)

    def truncate(self, latents: Tensor, strength: float) -> Tensor:
        """Return mean + strength (w - mean): at 0 all make the mean image (Karras et al. 2019, appendix B)."""
        return latents if strength == 1 else torch.lerp(self.mean.expand_as(latents), latents, strength)

    @torch.no_grad()
    def remember(self, mean: Tensor) -> None:
        """Let the mean latent follow `mean` (latent,), that of a step's."""
        self.mean.lerp_(mean, 1 - _MEMORY)

    def forward(self, latents: Tensor) -> Tensor:
        """Return images (N, 3, side, side) in [-1, 1] of latents w (N, latent)."""
        every = latents[:, None].expand(-1, self.synthesis.depth, -1)
        noise = self.synthesis.noise(F.normalize((latents - self.mean) @ self.mixing))
        images: Tensor = self.synthesis(every, noise)
        return images.clamp(-1, 1)


class StyleDiscriminator(nn.Module):
    """Image to one score: residual blocks that halve down to 4 x 4, and a look at how a group of images differs."""

    def __init__(self, side: int = 256, channels: int = 64, most: int = 512, group: int = 4) -> None:
        """Make a discriminator.

        Args:
            side: of the images, px: a power of 2 from 8 on.
            channels: at the full side, doubled at each halving.
            most: beyond which channels are not doubled.
            group: images whose deviation it sees, see `group_deviation`.
        """
        super().__init__()
        widths = widths_of(side, channels, most)
        self.group = group
        self.first = EqualisedConv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(_Block(before, after) for before, after in pairwise(widths)))
        self.conv = EqualisedConv(widths[-1] + 1, widths[-1], 3)
        self.dense = EqualisedLinear(widths[-1] * _FIRST**2, widths[-1], activate=True)
        self.score = EqualisedLinear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (N,) of images (N, 3, side, side); higher means more real."""
        x = self.blocks(self.first(images))
        x = self.conv(torch.cat([x, group_deviation(x, self.group).to(x.dtype)], 1))
        scores: Tensor = self.score(self.dense(x.flatten(1)))
        return scores.flatten()


def group_deviation(x: Tensor, group: int) -> Tensor:
    """Return (N, 1, H, W): the deviation over a group of images, averaged over places and channels.

    Minibatch standard deviation (Karras et al. 2018, section 3), by which a generator is found out whose images are
    all alike. Groups are of images that follow each other, `group` of them or the largest number below that divides
    N; so two processes with half a batch have the groups of one with the whole.

    Args:
        x: (N, C, H, W) features.
        group: images.
    """
    count, channels, height, width = x.shape
    size = next(size for size in range(min(group, count), 0, -1) if count % size == 0)
    split = x.float().reshape(-1, size, channels, height, width)
    deviation = (split.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat_interleave(size)[:, None, None, None].expand(-1, 1, height, width)


def widths_of(side: int, channels: int, most: int) -> list[int]:
    """Return the channels at every side from `side` px down to 4 px."""
    return [min(most, channels * 2**halvings) for halvings in range(doublings(side) + 1)]


class _ToRgb(nn.Module):
    """A modulated 1 x 1 convolution to colours: no demodulation, no noise, no ReLU."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels, 3, 1, latent, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        y = self.conv(x, latents)
        colours: Tensor = y.float() + self.bias
        return colours


class _Block(nn.Module):
    """(f(x) + g(x)) / sqrt(2): f two 3 x 3 convolutions, the second of which halves; g a 1 x 1 that halves."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        half = math.sqrt(0.5)
        self.body = nn.Sequential(
            EqualisedConv(before, before, 3), EqualisedConv(before, after, 3, down=True, gain=half)
        )
        self.skip = EqualisedConv(before, after, 1, down=True, activate=False, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x) + self.skip(x)
        return y
