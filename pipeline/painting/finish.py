"""From a painting of the working size to what is handed out: full size, own colours, strength; strip by strip."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.images import cropped, to_image
from pipeline.painting.detail import Detail

_STRIP = 1 << 18  # px that are worked on at once


@torch.inference_mode()
def finish(
    photo: Image.Image,
    small: Image.Image,
    painting: Image.Image,
    *,
    strength: float = 1.0,
    preserve_color: bool = False,
    detail: bool = True,
) -> Image.Image:
    """Return a painting in the size of its photograph; beside both it takes memory for a strip.

    Args:
        photo: RGB, of any size.
        small: the photograph at the working size.
        painting: its painting, in the size of `small`.
        strength: 0 gives the photograph back, 1 the painting, what is between goes straight from one to the other.
        preserve_color: keep the photograph's colours and take only light and strokes from the painting.
        detail: let edges and fine detail of the photograph guide the enlargement; without it is a plain one.
    """
    if painting.size != photo.size and not (detail and _is_larger(photo, painting)):
        painting = painting.resize(photo.size, Image.Resampling.LANCZOS)
    guide = None if painting.size == photo.size else Detail(_unit(small), _unit(painting))
    canvas = Image.new("RGB", photo.size)
    rows = max(1, _STRIP // photo.width)
    for top in range(0, photo.height, rows):
        box = (0, top, photo.width, min(top + rows, photo.height))
        own = cropped(photo, box)
        if guide is None:
            part = cropped(painting, box)
        else:
            part = to_image(guide.rows(_unit(own), top, photo.height) * 2 - 1)
        if preserve_color:
            part = with_colours_of(own, part)
        canvas.paste(part if strength == 1 else Image.blend(own, part, strength), box)
    return canvas


def with_colours_of(photo: Image.Image, painting: Image.Image) -> Image.Image:
    """Return the light of a painting with the colours of a photograph of its size."""
    light, _, _ = painting.convert("YCbCr").split()
    _, blue, red = photo.convert("YCbCr").split()
    return Image.merge("YCbCr", (light, blue, red)).convert("RGB")


def _is_larger(photo: Image.Image, painting: Image.Image) -> bool:
    return photo.width >= painting.width and photo.height >= painting.height


def _unit(image: Image.Image) -> Tensor:
    """Return an RGB image as float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)
