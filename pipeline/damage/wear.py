"""Wear of whole pictures: scratches, stains, fading and noise. Pictures are (N, 3, H, W) in [-1, 1], and so is all
that comes back but for noise, which goes beyond. Amounts have one number a picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.damage.dice import Dice
from pipeline.damage.masks import Canvas

_PAPER = (0.82, 0.74, 0.52)  # what fades, fades towards yellowed varnish
_BROWN = (0.55, 0.30, 0.02)  # what of the light a stain leaves, at its darkest
_THIN = (0.004, 0.014)  # of the shorter side across


def scratch(pictures: Tensor, amount: Tensor, most: int, dice: Dice) -> Tensor:
    """Draw thin lines of bare ground or of dirt over pictures: from none to `amount` (N,) times `most`."""
    if not most:
        return pictures
    canvas = Canvas(pictures.shape[2], pictures.shape[3], dice)
    low, high = _THIN
    widths = low + (high - low) * dice.uniform(0, 1, most)
    shown = torch.arange(most, device=widths.device) < (amount[:, None] * dice.uniform(0, most + 1, 1)).floor()
    drawn = canvas.strokes(torch.where(shown, widths, 0.0), torch.ones_like(amount)[:, None])
    ground = torch.where(dice.uniform(0, 1, 1, 1, 1) < 0.6, 0.8, -0.8) + dice.uniform(-0.15, 0.15, 3, 1, 1)
    share = dice.uniform(0.5, 1, 1, 1, 1) * drawn[:, None]
    return torch.lerp(pictures, ground.expand_as(pictures), share)


def stain(pictures: Tensor, amount: Tensor, most: int, dice: Dice) -> Tensor:
    """Let frayed brown spots swallow light: from none to `amount` (N,) times `most`."""
    if not most:
        return pictures
    canvas = Canvas(pictures.shape[2], pictures.shape[3], dice)
    shown = torch.arange(most, device=pictures.device) < (amount[:, None] * dice.uniform(0, most + 1, 1)).floor()
    deep = canvas.stains(torch.where(shown, dice.uniform(0.15, 0.5, most), 0.0))
    strength = (8 * deep).clamp(0, 1) * dice.uniform(0.25, 0.8, most, 1, 1)
    left = torch.tensor(_BROWN, device=pictures.device)[None, :, None, None]
    passes = (1 - strength.amax(1, keepdim=True) * (1 - left)).clamp(0, 1)
    return (pictures + 1) * passes - 1


def fade(pictures: Tensor, amount: Tensor, most: float, dice: Dice) -> Tensor:
    """Take contrast and colour away, down to a share of `amount` (N,) times `most`, towards yellowed varnish."""
    contrast, colour = (
        (amount * most)[:, None, None, None] * dice.uniform(0.3, 1, 1, 1, 1) for _ in range(2)
    )
    grey = pictures.mean(1, keepdim=True)
    paper = torch.tensor(_PAPER, device=pictures.device)[None, :, None, None] * 2 - 1
    return torch.lerp(torch.lerp(pictures, grey.expand_as(pictures), colour), paper.expand_as(pictures), contrast / 2)


def grain(pictures: Tensor, amount: Tensor, most: float, dice: Dice) -> Tensor:
    """Add Gaussian noise of a deviation of up to `amount` (N,) times `most` 8-bit levels, each pixel its own."""
    deviation = (amount * most / 127.5)[:, None, None, None] * dice.uniform(0.3, 1, 1, 1, 1)
    return pictures + deviation * dice.normal(*pictures.shape[1:])
