"""Finer brushwork over coarse: what a painter does last, and what lets a large picture be looked at from near."""

from __future__ import annotations

import torch
from PIL import Image

from pipeline.images import to_image, to_tensor
from pipeline.painting.detail import LIGHT
from pipeline.painting.finish import finish

_RATIOS = (2, 4)  # of the working size; each layer's strokes are half as wide as those below
_ROOM = 1.5  # how many times larger than a layer the picture is at least: less is for the photograph's own detail
_SHARE = 0.7  # how much of a layer's strokes is laid over; with all of it edges get dark outlines


def layer_sizes(small: tuple[int, int], full: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the sizes (px) of the layers that a picture of size `full`, painted at `small`, gets on top."""
    factor = min(full[0] / small[0], full[1] / small[1])
    ratios = [ratio for ratio in _RATIOS if ratio * _ROOM <= factor]
    return [(small[0] * ratio, small[1] * ratio) for ratio in ratios]


@torch.inference_mode()
def laid_over(small: Image.Image, painting: Image.Image, photo: Image.Image, finer: Image.Image) -> Image.Image:
    """Return a painting brought to the size of a finer one, with the finer one's light where the coarse has none.

    Colours are the coarse painting's alone: colours of two paintings would make specks.

    Args:
        small: the photograph at the size of `painting`.
        painting: the coarse painting.
        photo: the photograph at the size of `finer`.
        finer: the fine painting.
    """
    base, strokes = to_tensor(finish(photo, small, painting)), to_tensor(finer)
    softened = finer.resize(painting.size, Image.Resampling.LANCZOS).resize(finer.size, Image.Resampling.LANCZOS)
    light = torch.tensordot(torch.tensor(LIGHT), strokes - to_tensor(softened), dims=1)
    return to_image(base + _SHARE * light)
