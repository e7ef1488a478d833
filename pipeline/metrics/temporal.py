"""Temporal consistency: whether a picture that moved by a few pixels is painted as the same picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.colour import pixels_to_lab
from pipeline.metrics.bootstrap import Resamples, Samples
from pipeline.metrics.references import Pixels

Repaint: TypeAlias = Callable[[Pixels], Pixels]

COUNT = 8  # photographs that are moved: each costs three paintings, which is most of what a metric here may cost
_MARGIN = 8  # px that a window's side is shorter than the view's: room to move
_MOVES = ((2, 1), (5, 3))  # px down and right; no multiples of one stride, so that a generator's grid shows
_BORDER = 10  # this part of a window's side is left out at each edge: a network pads there


class Temporal:
    """`temporal/flicker`, of the model itself and not of its outputs."""

    def __init__(self, photographs: Sequence[Pixels]) -> None:
        """Keep the first photographs in the order given, which must be canonical."""
        self._photographs = photographs[:COUNT]

    def measure(self, repaint: Repaint, resamples: Resamples) -> dict[str, Samples]:
        """Return samples of the weighted mean over the photographs that are moved; see `flicker`.

        The resamples are those of all photographs. A row that drew none of these weighs them alike.
        """
        values = np.array([flicker(repaint, photograph) for photograph in self._photographs])
        weights = resamples.photographs[:, : len(values)].astype(np.float64)
        weights[weights.sum(axis=1) == 0] = 1
        return {"temporal/flicker": (weights @ values) / weights.sum(axis=1)}


def flicker(repaint: Repaint, photograph: Pixels) -> float:
    """Return how much a painting changes when the photograph moves under the frame, in L units; 0 if not at all.

    Windows of the photograph, some px apart, are repainted one by one, never resampled. Where the first and another
    of them show the same place, the root mean square difference of Lab L is taken, borders left out, over all moves.
    Noise of deviation s that is drawn anew at each call scores s * sqrt(2).

    Args:
        repaint: picture in, picture of the same size out, whatever the size.
        photograph: (V, V, 3), V at least 32.
    """
    side = photograph.shape[0] - _MARGIN
    border = side // _BORDER
    first = _light(repaint, photograph, 0, 0, side)
    squares: list[NDArray[np.float64]] = []
    for down, right in _MOVES:
        moved = _light(repaint, photograph, down, right, side)
        here = first[down + border : side - border, right + border : side - border]
        there = moved[border : side - border - down, border : side - border - right]
        squares.append(((here - there) ** 2).ravel())
    return float(np.sqrt(np.concatenate(squares).mean()))


def _light(repaint: Repaint, photograph: Pixels, top: int, left: int, side: int) -> NDArray[np.float64]:
    """Return Lab L of the repainted window with its upper left corner at (top, left)."""
    window = np.ascontiguousarray(photograph[top : top + side, left : left + side])
    return pixels_to_lab(repaint(window))[..., 0].astype(np.float64)
