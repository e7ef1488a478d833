"""Generators: image in, image out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.networks.layers import Blur, ConvNorm, ResidualBlock


class ResnetGenerator(nn.Module):
    """Encoder, residual blocks, decoder (Johnson et al. 2016; CycleGAN's and CUT's generator).

    Down- and upsampling are anti-aliased on request, as in CUT. With `detail` the first layer's features, at full
    resolution, join the decoder's before the last layer (as in a U-Net, Ronneberger et al. 2015): edges stay sharp
    and strokes follow form, while colour and light still come through the narrow middle.

    The encoder normalises by instance, which takes a photograph's own contrast away (Ulyanov et al. 2016). Behind it
    `norm` is `channel`, or `instance` as published, which leaves bright or dark blobs once an adversary is strong.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 9,
        downsamplings: int = 2,
        antialias: bool = True,
        detail: bool = True,
        norm: str = "channel",
    ) -> None:
        """Make a generator of `channels` channels at full resolution, doubled at each downsampling."""
        super().__init__()
        self.multiple = 2**downsamplings
        encoder: list[nn.Module] = [ConvNorm(3, channels, kernel=7)]
        width = channels
        for _ in range(downsamplings):
            encoder.append(_halve(width, 2 * width, antialias))
            width *= 2
        self.encoder = nn.ModuleList(encoder)
        self.blocks = nn.ModuleList(ResidualBlock(width, norm) for _ in range(blocks))
        decoder: list[nn.Module] = []
        for _ in range(downsamplings):
            decoder.append(_double(width, width // 2, antialias, norm))
            width //= 2
        self.decoder = nn.Sequential(*decoder)
        self.merge = ConvNorm(2 * channels, channels, norm=norm) if detail else None
        self.to_rgb = nn.Conv2d(channels, 3, 7, 1, 3, padding_mode="reflect")

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return all features of images in [-1, 1], from the image itself to the encoding, named by `levels`.

        They are the image, and the output of each layer of the encoder and of each block: what PatchNCE chooses
        from. The second is what `detail` brings to the decoder, the last is what is decoded.
        """
        features = [x]
        for layer in (*self.encoder, *self.blocks):
            x = layer(x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """Return images in [-1, 1] from the features of `encode`."""
        x = self.decoder(features[-1])
        if self.merge is not None:
            x = self.merge(torch.cat([x, features[1]], dim=1))
        return torch.tanh(self.to_rgb(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1] of images in [-1, 1]; H and W are multiples of `self.multiple`."""
        return self.decode(self.encode(x))

    @property
    def feature_channels(self) -> list[int]:
        """Channels of each of `encode`'s features."""
        first = self.to_rgb.in_channels
        widths = [first * 2**i for i in range(len(self.encoder))]
        return [3, *widths, *[widths[-1]] * len(self.blocks)]

    def level(self, name: str) -> int:
        """Return the place of a level among `encode`'s features; see `level_names`."""
        return level_names(len(self.encoder) - 1, len(self.blocks))[name]


def level_names(downsamplings: int, blocks: int) -> dict[str, int]:
    """Return name -> place of all feature levels of a ResNet generator.

    `image`; `stem`, the first convolution; `down1` and on, the halvings; `block1` and on, the residual blocks;
    `middle`, the block half way (what goes into the blocks, if there is one alone), and `end`, the last.
    """
    ordered = ["image", "stem", *(f"down{i + 1}" for i in range(downsamplings))]
    ordered += [f"block{i + 1}" for i in range(blocks)]
    places = {name: place for place, name in enumerate(ordered)}
    first = 1 + downsamplings
    return places | {"middle": first + blocks // 2, "end": first + blocks}


def _halve(inputs: int, outputs: int, antialias: bool) -> nn.Module:
    if not antialias:
        return ConvNorm(inputs, outputs, stride=2)
    # A blur commutes with a convolution, so it may come first: the same low-pass, a quarter of the multiplications.
    return nn.Sequential(Blur(inputs), ConvNorm(inputs, outputs, stride=2))


def _double(inputs: int, outputs: int, antialias: bool, norm: str) -> nn.Module:
    larger = nn.Upsample(scale_factor=2, mode="nearest")
    if not antialias:
        return nn.Sequential(larger, ConvNorm(inputs, outputs, norm=norm))
    # Nearest and a blur make a linear interpolation whose backward is deterministic on CUDA too. Convolving before it
    # again takes a quarter of the multiplications; what is finer comes with `detail`.
    return nn.Sequential(ConvNorm(inputs, outputs, norm=norm), larger, Blur(outputs))
