"""The same paintings sooner, on a CPU: a twin of a network in which some layers do the same with less work.

A CPU waits for memory where it does not multiply, and multiplies by 16 numbers at a time. So what goes through memory
once is not gone through twice, and a convolution to 3 channels makes several pixels at once. Paintings differ by
rounding alone; what each part brings stands in docs/decisions.md, 'Pictures of any size'.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.layers import Blur, ChannelNorm, ConvNorm
from pipeline.painting.twins import twin

_AT_ONCE = 4  # pixels that `_Wide` makes at once: of 3 channels each, they are 12 of the 16 that cost the same
_FEW = 4  # channels, up to which a convolution is taken for one to an image


def quick(network: nn.Module) -> nn.Module:
    """Return a twin of a network that is sooner done on a CPU, for use alone; weights are shared where they stay.

    It is quickest on channels-last memory.
    """
    return twin(network, _quicker)


def use_huge_pages() -> None:
    """Let torch ask for large pages: a layer of a picture is new memory, whose first touch is a fifth of all time.

    To be called before the process makes its first tensor; later it changes nothing, nor where the kernel has none.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _quicker(module: nn.Module) -> nn.Module:
    if isinstance(module, ChannelNorm):
        return _InPlaceNorm(module)
    if isinstance(module, ConvNorm):
        convolution, norm, _ = module
        return nn.Sequential(convolution, norm, nn.ReLU(inplace=True))
    if isinstance(module, nn.Conv2d) and _makes_an_image(module):
        return _Wide(module)
    if isinstance(module, nn.Sequential) and _ends_in_smooth_doubling(module):
        # Nearest and [1, 2, 1] / 4 make (a + 3 b) / 4 and (3 b + c) / 4 of a, b, c, up to the edges: just that.
        return nn.Sequential(*list(module)[:-2], nn.Upsample(scale_factor=2, mode="bilinear"))
    return module


def _makes_an_image(layer: nn.Conv2d) -> bool:
    plain = layer.stride == layer.dilation == (1, 1) and layer.groups == 1
    reflects = layer.padding_mode == "reflect" and layer.padding == tuple(side // 2 for side in layer.kernel_size)
    return plain and reflects and layer.out_channels <= _FEW


def _ends_in_smooth_doubling(layers: nn.Sequential) -> bool:
    if len(layers) < 2:
        return False
    *_, larger, blur = layers
    doubles = isinstance(larger, nn.Upsample) and larger.mode == "nearest" and larger.scale_factor == 2
    return doubles and isinstance(blur, Blur) and blur.stride == 1


class _InPlaceNorm(nn.Module):
    """`ChannelNorm` that overwrites its input: a convolution's output, which nothing else looks at."""

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # squares, sum and root in one pass
        x.mul_(length.square_().div_(x.shape[1]).add_(1e-5).rsqrt_())
        return torch.addcmul(self.bias, x, self.weight, out=x)


class _Wide(nn.Module):
    """A convolution to few channels that makes some pixels of a row at once, as channels of a strided one.

    Its kernel is wider by these pixels, and holds each pixel's own, shifted; of a row in channels-last memory the
    output is that row, pixel by pixel.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        outputs, inputs, height, width = layer.weight.shape
        kernel = layer.weight.new_zeros(_AT_ONCE, outputs, inputs, height, width + _AT_ONCE - 1)
        for place in range(_AT_ONCE):
            kernel[place, ..., place : place + width] = layer.weight.detach()
        self.kernel = kernel.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        self.bias = None if layer.bias is None else layer.bias.detach().repeat(_AT_ONCE)
        self.outputs, self.edges = outputs, (width // 2, width // 2, height // 2, height // 2)

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[3]
        x = F.pad(x, self.edges, mode="reflect")
        if width % _AT_ONCE:
            x = F.pad(x, (0, -width % _AT_ONCE))
        made = F.conv2d(x, self.kernel, self.bias, stride=(1, _AT_ONCE))
        rows = made.permute(0, 2, 3, 1).reshape(len(made), made.shape[2], -1, self.outputs)
        return rows[:, :, :width].permute(0, 3, 1, 2)
