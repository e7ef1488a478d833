"""Paint a large picture by tiles that leave no seam: shared statistics, overlap, and blending; memory is bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.images import cropped, to_image, to_tensor
from pipeline.painting.statistics import measure, norms, with_statistics

WHOLE = 1 << 19  # px that are painted at once
_TILE = 768  # largest side of a tile with its margins, px
# What a tile sees less of than the whole picture does, px: the last half of a margin is thrown away, the rest blends.
# Networks of 4 to 9 residual blocks reach 54 to 94 px, and their outermost reach hardly counts.
_MARGIN = 64


def paint(
    network: nn.Module,
    picture: Image.Image,
    multiple: int,
    device: torch.device,
    tile: int = _TILE,
    margin: int = _MARGIN,
) -> Image.Image:
    """Return the painting of an RGB picture of any size, in its size.

    Args:
        network: takes and gives (N, 3, H, W) in [-1, 1]; H and W are multiples of `multiple`.
        picture: of any size.
        multiple: see `network`.
        device: where the network is.
        tile: largest side of a tile, margins included, px; a multiple of `multiple`.
        margin: px at each side of a tile that another tile shows better; a multiple of `multiple`.
    """
    if norms(network):
        network = with_statistics(network, measure(network, proxy(picture, multiple, device)))
    width, height = (_whole(length, multiple) for length in picture.size)
    across, down = (spans(length, tile, margin, multiple) for length in (width, height))
    canvas = Image.new("RGB", picture.size)

    def bands() -> Iterator[tuple[int, Tensor]]:
        for top, bottom in down:
            parts = (_painted(network, picture, (left, top, right, bottom), device) for left, right in across)
            yield top, _joined(parts, across, width, margin)

    for top, rows in _stacked(bands(), down, height, margin):
        canvas.paste(to_image(rows[..., : picture.width]), (0, top))
    return canvas


def proxy(picture: Image.Image, multiple: int, device: torch.device, pixels: int = WHOLE) -> Tensor:
    """Return a picture reduced to at most `pixels` px, (1, 3, h, w) in [-1, 1], to take statistics from.

    As many pixels of windows at the picture's own size tell less of the whole (docs/decisions.md, 'Pictures of any
    size').
    """
    factor = min(1.0, math.sqrt(pixels / (picture.width * picture.height)))
    short = _whole(math.floor(factor * min(picture.size)), multiple)
    long = _whole(min(math.floor(factor * max(picture.size)), pixels // short - multiple + 1), multiple)
    size = (long, short) if picture.width > picture.height else (short, long)
    return to_tensor(picture.resize(size, Image.Resampling.LANCZOS))[None].to(device)


def spans(length: int, tile: int, margin: int, multiple: int) -> list[tuple[int, int]]:
    """Return where tiles begin and end along a side of `length` px; neighbours share two margins or little more.

    Args:
        length: px, a multiple of `multiple`, as are the others.
        tile: px that a tile with its margins has at most; as few tiles as that allows are as small as they may be.
        margin: px.
        multiple: what beginnings and ends are multiples of.
    """
    if length <= tile:
        return [(0, length)]
    count = math.ceil((length - 2 * margin) / (tile - 2 * margin))
    tile = math.ceil((length - 2 * margin) / count / multiple) * multiple + 2 * margin
    return [(start, start + tile) for start in _spread(length - tile, count, multiple)]


def _whole(length: int, multiple: int) -> int:
    """Return a length that the network can halve, and reflect a few pixels of at its lowest resolution."""
    return max(4, math.ceil(length / multiple)) * multiple


def _spread(last: int, count: int, multiple: int) -> list[int]:
    """Return `count` multiples from 0 to `last`, as evenly as they go."""
    if count == 1:
        return [last // (2 * multiple) * multiple]
    return [min(last, round(number * last / (count - 1) / multiple) * multiple) for number in range(count)]


@torch.inference_mode()
def _painted(
    network: nn.Module, picture: Image.Image, box: tuple[int, int, int, int], device: torch.device
) -> Tensor:
    """Return the painting (3, h, w) of a part of a picture."""
    part = _cut(picture, box)[None].to(device, memory_format=torch.channels_last)
    painted: Tensor = network(part)[0]
    return painted.cpu()


def _cut(picture: Image.Image, box: tuple[int, int, int, int]) -> Tensor:
    """Return a part of a picture (3, h, w) in [-1, 1]; beyond right and bottom the edge is repeated."""
    left, top, right, bottom = box
    inside = (left, top, min(right, picture.width), min(bottom, picture.height))
    part = to_tensor(cropped(picture, inside))
    beyond = (0, right - inside[2], 0, bottom - inside[3])
    return F.pad(part[None], beyond, mode="replicate")[0] if any(beyond) else part


def _joined(parts: Iterator[Tensor], across: Sequence[tuple[int, int]], width: int, margin: int) -> Tensor:
    """Return a band (3, h, width) of tiles that stand side by side."""
    band, weights = torch.zeros(0), torch.zeros(width)
    for part, (left, right) in zip(parts, across, strict=True):
        if not len(band):
            band = torch.zeros(3, part.shape[1], width)
        weight = _weight(left, right, width, margin)
        band[..., left:right] += part * weight
        weights[left:right] += weight
    return band / weights


def _stacked(
    bands: Iterator[tuple[int, Tensor]], down: Sequence[tuple[int, int]], height: int, margin: int
) -> Iterator[tuple[int, Tensor]]:
    """Yield a first row's number and the rows (3, h, W) of bands that lie one below another, each row once."""
    kept, weights, first = torch.zeros(0), torch.zeros(0), 0
    for number, (top, band) in enumerate(bands):
        bottom = down[number][1]
        weight = _weight(top, bottom, height, margin)
        if number:  # bring the overlap together; a row that counts nothing yet is the next band's to show
            shared = first + kept.shape[1] - top
            total = weight.clone()
            total[:shared] += weights[-shared:]
            band = band * (weight / total.clamp(min=1e-6))[:, None]
            band[:, :shared] += kept[:, -shared:] * (weights[-shared:] / total[:shared].clamp(min=1e-6))[:, None]
            weight = total.clamp(max=1)
        end = down[number + 1][0] if number + 1 < len(down) else bottom
        yield top, band[:, : end - top]
        kept, weights, first = band, weight, top


def _weight(start: int, stop: int, length: int, margin: int) -> Tensor:
    """Return how much each place of a tile counts: 1, but at its inner ends 0 for half a margin, then a slope."""
    places = torch.arange(start, stop) + 0.5
    weight = torch.ones(stop - start)
    if start > 0:
        weight = weight.minimum((places - start) / margin - 0.5)
    if stop < length:
        weight = weight.minimum((stop - places) / margin - 0.5)
    return weight.clamp(0, 1)
