"""Layers that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Blur(nn.Module):
    """Binomial [1, 2, 1] low-pass filter, optionally keeping every second pixel.

    Filtering before subsampling keeps a strided network equivariant to shifts (Zhang 2019,
    "Making Convolutional Networks Shift-Invariant Again").
    """

    kernel: Tensor

    def __init__(self, channels: int, stride: int = 1) -> None:
        """Make a filter for `channels` channels; `stride` 2 halves the resolution."""
        super().__init__()
        self.channels, self.stride = channels, stride
        line = torch.tensor([1.0, 2.0, 1.0])
        kernel = torch.outer(line, line) / 16
        self.register_buffer("kernel", kernel.expand(channels, 1, 3, 3).clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H / stride, W / stride) of (N, C, H, W)."""
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.kernel, stride=self.stride, groups=self.channels)


class ConvNorm(nn.Sequential):
    """Reflect-padded convolution, affine instance normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        """Make a layer from `inputs` to `outputs` channels."""
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect"),
            nn.InstanceNorm2d(outputs, affine=True),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """x + f(x) with two convolutions at constant width (He et al. 2016), no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        """Make a block of `channels` channels."""
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, padding_mode="reflect")
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`."""
        out: Tensor = x + self.norm(self.second(self.first(x)))
        return out


def shrink(images: Tensor, side: int) -> Tensor:
    """Return square images (N, C, side, side) of (N, C, H, H) that are as large or larger, filtered: no aliasing."""
    if images.shape[2] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def initialise(network: nn.Module, gain: float) -> None:
    """Xavier-normal convolution and linear weights, zero biases, from torch's global random stream."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(_raw_weight(module), gain=gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _raw_weight(module: nn.Conv2d | nn.Linear) -> Tensor:
    # Under spectral norm `weight` is computed from this parameter on every access.
    for name, parameter in module.named_parameters():
        if name == "parametrizations.weight.original":
            return parameter
    return module.weight
