"""Where the picture begins in a scan or photograph that has uniform borders: margins, bars, passepartout and frame.

A border is made of lines that are each uniform along their length, and it ends at a straight, sharp edge; its sides
agree with each other in colour or in width. That is looked for in a small copy, then placed in narrow strips of the
image itself. What is not plain to see is no border: a picture that keeps its margin is better than one cut into.
Figures are in docs/decisions.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]

_SIDE = 512  # px; the long side of the copy that is searched
_DEPTH = 0.45  # share of a side that one border may take
_AREA = 0.25  # share of the image that must be left
_SHORT = 0.2  # share of the image's short side that must be left
_SAMPLES = 64  # pixels looked at along a line: as many at least, and less than twice that
_LEAST = 32  # px; the short side of a copy in which lines can be told from picture
_FEW = 8  # px of a line too short to tell anything
_WHITE = 255  # levels
_UNIFORM = 20  # levels; the spread along a line of a border
_LINES = 0.7  # share of a border's lines that are uniform: a caption or a scratch may interrupt them
_STEP = 10  # levels beyond that spread by which the picture differs from its border
_SHARE = 0.35  # of a line that must differ from the border before it: some of the picture may have its colour
_ALIKE = 28  # levels by which the sides of a border may differ
_MOST = 5  # edges remembered on each side
_PLAINER = 0.08  # by which the share must be larger for edges further out on a side or two to be preferred
_TRIES = 24  # combinations of them that are looked at closely

_LEFT, _TOP, _RIGHT, _BOTTOM = range(4)  # in the order of a box


@dataclass(frozen=True)
class _Edge:
    """The end of a border on one side: its width (lines, 0 for no border) and the colour that ends there."""

    width: int
    colour: np.ndarray


@dataclass(frozen=True)
class _Profile:
    """Each line against one further out: that one's colour (channels x lines) and whether it is uniform, the share of
    this line's pixels at which that colour ends, and by how many levels on average.
    """

    colour: np.ndarray
    uniform: np.ndarray
    share: np.ndarray
    jump: np.ndarray


@dataclass(frozen=True)
class _Fit:
    """Edges that pass for the ends of a border, as chosen and as seen along whole lines, and how plain they are."""

    choice: Sequence[_Edge]
    edges: list[_Edge]
    share: float


_ABSENT = _Edge(0, np.zeros(3, np.int16))


def find_box(image: Image.Image) -> Box | None:
    """Return the part inside the uniform borders of an upright RGB image; None where there are none to be sure of.

    The box is (left, top, right, bottom) in px and lies a little inside the picture, mostly under 1 % of the side.
    Borders are found around all four sides, or on two opposite sides (bars) or three.
    """
    scale = max(1.0, max(image.size) / _SIDE)
    small = _reduced(image, scale)
    edges = _search(np.asarray(small)) if min(small.size) >= _LEAST else None
    if edges is None:
        return None
    left, top, right, bottom = (
        _width(image, side, edges, scale) if edge.width else 0 for side, edge in enumerate(edges)
    )
    inner = image.width - left - right, image.height - top - bottom
    return (left, top, image.width - right, image.height - bottom) if _enough(inner, image.size) else None


def usable_box(image: Image.Image, min_side: int) -> Box | None:
    """Return `find_box` of an image, None where what is left would have a side below `min_side` px."""
    box = find_box(image)
    return box if box and min(box[2] - box[0], box[3] - box[1]) >= min_side else None


def _reduced(image: Image.Image, scale: float) -> Image.Image:
    """Return a copy with sides divided by `scale`, each pixel the mean of four: all would cost 4 times that."""
    if scale == 1:
        return image
    width, height = (2 * max(1, round(side / scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.NEAREST).reduce(2)


def _search(pixels: np.ndarray) -> list[_Edge] | None:
    """Return the innermost edges that pass for the ends of a border, in the order of a box."""
    height, width = pixels.shape[:2]
    gap = _gap(max(height, width))
    sides = [_side(pixels, side) for side in range(4)]
    choices = _choices([_edges(lines, gap) for lines in sides], (width, height), gap)
    found: list[_Fit] = []
    for choice in choices[:_TRIES]:
        if found and not _rivals(choice, found[0].choice):
            continue  # a layer further out, or a part of what was found
        fit = _fit(sides, choice, gap)
        if fit:
            found.append(fit)
    if not found:
        return None
    # A picture's own band may continue its border on one side, with a horizon for an edge: the plainer edge is right.
    plainest = max(found, key=lambda fit: fit.share)
    return (plainest if plainest.share > found[0].share + _PLAINER else found[0]).edges


def _gap(length: int) -> int:
    """Return over how many lines an edge may spread (by blur or a slight tilt) and still be straight and sharp."""
    return max(2, round(length / 128))


def _side(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return channels x lines x pixels of a line: a view whose first line is the outermost of that side."""
    turned = pixels.transpose(2, 1, 0) if side in (_LEFT, _RIGHT) else pixels.transpose(2, 0, 1)
    return turned[:, ::-1] if side in (_RIGHT, _BOTTOM) else turned


