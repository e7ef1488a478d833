"""Discriminators: image in, a map of scores out."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): each score judges one overlapping patch of the image.

    `layers` strided 4x4 convolutions, one more of stride 1, and the score; a patch is 70 px wide for 3 layers.
    With `spectral_norm` each weight is divided by its largest singular value (Miyato et al. 2018), and there
    is no other normalisation; else instance normalisation between the layers. Normalised so, a fresh network's scores
    differ by hundredths, far inside of the hinge's margin of 1, and teach little: `scale` multiplies them.
    """

    def __init__(
        self, channels: int = 64, layers: int = 3, spectral_norm: bool = True, scale: float = 1.0, inputs: int = 3
    ) -> None:
        """Make a discriminator of `channels` channels after the first layer, doubled up to 8 times.

        With more `inputs` than 3 it judges an image beside what that was made from, which lies in further channels.
        """
        super().__init__()
        self.scale = scale
        widths = [channels * min(2**i, 8) for i in range(layers + 1)]
        modules: list[nn.Module] = [_conv(inputs, widths[0], 2, spectral_norm), nn.LeakyReLU(0.2)]
        for i in range(1, layers + 1):
            stride = 2 if i < layers else 1
            modules.append(_conv(widths[i - 1], widths[i], stride, spectral_norm))
            if not spectral_norm:
                modules.append(nn.InstanceNorm2d(widths[i]))
            modules.append(nn.LeakyReLU(0.2))
        modules.append(_conv(widths[-1], 1, 1, spectral_norm))
        self.body = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, 1, h, w) of images (N, inputs, H, W) in [-1, 1]; higher means more real."""
        scores: Tensor = self.scale * self.body(x)
        return scores


def _conv(inputs: int, outputs: int, stride: int, normalise: bool) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, 4, stride, 1)
    return spectral_norm(layer) if normalise else layer
