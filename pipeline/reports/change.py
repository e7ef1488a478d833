"""What a model changed, as a picture: each pixel's distance in Lab from the photograph, on one calm scale for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.colour import pixels_to_lab

MOST = 60.0  # Lab units; what is beyond looks the same
# Paper for what was left alone, to ink for another colour altogether; lightness falls all the way, for every eye.
COLOURS = ((250, 247, 240), (240, 214, 170), (214, 142, 92), (152, 66, 62), (66, 28, 56))
_BLUR = 1 / 160  # of the short side: single pixels of a stroke would only be noise to look at


def change(before: Image.Image, after: Image.Image) -> NDArray[np.float32]:
    """Return the distance (CIE 1976) of every pixel, (H, W), in Lab units: 2 can just be seen, 100 is black to white.

    Raises:
        ValueError: the pictures differ in size.
    """
    if before.size != after.size:
        raise ValueError(f"a picture of {before.size} px and one of {after.size} px have no difference")
    blur = ImageFilter.GaussianBlur(_BLUR * min(before.size))
    one, other = (pixels_to_lab(np.asarray(image.convert("RGB").filter(blur))) for image in (before, after))
    distance: NDArray[np.float32] = np.sqrt(((one - other) ** 2).sum(axis=-1))
    return distance


def change_picture(before: Image.Image, after: Image.Image) -> tuple[Image.Image, float]:
    """Return the change in colours from `COLOURS`, 0 to `MOST`, and its mean in Lab units.

    Raises:
        ValueError: as `change`.
    """
    found = change(before, after)
    stops = np.linspace(0, MOST, len(COLOURS))
    channels = [np.interp(found, stops, [colour[channel] for colour in COLOURS]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8)), float(found.mean())
