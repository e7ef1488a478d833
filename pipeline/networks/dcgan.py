"""The generator and discriminator of DCGAN (Radford, Metz, Chintala 2016, section 3 and figure 1)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.networks.latent import LatentGenerator

Normalisation = Literal["batch", "spectral", "none"]
_FIRST = 4  # px: what the latent is projected to


class DcganGenerator(LatentGenerator):
    """Noise to image: a projection to 4 x 4, then transposed convolutions that double the side, halve the channels.

    Batch normalisation and ReLU after every layer but the last, which has tanh alone. Kernels are 4 x 4 with stride
    2, where the paper has 5 x 5: all pixels get equally many taps, so there is no checkerboard (Odena et al. 2016).
    """

    def __init__(self, latent: int = 100, channels: int = 128, side: int = 64) -> None:
        """Make a generator of `channels` channels before the last layer; the paper's has 128, hence 1024 at 4 x 4.

        Args:
            latent: numbers that decide an image.
            channels: of the last hidden layer.
            side: of the images, px: a power of 2 from 8 on.
        """
        super().__init__()
        self.latent, self.side = latent, side
        widths = [channels * 2**i for i in reversed(range(doublings(side)))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], _FIRST, 1, 0, bias=False)]
        for before, after in pairwise(widths):
            layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1)]
        self.body = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Return images (N, 3, side, side) in [-1, 1] of latents (N, latent)."""
        return torch.tanh(self.body(latents[:, :, None, None]))


class DcganDiscriminator(nn.Module):
    """Image to one score: strided convolutions down to 4 x 4, leaky ReLU; only the last layer sees the whole."""

    def __init__(
        self, channels: int = 128, side: int = 64, normalise: Normalisation = "batch", scale: float = 1.0
    ) -> None:
        """Make a discriminator of `channels` channels after the first layer, doubled at each halving.

        Args:
            channels: of the first layer; the paper's has 128.
            side: of the images, px: a power of 2 from 8 on.
            normalise: batch, but for the first layer, as in the paper; spectral: every weight is divided by its
                largest singular value instead (Miyato et al. 2018); none.
            scale: of the scores; normalised spectrally, those of a fresh network are too small to teach much.
        """
        super().__init__()
        self.scale = scale
        widths = [channels * 2**i for i in range(doublings(side))]
        layers: list[nn.Module] = [_conv(3, widths[0], 2, 1, normalise), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers.append(_conv(before, after, 2, 1, normalise))
            if normalise == "batch":
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(_conv(widths[-1], 1, 1, 0, normalise))
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N,) of images (N, 3, side, side) in [-1, 1]; higher means more real."""
        return self.score(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer sees, (N, C, 4, 4)."""
        for layer in self.body[:-1]:
            x = layer(x)
        return x

    def score(self, features: Tensor) -> Tensor:
        """Return the scores (N,) of features."""
        scores: Tensor = self.scale * self.body[-1](features).flatten()
        return scores


def doublings(side: int) -> int:
    """Return how often 4 px are doubled to become `side`."""
    count = int(math.log2(side / _FIRST))
    assert count >= 1, "a side of 8 px or more"
    assert _FIRST * 2**count == side, "a side that is a power of 2"
    return count


def initialise(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02), those of batch normalisation from N(1, 0.02), from torch's global stream.

    As the paper's convolutions (section 4) and its authors' normalisations; biases are 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            raw = dict(module.named_parameters()).get("parametrizations.weight.original", module.weight)
            nn.init.normal_(raw, 0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _conv(inputs: int, outputs: int, stride: int, padding: int, normalise: Normalisation) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, 4, stride, padding, bias=normalise != "batch" or outputs == 1)
    return spectral_norm(layer) if normalise == "spectral" else layer
