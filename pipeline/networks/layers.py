"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


def instance_norm(channels: int) -> nn.Module:
    """Return affine instance normalisation (Ulyanov et al. 2016) of `channels` channels.

    As group normalisation with a channel a group, which is the same: torch's own leaves channels-last memory, and
    every convolution behind it would copy its input back.
    """
    return nn.GroupNorm(channels, channels)


class ChannelNorm(nn.Module):
    """Each place divided by the root mean square of its own channels, then scaled and shifted by channel.

    Karras et al. 2018, "Progressive Growing of GANs", section 4.2, made affine. No place knows of another, so unlike
    after instance normalisation no bright blob can quieten the rest of the picture (Karras et al. 2020, section 2).
    """

    def __init__(self, channels: int) -> None:
        """Make one for `channels` channels."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`, (N, C, H, W)."""
        length = torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)
        return torch.addcmul(self.bias, x * length, self.weight)


NORMS: dict[str, Callable[[int], nn.Module]] = {"channel": ChannelNorm, "instance": instance_norm}


class ConvNorm(nn.Sequential):
    """Reflect-padded convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, norm: str = "instance") -> None:
        """Make a layer from `inputs` to `outputs` channels, with one of `NORMS`."""
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect"),
            NORMS[norm](outputs),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """x + f(x) with two convolutions at constant width (He et al. 2016), no ReLU after the sum."""

    def __init__(self, channels: int, norm: str = "instance") -> None:
        """Make a block of `channels` channels, with one of `NORMS`."""
        super().__init__()
        self.first = ConvNorm(channels, channels, norm=norm)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, padding_mode="reflect")
        self.norm = NORMS[norm](channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`."""
        out: Tensor = x + self.norm(self.second(self.first(x)))
        return out


def shrink(images: Tensor, side: int) -> Tensor:
    """Return square images (N, C, side, side) of (N, C, H, H) that are as large or larger, filtered: no aliasing."""
    if images.shape[2] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def plain_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with those under spectral normalisation as what they come to, W / (u' W v), so without u and v.

    For use, where nothing is trained any more: the network is then built without the normalisation.
    """
    found = {}
    for key, value in weights.items():
        name, _, part = key.partition(".parametrizations.weight.")
        if not part:
            found[key] = value
        elif part == "original":
            u, v = (weights[f"{name}.parametrizations.weight.0._{side}"] for side in "uv")
            found[f"{name}.weight"] = value / torch.dot(u, value.flatten(1) @ v)
    return found


def initialise(network: nn.Module, gain: float) -> None:
    """Xavier-normal convolution and linear weights, zero biases, from torch's global random stream."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(_raw_weight(module), gain=gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_normal(network: nn.Module, deviation: float) -> None:
    """Normal convolution and linear weights, zero biases, from torch's global random stream (Zhu et al. 2017)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(_raw_weight(module), std=deviation)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _raw_weight(module: nn.Conv2d | nn.Linear) -> Tensor:
    # Under spectral norm `weight` is computed from this parameter on every access.
    for name, parameter in module.named_parameters():
        if name == "parametrizations.weight.original":
            return parameter
    return module.weight
