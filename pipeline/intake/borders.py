"""Where the picture begins in a scan or photograph that has uniform borders: margins, bars, passepartout and frame.

A border is made of lines that are each uniform along their length, and it ends at a straight, sharp edge; the sides
agree with each other in colour or in width. That is looked for in a small copy, then placed in narrow strips of the
image itself. What is not plain to see is no border: a picture that keeps its margin is better than one cut into.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]

_SIDE = 512  # px; the long side of the copy that is searched
_DEPTH = 0.45  # share of a side that one border may take
_AREA = 0.25  # share of the image that must be left
_SHORT = 0.2  # share of the image's short side that must be left of it
_SAMPLES = 96  # pixels looked at along each line
_UNIFORM = 20  # levels; the spread along a line of a border
_LINES = 0.85  # share of a border's lines that are uniform: a caption or a scratch may interrupt them
_STEP = 8  # levels beyond the spread by which the picture differs from its border
_ALIKE = 28  # levels by which the sides of a border may differ
_MOST = 4  # edges looked at on each side
_TRIES = 12  # combinations of them

_LEFT, _TOP, _RIGHT, _BOTTOM = range(4)  # as in a box


@dataclass(frozen=True)
class _Edge:
    """The end of a border on one side: its width (lines) and the colour of its last lines."""

    width: int
    colour: np.ndarray


_NONE = _Edge(0, np.zeros(3, np.int16))


def find_box(image: Image.Image) -> Box | None:
    """Return the part inside the uniform borders of an upright RGB image; None where there are none to be sure of.

    The box is (left, top, right, bottom) in px and lies a little inside the picture: under 1 % of the side.
    Borders are found around all four sides, or on two opposite ones (bars) or three.
    """
    scale = max(1.0, max(image.size) / _SIDE)
    small = _reduced(image, scale)
    found = _search(np.asarray(small))
    if found is None:
        return None
    box = _placed(image, found, scale)
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if min(width, height) < _SHORT * min(image.size) or width * height < _AREA * image.width * image.height:
        return None
    return box


def _reduced(image: Image.Image, scale: float) -> Image.Image:
    """Return a copy with sides divided by `scale`, each pixel the mean of four: a full average costs 10 times that."""
    if scale == 1:
        return image
    size = [max(2, 2 * round(side / scale)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.NEAREST).reduce(2)


def _search(pixels: np.ndarray) -> tuple[_Edge, _Edge, _Edge, _Edge] | None:
    """Return the innermost edges that pass for a border."""
    gap = max(2, round(max(pixels.shape[:2]) / 128))
    sides = [_side(pixels, side) for side in range(4)]
    outermost = [_uniform_start(lines, gap) for lines in sides]
    if not (all(outermost[::2]) or all(outermost[1::2])):
        return None
    edges = [_edges(lines, gap) if start else [] for lines, start in zip(sides, outermost, strict=True)]
    if not ((edges[_LEFT] and edges[_RIGHT]) or (edges[_TOP] and edges[_BOTTOM])):
        return None
    for choice in itertools.islice(_choices(edges, pixels.shape[1], pixels.shape[0], gap), _TRIES):
        checked = _checked(sides, choice, gap)
        if checked:
            return checked
    return None


def _side(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a view whose first line is the outermost of that side."""
    turned = pixels.transpose(1, 0, 2) if side in (_LEFT, _RIGHT) else pixels
    return turned[::-1] if side in (_RIGHT, _BOTTOM) else turned