def _sampled(lines: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return some of the pixels of each line between two places along it."""
    return lines[:, :, start : stop : max(1, (stop - start) // _SAMPLES)].astype(np.int16)


def _profile(lines: np.ndarray, gap: int) -> _Profile:
    """Compare each line with the one `gap` lines further out (the first ones with the outermost).

    That one's colour is continued at the rate at which it changes there: a slope, as of a moulding, is no edge.
    """
    count, length = lines.shape[1:]
    outer = np.concatenate([lines[:, :1].repeat(gap, axis=1), lines[:, :-gap]], axis=1)[:, :count]
    colour = np.sort(outer, axis=2)[:, :, length // 2]
    deviation = np.abs(outer - colour[:, :, None]).max(axis=0)
    spread = np.sort(deviation, axis=1)[:, length * 7 // 10]
    reach = (spread + _STEP)[:, None]
    slope = np.diff(colour, axis=1, prepend=colour[:, :1]).astype(np.int32)
    ahead = colour + np.clip(gap * slope, -_WHITE, _WHITE).astype(np.int16)
    low, high = np.minimum(colour, ahead)[:, :, None], np.maximum(colour, ahead)[:, :, None]
    beyond = np.maximum(low - lines, lines - high).max(axis=0)
    ends = (beyond > reach) & (deviation <= reach)
    return _Profile(colour, spread <= _UNIFORM, ends.mean(axis=1), np.where(ends, beyond, 0).mean(axis=1))


def _edges(lines: np.ndarray, gap: int) -> list[_Edge]:
    """Return where uniform lines may end, judged by their middle; the plainest ones."""
    # The middle half stays clear of the borders of the neighbouring sides, whose widths are not yet known.
    margin = lines.shape[2] // 4
    sample = _sampled(lines[:, : int(lines.shape[1] * _DEPTH) + gap], margin, lines.shape[2] - margin)
    if not _profile(sample[:, :1], gap).uniform[0]:
        return []  # as in most pictures
    seen = _profile(sample, gap)
    run = seen.uniform.cumsum() >= _LINES * np.arange(1, len(seen.uniform) + 1)
    sharp = run & seen.uniform & (seen.share >= _SHARE)
    first = np.flatnonzero(sharp & ~np.concatenate([[False], sharp[:-1]]))
    jumps = np.array([seen.jump[width : width + gap].max() for width in first])
    return [_Edge(int(width), seen.colour[:, width]) for width in first[np.argsort(-jumps, kind="stable")[:_MOST]]]


def _choices(edges: Sequence[list[_Edge]], size: tuple[int, int], gap: int) -> list[tuple[_Edge, ...]]:
    """Return combinations of edges that agree, those that leave the smallest picture first."""
    choices = []
    for choice in itertools.product(*([*side, _ABSENT] for side in edges)):
        left, top, right, bottom = (edge.width for edge in choice)
        inner = size[0] - left - right, size[1] - top - bottom
        if ((left and right) or (top and bottom)) and _enough(inner, size) and _agree(choice, gap):
            choices.append((inner[0] * inner[1], choice))
    return [choice for _, choice in sorted(choices, key=lambda item: item[0])]


def _enough(inner: tuple[int, int], size: tuple[int, int]) -> bool:
    return min(inner) >= _SHORT * min(size) and inner[0] * inner[1] >= _AREA * size[0] * size[1]


def _agree(choice: Sequence[_Edge], gap: int) -> bool:
    """Return whether the sides of a border belong together."""
    present = [edge for edge in choice if edge.width]
    widths = [edge.width for edge in present]
    around = len(present) == 4
    # A moulding in light from one side has as many colours as sides, and one width.
    if around and max(widths) - min(widths) <= max(2 * gap, 0.15 * max(widths)):
        return True
    similar = around and max(widths) <= 2 * min(widths) + gap
    apart: int = np.ptp([edge.colour for edge in present], axis=0).max()
    return apart <= (_ALIKE if similar else _ALIKE / 2)


def _fit(sides: Sequence[np.ndarray], choice: Sequence[_Edge], gap: int) -> _Fit | None:
    """Look again along the whole of the lines between the neighbouring edges; None where that is no border."""
    bars = not all(edge.width for edge in choice)
    colour = np.mean([edge.colour for edge in choice if edge.width], axis=0)
    fitted, shares = [], []
    for side, edge in enumerate(choice):
        start, stop = _between(choice, side, sides[side].shape[2], gap)
        if stop - start < _FEW:
            return None
        seen = _profile(_sampled(sides[side][:, : edge.width + gap], start, stop), gap)
        if not edge.width:
            if seen.uniform[0] and np.abs(seen.colour[:, 0] - colour).max() <= _ALIKE:
                return None  # the border goes on here, and it is not known how far
            fitted.append(edge)
            continue
        border = slice(gap, max(gap, edge.width) + 1)
        if not seen.uniform[edge.width] or seen.uniform[border].mean() < _LINES:
            return None
        if bars and np.ptp(seen.colour[:, border], axis=1).max() > _ALIKE / 2:
            return None  # a bar has one colour
        shares.append(seen.share[edge.width : edge.width + 2].max())
        fitted.append(_Edge(edge.width, seen.colour[:, edge.width]))
    # Bars have fewer sides to tell them from a picture's own bands, so their edges must be plainer.
    least, mean = (0.6, 0.8) if bars else (_SHARE, 0.6)
    share = sum(shares) / len(shares)
    return _Fit(choice, fitted, share) if min(shares) >= least and share >= mean and _agree(fitted, gap) else None


def _rivals(one: Sequence[_Edge], other: Sequence[_Edge]) -> bool:
    """Return whether two choices end the same border, at other edges on one side or two."""
    pairs = list(zip(one, other, strict=True))
    return sum(a is b for a, b in pairs) >= 2 and all((a is _ABSENT) == (b is _ABSENT) for a, b in pairs)


def _between(edges: Sequence[_Edge], side: int, length: int, gap: int) -> tuple[int, int]:
    """Return the part of a side's lines that lies between the edges of its neighbours."""
    before, behind = (_TOP, _BOTTOM) if side in (_LEFT, _RIGHT) else (_LEFT, _RIGHT)
    start, stop = edges[before].width, length - edges[behind].width
    return start + gap * (start > 0), stop - gap * (stop < length)


def _width(image: Image.Image, side: int, edges: Sequence[_Edge], scale: float) -> int:
    """Return how many lines of the image itself to leave out on a side, so that none of the border is left."""
    gap = _gap(round(max(image.size) / scale))
    first = max(0, int((edges[side].width - gap - 1) * scale))
    lines = _strip(image, side, edges, scale, first, int((edges[side].width + 2 * gap + 1) * scale))
    reach = round(gap * scale)
    seen = _profile(lines, reach)
    share = np.where(seen.uniform, seen.share, 0)
    # The last line behind which a border ends: also that of a ruled line, too thin to be an edge in the small copy.
    inside = int(np.flatnonzero(share >= share.max() / 2)[-1])
    outside = max(0, inside - reach)
    differs = np.abs(lines[:, outside : inside + 1] - seen.colour[:, inside, None, None]).max(axis=0) > _UNIFORM
    share = differs.mean(axis=1)
    return first + outside + int(np.argmax(share >= 0.9 * share[-1])) + 1 + max(image.size) // 500


def _strip(image: Image.Image, side: int, edges: Sequence[_Edge], scale: float, first: int, last: int) -> np.ndarray:
    """Return the lines from `first` to `last` of a side between its neighbours, at 256 places along them."""
    length = image.height if side in (_LEFT, _RIGHT) else image.width
    places = _between(edges, side, round(length / scale), _gap(round(max(image.size) / scale)))
    start, stop = (min(length, round(place * scale)) for place in places)
    where = {
        _LEFT: (first, start, last, stop),
        _TOP: (start, first, stop, last),
        _RIGHT: (image.width - last, start, image.width - first, stop),
        _BOTTOM: (start, image.height - last, stop, image.height - first),
    }[side]
    samples = min(256, stop - start)
    size = (last - first, samples) if side in (_LEFT, _RIGHT) else (samples, last - first)
    strip = image.resize(size, Image.Resampling.NEAREST, box=where)
    return _side(np.asarray(strip), side).astype(np.int16)
