"""Bring a painting from its working size to the photograph's: strokes as painted, edges as photographed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

LIGHT = (0.299, 0.587, 0.114)  # of sRGB, as in YCbCr
_WINDOW = 2  # px of the working size around each, from which its gain is taken
_NOISE = 0.005  # variance of light, in [0, 1], below which a window shows nothing to follow
_STEEPEST = 1.0  # largest gain: a painting may have more contrast than the photograph, its finest detail need not
_ALIKE = 0.1  # difference of colour, in [0, 1], by which a neighbour counts for exp(-1/2)
_ANYHOW = 1e-4  # what every neighbour counts at least, where the photograph has a detail that none of them knows
_SHARPEN = 0.7  # share of what the interpolation takes from the strokes that is given back beforehand


class Detail:
    """What the pixels of a working size say of every pixel of the full size.

    Each working pixel has a linear model of its surroundings: painting = gain * light of the photograph + offset,
    exact at the pixel itself (the guided filter's model; He et al. 2013, equation 3). A full pixel takes the mean of
    the models of the 3 x 3 working pixels around it, weighted by nearness (quadratic B-spline) and by likeness of
    colour in the photograph (joint bilateral upsampling; Kopf et al. 2007, equation 3), and puts its own light in. So
    colours end where the photograph's edges are, sharply and without halos, and the finest detail follows the light.
    """

    def __init__(self, photo: Tensor, painting: Tensor) -> None:
        """Take a photograph and its painting at the working size, both (3, h, w) in [0, 1]."""
        self.photo = photo
        light = _light(photo)
        sharper = painting + _SHARPEN * (painting - _kept(photo, painting))
        mean_light, mean = _mean(light), _mean(painting)
        variance = _mean(light * light) - mean_light.square()
        gain = (_mean(light * painting) - mean_light * mean) / (variance + _NOISE)
        gain = gain.clamp(-_STEEPEST, _STEEPEST)
        self.models = torch.cat([gain, sharper - gain * light])

    def rows(self, photo: Tensor, top: int, height: int) -> Tensor:
        """Return rows of the painting at full size, (3, H', W) in [0, 1].

        Args:
            photo: (3, H', W) in [0, 1], the same rows of the photograph at full size.
            top: the first row's number.
            height: rows of the whole photograph.
        """
        total, weights = torch.zeros(6, *photo.shape[1:]), torch.zeros(photo.shape[1:])
        low_height, low_width = self.photo.shape[1:]
        down = list(_spline(torch.arange(top, top + photo.shape[1]), height, low_height))
        across = list(_spline(torch.arange(photo.shape[2]), photo.shape[2], low_width))
        for rows, near_down in down:
            colours, models = self.photo[:, rows], self.models[:, rows]
            for columns, near_across in across:
                apart = (colours[:, :, columns] - photo).square_().sum(0)
                weight = apart.mul_(-0.5 / _ALIKE**2).exp_().add_(_ANYHOW)
                weight.mul_(near_down[:, None]).mul_(near_across[None, :])
                total.addcmul_(models[:, :, columns], weight)
                weights.add_(weight)
        total /= weights
        return total[3:].addcmul_(total[:3], _light(photo)).clamp_(0, 1)


def _light(photo: Tensor) -> Tensor:
    """Return the light (1, H, W) of a photograph (3, H, W)."""
    red, green, blue = (weight * channel for weight, channel in zip(LIGHT, photo, strict=True))
    light: Tensor = red + green + blue
    return light[None]


def _mean(values: Tensor) -> Tensor:
    """Return means (C, h, w) over a square window around each place; edges repeat."""
    side = 2 * _WINDOW + 1
    return F.avg_pool2d(F.pad(values[None], [_WINDOW] * 4, mode="replicate"), side, 1)[0]


def _kept(photo: Tensor, painting: Tensor) -> Tensor:
    """Return what remains of a painting (3, h, w) after an interpolation as in `Detail.rows`, in its own size."""
    total, weights = torch.zeros_like(painting), torch.zeros_like(painting[0])
    height, width = painting.shape[1:]
    padded = F.pad(torch.cat([photo, painting])[None], [1] * 4, mode="replicate")[0]
    spline = (1 / 6, 2 / 3, 1 / 6)  # the B-spline's mean over the places within a working pixel
    for down, near_down in enumerate(spline):
        for across, near_across in enumerate(spline):
            part = padded[:, down : down + height, across : across + width]
            apart = (part[:3] - photo).square().sum(0)
            weight = near_down * near_across * (torch.exp(-0.5 / _ALIKE**2 * apart) + _ANYHOW)
            total += weight * part[3:]
            weights += weight
    return total / weights


def _spline(places: Tensor, full: int, low: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, for each of three neighbours, its index at the low size and its quadratic B-spline weight.

    Args:
        places: pixel numbers along one side of the full size.
        full: length of that side, px.
        low: length of that side at the low size, px.
    """
    exact = (places + 0.5) * (low / full) - 0.5
    nearest = exact.round()
    off = (exact - nearest).float()
    weights = (0.5 * (0.5 - off) ** 2, 0.75 - off**2, 0.5 * (0.5 + off) ** 2)
    for step, weight in zip((-1, 0, 1), weights, strict=True):
        yield (nearest + step).clamp(0, low - 1).long(), weight