def _sampled(lines: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return lines x samples x 3 between two places along the lines."""
    columns = np.linspace(start, stop - 1, min(_SAMPLES, stop - start)).round().astype(int)
    return lines[:, columns].astype(np.int16)


def _middle(lines: np.ndarray) -> tuple[int, int]:
    # The middle half stays clear of the borders of the neighbouring sides, whose widths are not yet known.
    return lines.shape[1] // 4, lines.shape[1] - lines.shape[1] // 4


def _colour(sample: np.ndarray) -> np.ndarray:
    return np.sort(sample, axis=1)[:, sample.shape[1] // 2]


def _spread(sample: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return how many levels from its colour seven of ten pixels of each line stay within."""
    deviation = np.abs(sample - colour[:, None]).max(axis=2)
    return np.sort(deviation, axis=1)[:, sample.shape[1] * 7 // 10]


def _uniform_start(lines: np.ndarray, gap: int) -> bool:
    sample = _sampled(lines[:1], *_middle(lines))
    return bool(_spread(sample, _colour(sample))[0] <= _UNIFORM)


def _profile(sample: np.ndarray, gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each line what it leaves behind: colour and uniformity of the line `gap` further out, and the share
    of its own pixels that differ from that line where that line has its colour.

    The colour is continued at the rate at which it changes there: a slope (a vignette, a sky) is no edge.
    """
    padded = np.concatenate([sample[:1].repeat(gap, axis=0), sample])
    colour = _colour(padded)
    spread = _spread(padded, colour)
    ahead = colour[:-gap] + gap * np.diff(colour[:-gap], axis=0, prepend=colour[:1])
    reach = (spread[:-gap] + _STEP)[:, None]
    low = np.minimum(colour[:-gap], ahead) - reach
    high = np.maximum(colour[:-gap], ahead) + reach
    beyond = ((sample < low[:, None]) | (sample > high[:, None])).any(axis=2)
    before = (np.abs(padded[:-gap] - colour[:-gap, None]) <= reach[:, None]).all(axis=2)
    return colour[:-gap], spread[:-gap] <= _UNIFORM, (beyond & before).mean(axis=1)


def _edges(lines: np.ndarray, gap: int) -> list[_Edge]:
    """Return where a run of uniform lines may end, outermost first, judged by the middle of the lines."""
    sample = _sampled(lines[: int(len(lines) * _DEPTH) + gap], *_middle(lines))
    colour, uniform, beyond = _profile(sample, gap)
    run = np.logical_and.accumulate(uniform.cumsum() >= _LINES * np.arange(1, len(sample) + 1))
    sharp = run & uniform & (beyond >= 0.35)
    first = sharp & ~np.concatenate([[False], sharp[:-1]])
    return [_Edge(int(width), colour[width]) for width in np.flatnonzero(first)[:_MOST]]


def _choices(edges: Sequence[Sequence[_Edge]], width: int, height: int, gap: int) -> Iterator[tuple[_Edge, ...]]:
    """Yield combinations of edges that agree, those that leave the smallest picture first."""
    choices = []
    for choice in itertools.product(*([*side, _NONE] for side in edges)):
        left, top, right, bottom = choice
        if not ((left.width and right.width) or (top.width and bottom.width)):
            continue
        inner = (width - left.width - right.width, height - top.width - bottom.width)
        if min(inner) < _SHORT * min(width, height) or inner[0] * inner[1] < _AREA * width * height:
            continue
        if _agree(choice, gap):
            choices.append((inner[0] * inner[1], choice))
    choices.sort(key=lambda item: item[0])
    return (choice for _, choice in choices)


def _agree(choice: Sequence[_Edge], gap: int) -> bool:
    present = [edge for edge in choice if edge.width]
    colours = np.array([edge.colour for edge in present])
    if np.ptp(colours, axis=0).max() <= (_ALIKE if len(present) == 4 else _ALIKE // 2):
        return True
    # A moulding in light from one side has as many colours as sides, and one width.
    widths = [edge.width for edge in present]
    return len(present) == 4 and max(widths) - min(widths) <= max(gap, 0.15 * max(widths))


def _checked(
    sides: Sequence[np.ndarray], choice: Sequence[_Edge], gap: int
) -> tuple[_Edge, _Edge, _Edge, _Edge] | None:
    """Look again along the whole of each line between the neighbouring edges; return the edges, or None."""
    whole = all(edge.width for edge in choice)
    checked, shares = [], []
    for side, edge in enumerate(choice):
        if not edge.width:
            checked.append(edge)
            continue
        lines = sides[side]
        # seen from a side, the line runs from the neighbour before to the one behind in the order of a box
        before, behind = (_TOP, _BOTTOM) if side in (_LEFT, _RIGHT) else (_LEFT, _RIGHT)
        start, stop = choice[before].width, lines.shape[1] - choice[behind].width
        start, stop = start + gap * (start > 0), stop - gap * (stop < lines.shape[1])
        if stop - start < 8:
            return None
        sample = _sampled(lines[: edge.width + gap], start, stop)
        colour, uniform, beyond = _profile(sample, gap)
        outside = slice(gap, max(gap, edge.width) + 1)
        if uniform[outside].mean() < _LINES or not uniform[edge.width]:
            return None
        if not whole and np.ptp(colour[outside], axis=0).max() > _ALIKE // 2:
            return None  # a bar has one colour
        shares.append(beyond[edge.width : edge.width + 2].max())
        checked.append(_Edge(edge.width, colour[edge.width]))
    enough = (0.35, 0.6) if whole else (0.6, 0.8)
    if min(shares) < enough[0] or sum(shares) / len(shares) < enough[1] or not _agree(checked, gap):
        return None
    return checked[0], checked[1], checked[2], checked[3]


def _placed(image: Image.Image, edges: Sequence[_Edge], scale: float) -> Box:
    """Return the box in px of the image itself, with the widths found to the pixel."""
    gap = max(2, round(max(image.size) / scale / 128))
    outer = [round(edge.width * scale) for edge in edges]
    widths = []
    for side, edge in enumerate(edges):
        widths.append(_width(image, side, edge, outer, scale, gap) if edge.width else 0)
    return widths[0], widths[1], image.width - widths[2], image.height - widths[3]


def _width(
    image: Image.Image, side: int, edge: _Edge, outer: Sequence[int], scale: float, gap: int
) -> int:
    """Return how many lines to leave out on a side, so that none of the border is left."""
    first = max(0, int((edge.width - gap - 1) * scale))
    last = int((edge.width + 3 * gap + 1) * scale)
    reach = round(gap * scale)
    if side in (_LEFT, _RIGHT):
        start, stop = outer[_TOP] + reach, image.height - outer[_BOTTOM] - reach
        where = (first, start, last, stop) if side == _LEFT else (image.width - last, start, image.width - first, stop)
        across = (1, max(1, (stop - start) // 256))
    else:
        start, stop = outer[_LEFT] + reach, image.width - outer[_RIGHT] - reach
        where = (start, first, stop, last) if side == _TOP else (start, image.height - last, stop, image.height - first)
        across = (max(1, (stop - start) // 256), 1)
    lines = _side(np.asarray(image.crop(where).reduce(across)), side).astype(np.int16)
    colour, uniform, beyond = _profile(lines, reach)
    sharp = np.where(uniform, beyond, 0)
    end = int(np.flatnonzero(sharp >= 0.5 * sharp.max())[-1])  # the last line that differs from a border's, `reach` lines further out
    kept = _beyond(lines[max(0, end - reach) : end + 1], colour[end])
    inset = 1 + max(image.size) // 500
    return first + max(0, end - reach) + int(np.argmax(kept >= 0.9 * kept[-1])) + inset


def _beyond(lines: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return the share of each line's pixels that differ from a colour."""
    return (np.abs(lines - colour).max(axis=2) > _UNIFORM).mean(axis=1)
