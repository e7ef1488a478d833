"""Losses that look at pictures and need no network, as the methods that paint photographs share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline import losses
from pipeline.devices import to_device
from pipeline.methods.base import Batch

_TEXTURE_DIRECTIONS, _PALETTE_DIRECTIONS, _PATCH = 32, 16, 5
_LEVELS, _COARSEST = 3, 8  # of the pyramid that texture and contrast look at, and the least side of a level, px
_MOST = 2048  # samples that small images are compared by; more tell no more than the few images that there are
# Strided filters see every second or fourth pixel. Were they always the same ones, the generator would paint a mesh
# between them; so each step everything that judges looks from another corner, up to this many px away.
_SHIFT = 8


class Judged(NamedTuple):
    """The same window of a step's images, for the losses that look at pictures."""

    photos: Tensor
    paintings: Tensor
    output: Tensor


def window(batch: Batch, output: Tensor, draw: torch.Generator) -> Judged:
    """Return one random window of all images, `_SHIFT` px smaller than they are (or as large, if they are small)."""
    room = min(_SHIFT, output.shape[2] // 8)
    top, left = torch.randint(room + 1, (2,), generator=draw).tolist()
    height, width = output.shape[2] - room, output.shape[3] - room
    images = (batch.photos, batch.paintings, output)
    return Judged(*(image[..., top : top + height, left : left + width] for image in images))


def statistics(judged: Judged, draw: torch.Generator) -> dict[str, Callable[[], Tensor]]:
    """Return the losses of `StatisticsWeights` by name, to be computed where they have a weight."""
    photos, paintings, output = judged
    # The directions are drawn whatever the weights, so that switching one loss off changes no other.
    texture = _directions(_TEXTURE_DIRECTIONS, 1, _PATCH, draw, output)
    palette = _directions(_PALETTE_DIRECTIONS, 3, 1, draw, output)
    return {
        "texture": lambda: losses.g_texture(output, paintings, texture),
        "palette": lambda: losses.g_palette(output, paintings, palette),
        "contrast": lambda: losses.g_contrast(output, paintings),
        "structure": lambda: losses.g_structure(output, photos),
        "calm": lambda: losses.g_calm(output, photos),
        "chroma": lambda: losses.g_chroma(output, photos),
        "smoothness": lambda: losses.g_smoothness(output),
    }


def plain_window(paintings: Tensor, output: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return one random window of paintings and outputs that show no photograph, as `window` does."""
    found = window(Batch(paintings, paintings), output, draw)
    return found.paintings, found.output


def plain_statistics(paintings: Tensor, output: Tensor, draw: torch.Generator) -> dict[str, Callable[[], Tensor]]:
    """Return the losses of `statistics` that ask for no photograph; for small images, with as many levels as fit."""
    texture = _directions(_TEXTURE_DIRECTIONS, 1, _PATCH, draw, output)
    palette = _directions(_PALETTE_DIRECTIONS, 3, 1, draw, output)
    levels = max(1, min(_LEVELS, (output.shape[2] // _COARSEST).bit_length()))
    return {
        "texture": lambda: losses.g_texture(output, paintings, texture, levels, _MOST),
        "palette": lambda: losses.g_palette(output, paintings, palette, _MOST),
        "contrast": lambda: losses.g_contrast(output, paintings, levels, _MOST),
    }


def weighted(terms: Mapping[str, Callable[[], Tensor]], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Return the terms that have a weight, times that; the others are not computed."""
    return {name: weights[name] * term() for name, term in terms.items() if weights[name]}


def _directions(count: int, channels: int, size: int, draw: torch.Generator, like: Tensor) -> Tensor:
    """Return (count, channels, size, size) random unit filters on the device of `like`."""
    raw = torch.randn(count, channels, size, size, generator=draw)
    return to_device(F.normalize(raw.flatten(1), dim=1).view_as(raw), like.device)
