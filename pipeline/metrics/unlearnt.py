"""Restoration without learning: what a model must beat. OpenCV fills holes, Pillow enlarges.

cv2 gets arrays that `images` decoded and gives arrays back: it never opens a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image

from pipeline.images import to_image, to_tensor
from pipeline.networks.filling import fill

Mend: TypeAlias = Callable[[Image.Image, Image.Image | None, int], Image.Image]
"""What is left of a picture, its mask if there is one, and how many times larger it was -> the picture."""

_RADIUS = 3  # px around a pixel that Telea and Navier-Stokes look at, as in OpenCV's own examples


def untouched(left: Image.Image, mask: Image.Image | None, scale: int) -> Image.Image:
    """Return what is left, as it is."""
    del mask, scale
    return left


def smooth(left: Image.Image, mask: Image.Image | None, scale: int) -> Image.Image:
    """Return holes filled smoothly from their edges: the model's own first guess, without a network."""
    del scale
    assert mask is not None
    holes = torch.from_numpy((np.asarray(mask) > 0).astype(np.float32))[None, None]
    return to_image(fill(to_tensor(left)[None], holes)[0])


def telea(left: Image.Image, mask: Image.Image | None, scale: int) -> Image.Image:
    """Return holes filled by fast marching (Telea 2004)."""
    del scale
    return _opencv(left, mask, fast_marching=True)


def navier_stokes(left: Image.Image, mask: Image.Image | None, scale: int) -> Image.Image:
    """Return holes filled as a fluid would (Bertalmio, Bertozzi, Sapiro 2001)."""
    del scale
    return _opencv(left, mask, fast_marching=False)


def bicubic(left: Image.Image, mask: Image.Image | None, scale: int) -> Image.Image:
    """Return a picture enlarged by bicubic interpolation."""
    del mask
    return left.resize((left.width * scale, left.height * scale), Image.Resampling.BICUBIC)


CONTROLS: Mapping[str, Mapping[str, Mend]] = MappingProxyType(
    {
        "inpaint": MappingProxyType(
            {"damaged": untouched, "smooth": smooth, "telea": telea, "navier_stokes": navier_stokes}
        ),
        "restore": MappingProxyType({"damaged": untouched}),
        "super_resolution": MappingProxyType({"bicubic": bicubic}),
    }
)
"""What restores without having learnt, by `pix2pix.task`."""


def _opencv(left: Image.Image, mask: Image.Image | None, fast_marching: bool) -> Image.Image:
    import cv2

    assert mask is not None
    cv2.setNumThreads(1)
    method = cv2.INPAINT_TELEA if fast_marching else cv2.INPAINT_NS
    return Image.fromarray(np.asarray(cv2.inpaint(np.array(left), np.array(mask), _RADIUS, method), dtype=np.uint8))
