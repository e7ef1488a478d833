"""What a discriminator takes for real or false, place by place: a signed map of any picture, and a picture of it.

One call for every discriminator (`heat_map`). One that scores patches (Isola et al. 2017) says it itself: each score
is laid where its patch has its middle, and what lies between is interpolated. One that has a single score for a whole
image is asked by occlusion (Zeiler, Fergus 2014, "Visualizing and Understanding Convolutional Networks", section
4.2): windows are covered one after the other, and a place is worth what the score loses when it cannot be seen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipeline.images import to_tensor

Values: TypeAlias = NDArray[np.float32]
Kind: TypeAlias = Literal["patches", "occlusion"]

# Blue and orange: of opposite hue to every eye, colour-blind ones too (Brewer's PuOr and RdBu, their ends).
REAL, FALSE = (33, 102, 172), (230, 97, 1)
STRENGTH = 0.75  # of the full colour; the rest is the picture in grey, so that one sees what lies under it
LEAST_LIMIT = 0.05  # of the colour scale: below it a map is pale, and is to be
_QUANTILE = 0.98  # of the values' sizes; what is beyond has the full colour
_CELLS = 8  # of a side under occlusion; a covered window has two by two of them


class Scoring(Protocol):
    """What is asked: see `pipeline.discriminators.Discriminator`."""

    @property
    def network(self) -> nn.Module:
        """The network itself: how far its convolutions reach says where a score lies."""
        ...

    @property
    def boundary(self) -> float:
        """The score above which it says "real"."""
        ...

    @property
    def sides(self) -> tuple[int, int]:
        """The least and the largest short side, px, at which a picture is as large as those it learnt from."""
        ...

    def scores(self, images: Tensor) -> Tensor:
        """Return scores (N, 1, h, w) of patches or (N,) of images, (N, 3, H, W) in [-1, 1]."""
        ...


@dataclass(frozen=True)
class HeatMap:
    """What a discriminator makes of a picture.

    `values` (H, W), of the picture's size: above 0 speaks for real, below for false. Of patches they are scores less
    the boundary; under occlusion what the score loses when the place is covered.
    """

    values: Values
    score: float  # of the whole (of patches: their mean), less the boundary
    kind: Kind

    @property
    def share(self) -> float:
        """Share of the picture that speaks for real."""
        return float((self.values > 0).mean())


@torch.inference_mode()
def heat_map(discriminator: Scoring, picture: Image.Image) -> HeatMap:
    """Return the map of an RGB picture of any size.

    It is looked at in the size that the discriminator learnt at: a larger one is reduced, a very small one enlarged.
    """
    seen = to_tensor(_fitted(picture.convert("RGB"), *discriminator.sides))[None]
    scores = discriminator.scores(seen) - discriminator.boundary
    if scores.ndim == 4:
        places = [centres(discriminator.network, count) for count in scores.shape[2:]]
        values = _laid_out(scores[0, 0].numpy(), places, seen.shape[2:])
        return HeatMap(_resized(values, picture.size), float(scores.mean()), "patches")
    values, score = _occluded(discriminator, seen)
    return HeatMap(_resized(values, picture.size), score - discriminator.boundary, "occlusion")


def limit_of(maps: Iterable[HeatMap]) -> float:
    """Return the value at which one scale for several maps has its full colour, above 0."""
    sizes = np.concatenate([np.abs(found.values).ravel() for found in maps])
    return max(LEAST_LIMIT, float(np.quantile(sizes, _QUANTILE)))


def overlay(picture: Image.Image, found: HeatMap, limit: float) -> Image.Image:
    """Return a picture, of any size, in grey under the colours of its map.

    They are those of `REAL` at `limit` and above, and of `FALSE` at -`limit` and below.
    """
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    signed = np.clip(_resized(found.values, picture.size) / limit, -1, 1)[..., None]
    colour = np.where(signed > 0, np.array(REAL, np.float32), np.array(FALSE, np.float32))
    share = STRENGTH * np.abs(signed)
    return Image.fromarray((grey + share * (colour - grey)).round().astype(np.uint8))


def centres(network: nn.Module, count: int) -> NDArray[np.float64]:
    """Return where `count` neighbouring scores of a stack of convolutions have the middle of their patch, px.

    Receptive-field arithmetic (Araujo, Norris, Sim 2019, "Computing Receptive Fields of Convolutional Neural
    Networks").
    """
    first, step = 0.0, 1.0
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            first += step * ((layer.kernel_size[0] - 1) / 2 - int(layer.padding[0]))
            step *= layer.stride[0]
    return first + step * np.arange(count, dtype=np.float64)


def _fitted(picture: Image.Image, least: int, most: int) -> Image.Image:
    short = min(picture.size)
    wanted = min(max(short, least), most)
    if short == wanted:
        return picture
    size = (max(wanted, round(picture.width * wanted / short)), max(wanted, round(picture.height * wanted / short)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _laid_out(values: Values, places: Sequence[NDArray[np.float64]], size: Sequence[int]) -> Values:
    """Return values (h, w) at `places` down and across as a map (H, W): linear between, level beyond the last."""
    down, across = (
        np.stack([np.interp(np.arange(length), place, one) for one in np.eye(len(place))], axis=1)
        for length, place in zip(size, places, strict=True)
    )
    return np.asarray(down @ values @ across.T, np.float32)


def _occluded(discriminator: Scoring, seen: Tensor) -> tuple[Values, float]:
    """Return the map of a picture (1, 3, H, W) and its score, both as means over the squares that it consists of."""
    side, long = sorted(seen.shape[2:])
    count = math.ceil(long / side)
    total, times, scores = np.zeros(seen.shape[2:], np.float32), np.zeros(seen.shape[2:], np.float32), []
    for number in range(count):
        place = slice(start := round(number * (long - side) / max(1, count - 1)), start + side)
        area = (place, slice(None)) if seen.shape[2] == long else (slice(None), place)
        values, score = _occluded_square(discriminator, seen[..., area[0], area[1]])
        total[area] += values
        times[area] += 1
        scores.append(score)
    return total / times, float(np.mean(scores))


def _occluded_square(discriminator: Scoring, seen: Tensor) -> tuple[Values, float]:
    score = float(discriminator.scores(seen))
    cover = seen.mean((2, 3), keepdim=True)
    edges = np.linspace(0, seen.shape[2], _CELLS + 1).round().astype(int)
    worth = np.zeros((_CELLS, _CELLS), np.float32)
    spans = [slice(max(0, first), min(first + 2, _CELLS)) for first in range(-1, _CELLS)]  # each cell is in two
    for down, across in itertools.product(spans, spans):
        hidden = seen.clone()
        hidden[..., edges[down.start] : edges[down.stop], edges[across.start] : edges[across.stop]] = cover
        # One image a pass: a discriminator may compare the images of a batch.
        worth[down, across] += (score - float(discriminator.scores(hidden))) / 4
    middles = (edges[:-1] + edges[1:] - 1) / 2
    return _laid_out(worth, [middles, middles], seen.shape[2:]), score


def _resized(values: Values, size: tuple[int, int]) -> Values:
    if values.shape == size[::-1]:
        return values
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR), np.float32)
