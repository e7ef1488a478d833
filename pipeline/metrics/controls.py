"""Controls: what a model must beat to have earned its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.colour import transfer_lab
from pipeline.metrics.references import Pixels

Palette: TypeAlias = Mapping[str, Sequence[float]]
Control: TypeAlias = Callable[[Pixels, Palette], Pixels]

_REACH = 64  # the filter reaches this part of the shorter side away from a pixel: its window is twice that wide
_LUMA = np.array([213, 715, 72])  # thousandths (ITU-R BT.709): whole numbers, so that no digit hangs on the machine


def untouched(photograph: Pixels, palette: Palette) -> Pixels:
    """Return the photograph itself."""
    del palette
    return photograph


def recoloured(photograph: Pixels, palette: Palette) -> Pixels:
    """Return the photograph with Lab mean and deviation of the training paintings: colour without a stroke."""
    return transfer_lab(photograph, palette["lab_mean"], palette["lab_std"])


def painterly(photograph: Pixels, palette: Palette) -> Pixels:
    """Return the recoloured photograph under a painterly filter: dabs of paint that any image editor can make."""
    filtered = recoloured(photograph, palette)
    return kuwahara(filtered, max(1, round(min(filtered.shape[:2]) / _REACH)))


def kuwahara(image: Pixels, radius: int) -> Pixels:
    """Return the image with flat dabs of colour and sharp edges (Kuwahara et al. 1976).

    A pixel lies in a corner of each of four windows, radius + 1 px wide; it takes the mean colour of the one whose
    luma varies least, the first of them where several do. All sums are whole numbers, and so exact.

    Args:
        image: (H, W, 3) 8-bit sRGB, at most 2048 px wide and high.
        radius: at least 1; the four windows together are 2 * radius + 1 px wide, mirrored beyond borders.
    """
    height, width = image.shape[:2]
    padded = np.pad(image.astype(np.int64), [(radius, radius), (radius, radius), (0, 0)], mode="symmetric")
    luma = padded @ _LUMA
    sums = _box_sums(np.dstack([padded, luma, luma**2]), radius + 1)
    count = (radius + 1) ** 2
    spread = count * sums[..., 4] - sums[..., 3] ** 2  # the variance, times the square of the count
    corners = [(top, left) for top in (0, radius) for left in (0, radius)]
    windows = [(slice(top, top + height), slice(left, left + width)) for top, left in corners]
    least = np.argmin([spread[window] for window in windows], axis=0)
    colours = np.stack([sums[window][..., :3] for window in windows])
    chosen = np.take_along_axis(colours, least[None, ..., None], axis=0)[0]
    return np.asarray((2 * chosen + count) // (2 * count), dtype=np.uint8)  # rounded


def _box_sums(image: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Return sums over all `side` x `side` windows of (H, W, C), by their upper left corners."""
    totals = np.pad(image, [(1, 0), (1, 0), (0, 0)]).cumsum(axis=0).cumsum(axis=1)
    return np.asarray(
        totals[side:, side:] - totals[:-side, side:] - totals[side:, :-side] + totals[:-side, :-side], dtype=np.int64
    )


CONTROLS: Mapping[str, Control] = MappingProxyType(
    {"photograph": untouched, "lab_transfer": recoloured, "lab_painterly": painterly}
)
UPPER = "paintings"
"""The name of the control above: held-out paintings against each other."""
