"""Adaptive instance normalisation: a frozen encoder, features fused with a reference's statistics, a decoder.

Huang & Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization". What is known of
a reference is the mean and deviation of each channel of its features: its code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5  # added to variances, as in the paper's code
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

VGG16_WIDTHS, VGG16_CONVOLUTIONS = (64, 128, 256, 512), (2, 2, 3, 1)
"""VGG16 (Simonyan & Zisserman 2015, table 1, D) up to rectified conv4_1."""
PUBLISHED_DECODER = (2, 2, 4, 1)
"""Convolutions of the published decoder, which mirrors VGG19, from the image inwards."""


class StyleEncoder(nn.Module):
    """Stages of rectified 3x3 convolutions, halved by maximum between them; tapped behind each stage's first.

    With `VGG16_WIDTHS` and `VGG16_CONVOLUTIONS` it is VGG16 up to relu4_1, and the taps are the paper's relu1_1 to
    relu4_1. Padding mirrors the image, as in the paper's code: zeros would be a frame in every output.
    """

    mean: Tensor
    deviation: Tensor
    scales: Tensor

    def __init__(self, widths: Sequence[int], convolutions: Sequence[int]) -> None:
        """Make an encoder with `widths[i]` channels and `convolutions[i]` convolutions in stage i."""
        super().__init__()
        ends = [3, *widths]
        self.stages = nn.ModuleList(
            nn.ModuleList(_convolution(before if place == 0 else width, width) for place in range(count))
            for (before, width), count in zip(pairwise(ends), convolutions, strict=True)
        )
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])
        self.register_buffer("scales", torch.ones(len(widths)))  # each level's features are divided by its own

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features of images (N, 3, H, W) in [-1, 1], (N, C, h, w), a level a stage, the deepest last."""
        x = (images * 0.5 + 0.5 - self.mean) / self.deviation
        levels = []
        for number, stage in enumerate(self.stages):
            if number:
                x = F.max_pool2d(x, 2)
            assert isinstance(stage, nn.ModuleList)
            for place, layer in enumerate(stage):
                x = F.relu(layer(x))
                if place == 0:
                    levels.append(x * self.scales[number].reciprocal())
        return levels


class StyleDecoder(nn.Module):
    """The encoder's mirror: nearest upsampling in place of maxima, no normalisation (section 6.2), no last ReLU."""

    def __init__(self, widths: Sequence[int], convolutions: Sequence[int]) -> None:
        """Make a decoder with `convolutions[i]` convolutions at `widths[i]`, numbered from the image inwards."""
        super().__init__()
        ends = [3, *widths]
        layers: list[nn.Module] = []
        for number in reversed(range(len(widths))):
            inside, outside = ends[number + 1], ends[number]
            for _ in range(convolutions[number] - 1):
                layers += [_convolution(inside, inside), nn.ReLU()]
            layers.append(_convolution(inside, outside))
            if number:
                layers += [nn.ReLU(), nn.Upsample(scale_factor=2, mode="nearest")]
        self.body = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Return images (N, 3, H, W) of features at the encoder's deepest level; little lies beyond [-1, 1]."""
        images: Tensor = self.body(features)
        return images


class AdainGenerator(nn.Module):
    """Photograph and references in, painting out: the frozen encoder, the fusion, the decoder.

    The encoder's weights are buffers: no gradient reaches them, and they are packaged with the decoder's.
    """

    def __init__(
        self,
        widths: Sequence[int] = VGG16_WIDTHS,
        encoder: Sequence[int] = VGG16_CONVOLUTIONS,
        decoder: Sequence[int] = PUBLISHED_DECODER,
    ) -> None:
        """Make one of `widths` channels a level, with so many convolutions a level of encoder and decoder."""
        super().__init__()
        self.multiple = 2 ** (len(widths) - 1)
        self.encoder = StyleEncoder(widths, encoder)
        freeze(self.encoder)
        self.decoder = StyleDecoder(widths, decoder)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the frozen encoder's features of images in [-1, 1], all levels."""
        levels: list[Tensor] = self.encoder(images)
        return levels

    def code(self, references: Tensor, weights: Tensor) -> Tensor:
        """Return the code (1, 2 C, 1, 1) of references (R, 3, h, w), each counted with its weight (R,).

        Equation 15 mixes normalised features; as those of all references are the same photograph's, that is to mix
        their means and deviations.
        """
        found = statistics(self.encode(references)[-1])
        return (found * weights[:, None, None, None]).sum(0, keepdim=True)

    def paint(self, photos: Tensor, code: Tensor, strength: Tensor | float = 1.0) -> Tensor:
        """Return paintings (N, 3, H, W) in [-1, 1] after a code; at strength 0 the decoder redraws the photograph."""
        return self.draw(fuse(self.encode(photos)[-1], code, strength))

    def after(self, code: Tensor, strength: float = 1.0) -> nn.Module:
        """Return a network of photographs alone, which paints as `paint` does after a code, with these weights."""
        return _After(self, code, strength)

    def draw(self, features: Tensor) -> Tensor:
        """Return the image of features, within [-1, 1]."""
        images: Tensor = self.decoder(features).clamp(-1, 1)
        return images

    def forward(self, photos: Tensor, references: Tensor, weights: Tensor, strength: Tensor) -> Tensor:
        """Return paintings (N, 3, H, W) of photographs in [-1, 1]; H and W are multiples of `self.multiple`.

        Args:
            photos: (N, 3, H, W).
            references: (R, 3, h, w) in [-1, 1]: all photographs are painted after the same mixture of them.
            weights: (R,), at least 0, of sum 1.
            strength: (1,), 0 to 1.
        """
        return self.paint(photos, self.code(references, weights), strength)


class _After(nn.Module):
    """A generator bound to a code. Its fusion is an instance norm, so that tiles can be given a whole picture's."""

    def __init__(self, generator: AdainGenerator, code: Tensor, strength: float) -> None:
        super().__init__()
        self.generator, self.strength = generator, strength
        self.mean, self.deviation = code.chunk(2, dim=1)
        self.norm = nn.InstanceNorm2d(self.mean.shape[1], eps=EPSILON)

    def forward(self, photos: Tensor) -> Tensor:
        content = self.generator.encode(photos)[-1]
        styled = self.norm(content) * self.deviation + self.mean
        return self.generator.draw(content + self.strength * (styled - content))


def freeze(network: nn.Module) -> None:
    """Make all parameters of a network and its parts buffers, with the same names in its state."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            del module._parameters[name]
            module.register_buffer(name, parameter.detach().clone())


def statistics(features: Tensor) -> Tensor:
    """Return means and deviations of each channel, (N, 2 C, 1, 1), of features (N, C, h, w)."""
    features = features.float()  # small differences of large sums
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3), keepdim=True)
    return torch.cat([mean, (variance + EPSILON).sqrt()], dim=1)


def adain(content: Tensor, code: Tensor) -> Tensor:
    """Return sigma(s) (c - mu(c)) / sigma(c) + mu(s) (eq. 8), for a code of `statistics`."""
    mean, deviation = statistics(content).chunk(2, dim=1)
    to_mean, to_deviation = code.chunk(2, dim=1)
    return (content - mean) / deviation * to_deviation + to_mean


def fuse(content: Tensor, code: Tensor, strength: Tensor | float = 1.0) -> Tensor:
    """Return (1 - a) c + a AdaIN(c, s) (eq. 14) for a strength a of 0 to 1."""
    return content + strength * (adain(content, code) - content)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, 1, 1, padding_mode="reflect")
