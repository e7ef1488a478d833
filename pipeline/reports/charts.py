"""Small charts as inline SVG: they take the page's colours, in light and in dark, and need no script."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pipeline.heat_map import FALSE, REAL, STRENGTH
from pipeline.reports.change import COLOURS, MOST
from pipeline.reports.figures import Figure, short

_POINTS = 240  # a curve holds no more; a screen shows no more
_WIDTH, _HEIGHT = 320, 110
_ROW = 30
_LABEL, _INTERVALS = 112, 480  # width of the labels, and of the whole: small enough to be read on a telephone
_FIGURE = 56  # width of the figure behind a dot
_STRIP = 88
_LINES_HEIGHT = 250


def loss_curves(history: Path) -> list[tuple[str, str]]:
    """Return (name, SVG) of each column of a history.csv but `step`; empty when there is no history to draw."""
    if not history.is_file():
        return []
    with history.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    charts = []
    for name in rows[0] if rows else {}:
        points = [(_number(row["step"]), _number(row[name])) for row in rows]
        known = [(x, y) for x, y in points if x is not None and y is not None]
        if name != "step" and len(known) > 1:
            charts.append((name, curve(known, name)))
    return charts


def curve(points: Sequence[tuple[float, float]], name: str, limit: float | None = None) -> str:
    """Return one line chart with its last value written beside it, and a line at the `limit`, if there is one."""
    thinned = points[:: math.ceil(len(points) / _POINTS)]
    if thinned[-1] != points[-1]:
        thinned = [*thinned, points[-1]]
    xs, ys = zip(*thinned, strict=True)
    bounds = ys if limit is None else (*ys, limit)
    low, high = float(min(bounds)), float(max(bounds))
    x_span, y_span = (xs[-1] - xs[0]) or 1, (high - low) or 1
    top, bottom, right = 8, _HEIGHT - 18, _WIDTH - 56

    def at(value: float) -> float:
        return round(bottom - (value - low) / y_span * (bottom - top), 1)

    path = " ".join(f"{(x - xs[0]) / x_span * right:.1f},{at(y)}" for x, y in thinned)
    last, line, told = at(ys[-1]), "", ""
    if limit is not None:
        y = at(limit)
        line = (
            f'<line class="control" x1="0" y1="{y}" x2="{right}" y2="{y}"/>'
            f'<text class="faint" x="0" y="{y + (14 if y < _HEIGHT / 2 else -4)}">limit {limit:g}</text>'
        )
        told = f", limit {limit:g}"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{name}: from {ys[0]:.3g} to {ys[-1]:.3g} over {xs[-1]:.0f} steps{told}">'
        f'<line class="axis" x1="0" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
        f'{line}<polyline class="line" points="{path}"/>'
        f'<circle class="dot" cx="{right}" cy="{last}" r="3"/>'
        f'<text x="{right + 8}" y="{last + 4:.1f}">{ys[-1]:.3g}</text>'
        f'<text class="faint" x="0" y="{_HEIGHT - 4}">step {xs[0]:.0f}</text>'
        f'<text class="faint" x="{right}" y="{_HEIGHT - 4}" text-anchor="end">{xs[-1]:.0f}</text></svg>'
    )


def intervals(
    rows: Mapping[str, Figure],
    emphasised: str,
    description: str,
    lines: Sequence[str] = (),
    write: Callable[[float], str] = "{:.3g}".format,
) -> str:
    """Return figures, one row each, as dots on their intervals, from 0 or the least to the right.

    Args:
        rows: label -> figure; those without a value are left out.
        emphasised: the label drawn strongest.
        description: what the chart shows, for those who do not see it.
        lines: labels whose values are drawn through all rows, for the others to be read against.
        write: makes text of a value.
    """
    known = {label: figure for label, figure in rows.items() if figure["value"] is not None}
    if not known:
        return ""
    ends = [end for figure in known.values() for end in figure.values() if end is not None]
    least, most = min(0.0, *ends), max(0.0, *ends)
    scale = (_INTERVALS - _LABEL - _FIGURE) / ((most - least) or 1)

    def at(value: float) -> float:
        return round(_LABEL + (value - least) * scale, 1)

    height = _ROW * len(known)
    parts = [
        f'<line class="control" x1="{at(value)}" y1="4" x2="{at(value)}" y2="{height - 4}"/>'
        for label in lines
        if (value := known.get(label, {}).get("value")) is not None
    ]
    for number, (label, figure) in enumerate(known.items()):
        y = _ROW * number + _ROW / 2
        value, low, high = (figure[key] for key in ("value", "low", "high"))
        assert value is not None
        kind = "strong" if label == emphasised else "weak"
        parts.append(f'<g class="{kind}"><text x="0" y="{y + 5}">{escape(label)}</text>')
        parts.append(f'<line class="axis" x1="{_LABEL}" y1="{y}" x2="{_INTERVALS}" y2="{y}"/>')
        if low is not None and high is not None:
            parts.append(f'<line class="span" x1="{at(low)}" y1="{y}" x2="{at(high)}" y2="{y}"/>')
        parts.append(f'<circle class="dot" cx="{at(value)}" cy="{y}" r="5"/>')
        end = at(value if high is None else high)
        parts.append(f'<text class="figure" x="{end + 12}" y="{y + 5}">{write(value)}</text></g>')
    text = f"{description}: " + ", ".join(f"{label} {write(figure['value'] or 0)}" for label, figure in known.items())
    return (
        f'<svg class="intervals" viewBox="0 0 {_INTERVALS} {height}" role="img" aria-label="{escape(text)}">'
        + "".join(parts)
        + "</svg>"
    )


def strip(values: Sequence[float], marked: int, lines: Mapping[str, float], description: str) -> str:
    """Return one dot a value from left to right, the `marked` least of them strong, and lines with their names.

    Args:
        values: ascending; at least one.
        marked: how many of the first are drawn strong.
        lines: name -> value to read the dots against.
        description: what the chart shows, for those who do not see it.
    """
    ends = [*values, *lines.values()]
    least, most = min(ends), max(ends)
    pad = 12
    scale = (_INTERVALS - 2 * pad) / ((most - least) or 1)

    def at(value: float) -> float:
        return round(pad + (value - least) * scale, 1)

    middle = _STRIP / 2 + 4
    parts = [f'<line class="axis" x1="0" y1="{middle}" x2="{_INTERVALS}" y2="{middle}"/>']
    for number, (name, value) in enumerate(sorted(lines.items(), key=lambda line: line[1])):
        anchor = "start" if at(value) < _INTERVALS / 3 else "end" if at(value) > _INTERVALS * 2 / 3 else "middle"
        y = 12 if number % 2 == 0 else _STRIP - 4
        parts.append(f'<line class="control" x1="{at(value)}" y1="18" x2="{at(value)}" y2="{_STRIP - 18}"/>')
        parts.append(
            f'<text class="faint" x="{at(value)}" y="{y}" text-anchor="{anchor}">{escape(name)} {value:.2f}</text>'
        )
    for number, value in enumerate(values):
        kind = "strong" if number < marked else "weak"
        parts.append(f'<g class="{kind}"><circle class="dot" cx="{at(value)}" cy="{middle}" r="5"/></g>')
    return (
        f'<svg class="intervals strip" viewBox="0 0 {_INTERVALS} {_STRIP}" role="img" '
        f'aria-label="{escape(description)}">' + "".join(parts) + "</svg>"
    )


def change_legend() -> str:
    """Return the scale of `change.change_picture`, with what its ends and middle mean."""
    stops = "".join(
        f'<stop offset="{number / (len(COLOURS) - 1):.2f}" stop-color="rgb({red} {green} {blue})"/>'
        for number, (red, green, blue) in enumerate(COLOURS)
    )
    return (
        f'<svg class="legend" viewBox="0 0 {_WIDTH} 44" role="img" '
        f'aria-label="Scale of the change: from left alone, pale, to another colour altogether, dark">'
        f'<defs><linearGradient id="scale">{stops}</linearGradient></defs>'
        f'<rect x="0" y="0" width="{_WIDTH}" height="16" rx="2" fill="url(#scale)"/>'
        f'<text x="0" y="36">0: left alone</text>'
        f'<text x="{_WIDTH}" y="36" text-anchor="end">{MOST:.0f}: another colour</text></svg>'
    )


def heat_legend(limit: float, name: str, real: str) -> str:
    """Return the scale of `heat_map.overlay`, with what its ends and middle mean.

    Args:
        limit: the value with the full colour.
        name: of the gradient, unlike any other's on the page.
        real: what a real picture is, as the end of a sentence.
    """
    grey = 128
    ends = [[round(grey + STRENGTH * (level - grey)) for level in colour] for colour in (FALSE, REAL)]
    stops = "".join(
        f'<stop offset="{place}" stop-color="rgb({red} {green} {blue})"/>'
        for place, (red, green, blue) in zip((0, 0.5, 1), (ends[0], (grey,) * 3, ends[1]), strict=True)
    )
    return (
        f'<svg class="legend" viewBox="0 0 {_WIDTH} 60" role="img" aria-label="Scale: orange, down to -{limit:g}, is '
        f'taken for false; grey, 0, is undecided; blue, up to {limit:g}, is taken for real: {escape(real)}">'
        f'<defs><linearGradient id="{name}">{stops}</linearGradient></defs>'
        f'<rect x="0" y="0" width="{_WIDTH}" height="16" rx="2" fill="url(#{name})"/>'
        f'<text x="0" y="36">{short(-limit)}</text><text class="faint" x="0" y="54">false: by the model</text>'
        f'<text x="{_WIDTH / 2}" y="36" text-anchor="middle">0</text>'
        f'<text x="{_WIDTH}" y="36" text-anchor="end">{short(limit)}</text>'
        f'<text class="faint" x="{_WIDTH}" y="54" text-anchor="end">real: {escape(real)}</text></svg>'
    )


@dataclass(frozen=True)
class Line:
    """One of several lines of a chart."""

    title: str
    kind: str  # how it is drawn: `model`, `goal` or `start`, see report.css
    points: Sequence[tuple[float, float]]


def lines(drawn: Sequence[Line], description: str, ticks: Mapping[float, str]) -> str:
    """Return several lines over one axis, with a legend below; all their points have the same places.

    Args:
        drawn: at least one; the first in the order of the legend lies on top.
        description: what the chart shows, for those who do not see it.
        ticks: place -> label under the axis.
    """
    ys = [y for line in drawn for _, y in line.points]
    low, high = min(ys), max(ys)
    xs = [x for x, _ in drawn[0].points]
    left, top, bottom = 46, 10, _LINES_HEIGHT - 20 * len(drawn) - 30

    def across(x: float) -> float:
        return round(left + (x - xs[0]) / ((xs[-1] - xs[0]) or 1) * (_WIDTH - left), 1)

    def down(y: float) -> float:
        return round(bottom - (y - low) / ((high - low) or 1) * (bottom - top), 1)

    parts = [f'<line class="axis" x1="{left}" y1="{bottom}" x2="{_WIDTH}" y2="{bottom}"/>']
    for y in (low, high):
        parts.append(f'<text class="faint" x="{left - 6}" y="{down(y) + 4}" text-anchor="end">{short(y)}</text>')
    for place, label in ticks.items():
        if xs[0] <= place <= xs[-1]:
            x = across(place)
            parts.append(f'<line class="axis" x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>')
            parts.append(f'<text class="faint" x="{x}" y="{bottom + 16}" text-anchor="middle">{escape(label)}</text>')
    for line in reversed(drawn):
        path = " ".join(f"{across(x)},{down(y)}" for x, y in line.points)
        parts.append(f'<polyline class="line {line.kind}" points="{path}"/>')
    for number, line in enumerate(drawn):
        y = bottom + 38.0 + 20 * number
        parts.append(f'<line class="line {line.kind}" x1="{left}" y1="{y - 4}" x2="{left + 28}" y2="{y - 4}"/>')
        parts.append(f'<text x="{left + 38}" y="{y}">{escape(line.title)}</text>')
    told = ", ".join(f"{line.title} from {short(line.points[0][1])} to {short(line.points[-1][1])}" for line in drawn)
    return (
        f'<svg class="chart lines" viewBox="0 0 {_WIDTH} {_LINES_HEIGHT}" role="img" '
        f'aria-label="{escape(description)}: {escape(told)}">' + "".join(parts) + "</svg>"
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
