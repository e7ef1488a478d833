"""Small charts as inline SVG: they take the page's colours, in light and in dark, and need no script."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.metrics.bootstrap import Figure

_POINTS = 240  # a curve holds no more; a screen shows no more
_WIDTH, _HEIGHT = 320, 110
_ROW = 30
_LABEL, _INTERVALS = 112, 480  # width of the labels, and of the whole: small enough to be read on a telephone


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


def curve(points: Sequence[tuple[float, float]], name: str) -> str:
    """Return one line chart with its range and last value written beside it."""
    thinned = points[:: math.ceil(len(points) / _POINTS)]
    if thinned[-1] != points[-1]:
        thinned = [*thinned, points[-1]]
    xs, ys = zip(*thinned, strict=True)
    low, high = min(ys), max(ys)
    x_span, y_span = (xs[-1] - xs[0]) or 1, (high - low) or 1
    top, bottom, right = 8, _HEIGHT - 18, _WIDTH - 56
    path = " ".join(
        f"{(x - xs[0]) / x_span * right:.1f},{bottom - (y - low) / y_span * (bottom - top):.1f}" for x, y in thinned
    )
    last = bottom - (ys[-1] - low) / y_span * (bottom - top)
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{name}: from {ys[0]:.3g} to {ys[-1]:.3g} over {xs[-1]:.0f} steps">'
        f'<line class="axis" x1="0" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
        f'<polyline class="line" points="{path}"/>'
        f'<circle class="dot" cx="{right}" cy="{last:.1f}" r="3"/>'
        f'<text x="{right + 8}" y="{last + 4:.1f}">{ys[-1]:.3g}</text>'
        f'<text class="faint" x="0" y="{_HEIGHT - 4}">step {xs[0]:.0f}</text>'
        f'<text class="faint" x="{right}" y="{_HEIGHT - 4}" text-anchor="end">{xs[-1]:.0f}</text></svg>'
    )


def intervals(rows: Mapping[str, Figure], emphasised: str, description: str) -> str:
    """Return figures from 0 to the right, one row each, as dots on their intervals.

    Args:
        rows: label -> figure; those without a value are left out.
        emphasised: the label drawn strongest.
        description: what the chart shows, for those who do not see it.
    """
    known = {label: figure for label, figure in rows.items() if figure["value"] is not None}
    if not known:
        return ""
    left, right = _LABEL, _INTERVALS
    most = max(max(figure["high"] or 0, figure["value"] or 0) for figure in known.values()) or 1
    scale = (right - left - 56) / most
    parts = []
    for number, (label, figure) in enumerate(known.items()):
        y = _ROW * number + _ROW / 2
        value, low, high = (figure[key] for key in ("value", "low", "high"))
        assert value is not None
        kind = "strong" if label == emphasised else "weak"
        parts.append(f'<g class="{kind}"><text x="0" y="{y + 5}">{label}</text>')
        parts.append(f'<line class="axis" x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>')
        if low is not None and high is not None:
            parts.append(
                f'<line class="span" x1="{left + low * scale:.1f}" y1="{y}" x2="{left + high * scale:.1f}" y2="{y}"/>'
            )
        parts.append(f'<circle class="dot" cx="{left + value * scale:.1f}" cy="{y}" r="5"/>')
        end = left + (high if high is not None else value) * scale
        parts.append(f'<text class="figure" x="{end + 12:.1f}" y="{y + 5}">{value:.3g}</text></g>')
    height = _ROW * len(known)
    return (
        f'<svg class="intervals" viewBox="0 0 {right} {height}" role="img" aria-label="{description}">'
        + "".join(parts)
        + "</svg>"
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
