"""Degradation of what a camera or a file did: blur, reduction, JPEG. Pictures are (N, 3, H, W) in [-1, 1]."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

# ITU-T T.81, tables K.1 and K.2: steps of luminance and of chrominance at quality 50.
_LIGHT = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_COLOUR = (
    (17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99),
)  # fmt: skip  # the rest is 99


def blur(pictures: Tensor, deviation: Tensor, most: float) -> Tensor:
    """Return pictures under a Gaussian of `deviation` (N,) px each, at most `most`; edges repeat."""
    count, channels = pictures.shape[:2]
    reach = max(1, math.ceil(3 * most))
    places = torch.arange(-reach, reach + 1, device=pictures.device)
    weights = torch.exp(-0.5 * (places / deviation.clamp_min(1e-3)[:, None]).square())
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    flat = pictures.reshape(1, count * channels, *pictures.shape[2:])
    flat = F.pad(flat, (reach,) * 4, mode="replicate")
    flat = F.conv2d(flat, weights[:, :, :, None], groups=count * channels)
    return F.conv2d(flat, weights[:, :, None, :], groups=count * channels).view_as(pictures)


def reduce(pictures: Tensor, scale: int) -> Tensor:
    """Return pictures at 1 / `scale` of their size, by a bicubic filter that is wide enough: no aliasing."""
    height, width = pictures.shape[2] // scale, pictures.shape[3] // scale
    return F.interpolate(pictures, size=(height, width), mode="bicubic", antialias=True).clamp(-1, 1)


def jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """Return pictures as baseline JPEG leaves them: 8 x 8 cosine transforms, colours at half the resolution.

    Args:
        pictures: of any size; borders repeat to whole blocks.
        quality: (N,) from 1 to 100, as in libjpeg; the picture of 100 comes back as it was.
    """
    height, width = pictures.shape[2:]
    padded = F.pad((pictures + 1) * 127.5, (0, -width % 16, 0, -height % 16), mode="replicate")
    light, colours = _to_ycc(padded)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    light = _quantised(light, _steps(_LIGHT, scale))
    small = _quantised(F.avg_pool2d(colours, 2), _steps(_colour_table(), scale))
    larger = F.interpolate(small, scale_factor=2, mode="bilinear")  # libjpeg's triangle filter
    back = _to_rgb(light, larger) / 127.5 - 1
    kept = (quality >= 100)[:, None, None, None]
    return torch.where(kept, pictures, back[..., :height, :width].clamp(-1, 1))


def _steps(table: tuple[tuple[int, ...], ...], scale: Tensor) -> Tensor:
    """Return (N, 8, 8) quantisation steps."""
    base = torch.tensor(table, dtype=torch.float32, device=scale.device)
    return ((base * scale + 50) / 100).floor().clamp(1, 255)


def _colour_table() -> tuple[tuple[int, ...], ...]:
    rows = [[99] * 8 for _ in range(8)]
    for i, row in enumerate(_COLOUR):
        rows[i][: len(row)] = row
    return tuple(tuple(row) for row in rows)


def _quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Return planes (N, C, H, W) of 0 to 255 after transform, rounding to multiples of `steps`, and back."""
    count, channels, height, width = planes.shape
    blocks = (planes - 128).view(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    cosines = _cosines().to(planes)
    steps = steps[:, None, None, None]
    coefficients = torch.round(cosines @ blocks @ cosines.T / steps) * steps
    blocks = cosines.T @ coefficients @ cosines + 128
    return blocks.transpose(3, 4).reshape(planes.shape)


@functools.cache
def _cosines() -> Tensor:
    """Return the orthonormal type-II cosine transform of 8 numbers, (8, 8)."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    matrix = torch.cos(math.pi * (2 * n + 1) * k / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return luminance (N, 1, H, W) and both colour differences (N, 2, H, W), 0 to 255 (JFIF)."""
    red, green, blue = (rgb[:, i : i + 1] for i in range(3))
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return light, torch.cat([(blue - light) / 1.772, (red - light) / 1.402], dim=1) + 128


def _to_rgb(light: Tensor, colours: Tensor) -> Tensor:
    blue, red = 1.772 * (colours[:, :1] - 128), 1.402 * (colours[:, 1:] - 128)
    return torch.cat([light + red, light - (0.114 * blue + 0.299 * red) / 0.587, light + blue], dim=1)
