"""Holes: masks (N, 1, H, W) that are 1 where the picture is lost. Lengths are shares of the shorter side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.damage.dice import Dice


@dataclass(frozen=True)
class Size:
    """A class of holes: how wide they are across, how long strokes run, and how many there are at most."""

    narrowest: float
    widest: float
    longest: float
    strokes: int
    blobs: int
    stains: int


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "fine": Size(0.006, 0.025, 1.0, strokes=6, blobs=4, stains=0),  # scratches, flaked specks
        "medium": Size(0.025, 0.08, 0.6, strokes=4, blobs=3, stains=1),
        "large": Size(0.08, 0.25, 0.4, strokes=1, blobs=2, stains=1),  # torn off
    }
)
_WAVES = (2, 3, 5)  # lobes of a blob's outline
_CELLS = 8  # a stain's edge frays at this many places a side


class Canvas:
    """The coordinates of a batch's pixels, from 0 to 1 along the shorter side; shapes are drawn on it."""

    def __init__(self, height: int, width: int, dice: Dice) -> None:
        """Make one of `height` x `width` px for the pictures that `dice` draws for."""
        side = min(height, width)
        down, along = (
            (torch.arange(length, device=dice.device) + 0.5) / side for length in (height, width)
        )
        self.y, self.x = down[None, :, None], along[None, None, :]
        self.dice, self.reach = dice, (height / side, width / side)

    def strokes(self, widths: Tensor, longest: Tensor) -> Tensor:
        """Return curved bands, scratches where they are thin: (N, H, W), true on one.

        Args:
            widths: (N, S) across; 0 or less draws none.
            longest: (N, 1) their length at most.
        """
        found = torch.zeros((), dtype=torch.bool, device=self.dice.device)
        count = widths.shape[1]
        centres, angles = self._centres(count), self.dice.uniform(0, math.pi, count)
        lengths = longest * self.dice.uniform(0.3, 1, count)
        bends, waves = self.dice.uniform(-0.8, 0.8, count), self.dice.uniform(0.0, 0.02, count)
        phases, pitches = self.dice.uniform(0, 2 * math.pi, count), self.dice.uniform(6, 20, count)
        for i in range(count):
            u, v = self._turned(centres[:, i], angles[:, i])
            middle = _at(bends, i) * u.square() + _at(waves, i) * torch.sin(_at(pitches, i) * u + _at(phases, i))
            found = found | (((v - middle).abs() < _at(widths, i) / 2) & (u.abs() < _at(lengths, i) / 2))
        return found

    def blobs(self, widths: Tensor) -> Tensor:
        """Return holes with a smooth lobed outline, (N, H, W); `widths` as for `strokes`."""
        found = torch.zeros((), dtype=torch.bool, device=self.dice.device)
        count = widths.shape[1]
        centres, turns = self._centres(count), self.dice.uniform(0, 2 * math.pi, count)
        lobes, phases = self.dice.uniform(0, 0.12, count, 3), self.dice.uniform(0, 2 * math.pi, count, 3)
        for i in range(count):
            u, v = self._turned(centres[:, i], turns[:, i])
            angle, outline = torch.atan2(v, u), torch.ones((), device=self.dice.device)
            for k, waves in enumerate(_WAVES):
                outline = outline + _at(lobes[..., k], i) * torch.cos(waves * angle + _at(phases[..., k], i))
            # The widest place of an outline is at most 1.36 times its mean.
            found = found | (torch.hypot(u, v) < _at(widths, i) / 2 / 1.36 * outline)
        return found

    def stains(self, widths: Tensor) -> Tensor:
        """Return how deep inside of a frayed spot a pixel lies: (N, S, H, W), above 0 inside; as for `strokes`."""
        deep = []
        count = widths.shape[1]
        centres, grids = self._centres(count), self.dice.uniform(-1, 1, count, _CELLS, _CELLS)
        size = (self.y.shape[1], self.x.shape[2])
        for i in range(count):
            u, v = self._turned(centres[:, i], torch.zeros_like(centres[:, i, 0]))
            fray = F.interpolate(grids[:, i, None], size=size, mode="bicubic", align_corners=False)[:, 0]
            reach = (_at(widths, i) / 2).clamp_min(1e-6)
            inside = 1 - torch.hypot(u, v) / reach - 0.35 * fray.abs()
            deep.append(torch.where(_at(widths, i) > 0, inside, -1.0))
        return torch.stack(deep, dim=1)

    def _centres(self, count: int) -> Tensor:
        """Return (N, count, 2): down and along, nowhere near the edge, so that no hole lies outside."""
        drawn = self.dice.uniform(0.1, 0.9, count, 2)
        return drawn * torch.tensor(self.reach, device=drawn.device)

    def _turned(self, centre: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates (N, H, W) around `centre` (N, 2), turned by `angle` (N,)."""
        down, along = self.y - centre[:, 0, None, None], self.x - centre[:, 1, None, None]
        cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
        return along * cosine + down * sine, down * cosine - along * sine


def holes(height: int, width: int, size: Tensor, dice: Dice) -> Tensor:
    """Return masks (N, 1, H, W), 1 in the holes of each picture: at least one, and none wider than its size says.

    Args:
        height: of the pictures, px.
        width: of the pictures, px.
        size: (N,) whole numbers, places in `SIZES`.
        dice: draws all that is random.
    """
    canvas, kinds = Canvas(height, width, dice), tuple(SIZES.values())

    def of(values: list[float]) -> Tensor:
        return torch.tensor(values, device=size.device)[size][:, None]

    low, high = of([kind.narrowest for kind in kinds]), of([kind.widest for kind in kinds])

    def widths(numbers: list[int], least: int) -> Tensor:
        """Return (N, most) widths of as many shapes as there are this time; at least `least` where a size has any."""
        most = max(numbers)
        wanted = of([float(number) for number in numbers])
        count = (dice.uniform(0, 1, 1) * (wanted + 1)).floor().clamp_min(least).minimum(wanted)
        drawn = low + (high - low) * dice.uniform(0, 1, most)
        return torch.where(torch.arange(most, device=size.device) < count, drawn, torch.zeros_like(drawn))

    longest = of([kind.longest for kind in kinds])
    strokes = canvas.strokes(widths([kind.strokes for kind in kinds], 1), longest)
    blobs = canvas.blobs(widths([kind.blobs for kind in kinds], 1))
    stains = canvas.stains(widths([kind.stains for kind in kinds], 0)).amax(1) > 0
    return (strokes | blobs | stains)[:, None].float()


def _at(numbers: Tensor, index: int) -> Tensor:
    return numbers[:, index, None, None]
