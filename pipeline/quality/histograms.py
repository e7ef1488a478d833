"""Histograms as inline SVG, in the manner of `pipeline.reports.charts`: the page's colours, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence

_WIDTH, _HEIGHT = 440, 190
_TOP, _BOTTOM = 42, 34
_SIDES = (64, 16384)  # px; the first and last bins take what lies beyond
_STEPS = 2  # bins an octave


def sides(values: Sequence[int], needed: int) -> str:
    """Return how many images have which short side (px, logarithmic), and from where on it is enough.

    Where one bar would be all, a sentence.
    """
    low, high = math.log2(_SIDES[0]), math.log2(max([2 * needed, 1024, *values]))
    high = min(math.ceil(high), math.log2(_SIDES[1]))
    bins = round(_STEPS * (high - low))
    counts = [0] * bins
    for value in values:
        counts[_bin(math.log2(max(value, 1)), low, high, bins)] += 1
    ticks = [(2**power, f"{2**power}") for power in range(int(low), int(high) + 1)]
    marks = [(math.log2(value), label) for value, label in ticks]
    if sum(count > 0 for count in counts) == 1:
        return _sentence(values, f"a short side of {_range(values)} px; {needed} px are needed")
    enough = sum(value >= needed for value in values)
    description = f"Short sides of {len(values)} images; {enough} have {needed} px or more"
    return _bars(counts, low, high, marks, description, (min(high, math.log2(needed)), f"{needed} px needed"))


def aspects(values: Sequence[float]) -> str:
    """Return how many images have which width / height (logarithmic), from tall to wide; in a sentence if alike."""
    low, high, bins = -2.0, 2.0, 16
    counts = [0] * bins
    for value in values:
        counts[_bin(math.log2(value) + 1e-9, low, high, bins)] += 1
    marks = [(-2.0, "1 : 4"), (-1.0, "1 : 2"), (0.0, "square"), (1.0, "2 : 1"), (2.0, "4 : 1")]
    tall, wide = sum(value < 0.95 for value in values), sum(value > 1.05 for value in values)
    rest = len(values) - tall - wide
    if sum(count > 0 for count in counts) == 1:
        same = "about the same" if len(values) > 1 else "this"
        shape = "tall" if tall == len(values) else "wide" if wide == len(values) else "nearly square"
        return _sentence(values, f"{same} shape: {shape}")
    description = f"Shapes of {len(values)} images: {tall} tall, {rest} nearly square, {wide} wide"
    return _bars(counts, low, high, marks, description, None)


def _sentence(values: Sequence[float], what: str) -> str:
    """Return what a single bar would show, which needs no picture."""
    every = f"All {len(values)} images have" if len(values) > 1 else "The only image has"
    return f'<p class="single">{every} {what}.</p>'


def _range(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _bin(value: float, low: float, high: float, bins: int) -> int:
    return min(bins - 1, max(0, math.floor((value - low) / (high - low) * bins)))


def _bars(
    counts: Sequence[int],
    low: float,
    high: float,
    ticks: Sequence[tuple[float, str]],
    description: str,
    line: tuple[float, str] | None,
) -> str:
    floor, most = _HEIGHT - _BOTTOM, max([*counts, 1])
    step = _WIDTH / len(counts)
    parts = [f'<line class="axis" x1="0" y1="{floor}" x2="{_WIDTH}" y2="{floor}"/>']
    for place, count in enumerate(counts):
        if not count:
            continue
        height = max(2.0, count / most * (floor - _TOP))
        middle = (place + 0.5) * step
        parts.append(
            f'<rect class="bar" x="{place * step + 1:.1f}" y="{floor - height:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}"/>'
            f'<text class="figure" x="{middle:.1f}" y="{floor - height - 5:.1f}" text-anchor="middle">{count}</text>'
        )
    for value, label in ticks:
        x = (value - low) / (high - low) * _WIDTH
        anchor = "start" if value == low else "end" if value >= high else "middle"
        parts.append(f'<text class="faint" x="{x:.1f}" y="{floor + 17}" text-anchor="{anchor}">{label}</text>')
    if line is not None:
        x = (line[0] - low) / (high - low) * _WIDTH
        anchor = "end" if x > _WIDTH / 2 else "start"
        parts.append(f'<line class="mark" x1="{x:.1f}" y1="2" x2="{x:.1f}" y2="{floor}"/>')
        offset = -7 if anchor == "end" else 7
        parts.append(f'<text class="marked" x="{x + offset:.1f}" y="11" text-anchor="{anchor}">{line[1]}</text>')
    return (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{description}">'
        + "".join(parts)
        + "</svg>"
    )
