"""Layers with equalised learning rate, plain and modulated by a style (Karras et al. 2018, 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.resampling import Fir

SLOPE = 0.2
"""Of the leaky ReLU behind every layer but the last."""
GAIN = math.sqrt(2)
"""What keeps the variance behind it; put into weights and biases, which is the same and saves a pass."""


class EqualisedLinear(nn.Module):
    """A linear layer whose weights are N(0, 1), scaled by 1 / sqrt(inputs) at run time (Karras et al. 2018, 4.1).

    So Adam's steps change all layers of a network alike, however many inputs they have.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0, activate: bool = False
    ) -> None:
        """Make a layer.

        Args:
            inputs: numbers in.
            outputs: numbers out.
            bias: with which it begins.
            rate: by which learning is slower than in other layers: 0.01 in a mapping network.
            activate: whether a leaky ReLU follows.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.activate, self.rate = activate, rate * (GAIN if activate else 1)
        self.gain = self.rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs) of (N, inputs)."""
        y = F.linear(x, self.weight * self.gain, self.bias * self.rate)
        return F.leaky_relu(y, SLOPE) if self.activate else y


class EqualisedConv(nn.Module):
    """A convolution whose weights are N(0, 1), scaled by 1 / sqrt(fan-in) at run time (Karras et al. 2018, 4.1)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, down: bool = False, activate: bool = True, gain: float = 1.0
    ) -> None:
        """Make a layer.

        Args:
            inputs: channels in.
            outputs: channels out.
            kernel: side of the kernel, odd.
            down: filter and halve; the filter comes first.
            activate: whether it has a bias and a leaky ReLU; else neither.
            gain: of what comes out.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.fir = Fir(inputs) if down else None
        self.kernel, self.activate = kernel, activate
        self.outer = gain * (GAIN if activate else 1)
        self.gain = self.outer / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) of (N, inputs, H, W), or half of that height and width."""
        bias = None if self.bias is None else self.bias * self.outer
        weight = self.weight * self.gain
        if self.fir is None:
            y = F.conv2d(x, weight, bias, padding=self.kernel // 2)
        elif self.kernel == 1:
            y = F.conv2d(self.fir.halved(x), weight, bias)
        else:
            y = F.conv2d(self.fir.smooth(x, padding=(self.kernel + 1) // 2), weight, bias, stride=2)
        return F.leaky_relu(y, SLOPE) if self.activate else y


class ModulatedConv(nn.Module):
    """A convolution whose weights depend on the image's latent (Karras et al. 2020, section 2.2).

    For a style s = A w + 1 the weights are w'_jik = s_i w_jik (eq. 1) and, demodulated, w''_jik = w'_jik / sqrt(sum
    over i and k of w'_jik^2 + 1e-8) (eq. 3): outputs have unit variance, and no normalisation of data is needed.

    Instead of weights an image it scales the channels before one convolution of all images and the channels behind
    it, which is the same, as both factors leave the sum over places alone. A grouped convolution with a group an
    image computes it too, but fixes the number of images in an ONNX graph.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, latent: int, *, up: bool = False, demodulate: bool = True
    ) -> None:
        """Make a layer.

        Args:
            inputs: channels in.
            outputs: channels out.
            kernel: side of the kernel, odd; 3 with `up`.
            latent: numbers of a latent.
            up: double, and filter behind it.
            demodulate: whether to.
        """
        super().__init__()
        self.style = EqualisedLinear(latent, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.gain = 1 / math.sqrt(inputs * kernel**2)
        self.fir = Fir(outputs) if up else None
        self.kernel, self.demodulate = kernel, demodulate

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """Return (N, outputs, H, W) of (N or 1, inputs, H, W) and (N, latent); with `up` (N, outputs, 2H, 2W)."""
        style = self.style(latents)
        weight = self.weight * self.gain
        x = x * style[:, :, None, None]
        if self.fir is None:
            y = F.conv2d(x, weight, padding=self.kernel // 2)
        else:
            spread = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            y = self.fir.smooth(spread, padding=1, gain=4.0)
        return y * demodulation(weight, style).to(y.dtype) if self.demodulate else y


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Return 1 / sqrt(sum over i and k of (s_i w_jik)^2 + 1e-8) of each image and output (Karras et al. 2020, eq. 3).

    Args:
        weight: (outputs, inputs, kernel, kernel).
        style: (N, inputs).

    Returns:
        (N, outputs, 1, 1), in full precision.
    """
    with torch.autocast(style.device.type, enabled=False):
        energy = style.float().square() @ weight.float().square().sum((2, 3)).T
        return torch.rsqrt(energy + 1e-8)[:, :, None, None]


class StyledLayer(nn.Module):
    """A modulated 3 x 3 convolution, noise of a learnt strength, a bias and a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, latent: int, *, up: bool = False) -> None:
        """Make a layer from `inputs` to `outputs` channels; with `up` it doubles."""
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, latent, up=up)
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, latents: Tensor, noise: Tensor) -> Tensor:
        """Return (N, outputs, H', W') of (N or 1, inputs, H, W), (N, latent) and noise (N or 1, 1, H', W')."""
        y = self.conv(x, latents)
        added = (noise * self.strength + self.bias) * GAIN
        return F.leaky_relu(y * GAIN + added.to(y.dtype), SLOPE)
