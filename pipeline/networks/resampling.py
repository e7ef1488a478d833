"""Doubling and halving images and features with a low-pass filter."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Fir(nn.Module):
    """The separable filter [1, 3, 3, 1] / 8 of StyleGAN2's resampling (Karras et al. 2020, appendix B).

    Beyond the edges everything is 0. It computes in the type of what it is given, whatever autocast says: an image
    that is summed up over resolutions would lose bits at each.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        """Make the filter for `channels` channels; it has no parameters, and nothing of it is saved."""
        super().__init__()
        self.channels = channels
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = torch.outer(line, line).expand(channels, 1, 4, 4).clone()
        self.register_buffer("kernel", kernel, persistent=False)

    def smooth(self, x: Tensor, padding: int, gain: float = 1.0) -> Tensor:
        """Return (N, C, H + 2 padding - 3, W + 2 padding - 3) of (N, C, H, W), times `gain`."""
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, self._taps(x, gain), padding=padding, groups=self.channels)

    def halved(self, x: Tensor) -> Tensor:
        """Return (N, C, H / 2, W / 2) of (N, C, H, W): filtered, and of every two samples one."""
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, self._taps(x, 1.0), stride=2, padding=1, groups=self.channels)

    def doubled(self, x: Tensor) -> Tensor:
        """Return (N, C, 2H, 2W) of (N, C, H, W): a zero behind every sample, filtered, times 4 to keep the mean."""
        with torch.autocast(x.device.type, enabled=False):
            return F.conv_transpose2d(x, self._taps(x, 4.0), stride=2, padding=1, groups=self.channels)

    def _taps(self, x: Tensor, gain: float) -> Tensor:
        return (self.kernel * gain).to(x.dtype)
