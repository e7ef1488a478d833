"""The size that a picture is painted at: brush strokes have a size, and it is a share of the picture."""

from __future__ import annotations

import math

from pipeline.painting.options import check_scale

# Strokes keep a share of the picture that was learnt at `view` px. Painted this much larger they are finer than in
# the artworks but still plainly strokes, and the picture is sharper; at twice they shrink out of sight.
LARGEST = 1.4


def working_size(size: tuple[int, int], view: int, scale: float = 1.0) -> tuple[int, int]:
    """Return width and height (px) at which a picture is painted.

    With a scale of 1 the short side has `view` to 1.4 `view` px: a smaller picture is enlarged, unless it is a long
    strip that would become a large picture. A scale of 2 doubles that, up to the picture's own size.

    Args:
        size: width and height of the picture, px.
        view: the side that the model learnt at, px.
        scale: how many times finer than in training strokes are to be.

    Raises:
        ValueError: `scale` will not do.
    """
    short, pixels = min(size), size[0] * size[1]
    wanted = check_scale(scale) * min(max(short, view), LARGEST * view)
    most = max(1.0, min(view / short, math.sqrt((2 * LARGEST * view) ** 2 / pixels)))
    factor = min(wanted / short, most)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
