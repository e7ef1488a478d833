"""Figures in words, as every page writes them: short numbers, intervals, and what a paired difference says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pipeline.metrics import REGISTRY

Figure: TypeAlias = Mapping[str, float | None]


def short(value: float | None) -> str:
    """Return a figure with three significant digits, at most four decimals; a dash for what was not measured."""
    if value is None:
        return "–"
    text = f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "−")


def span(figure: Figure) -> str:
    """Return an interval in words that signs cannot blur."""
    return f"{short(figure['low'])} to {short(figure['high'])}"


def percent(value: float | None) -> str:
    """Return a share in whole percent."""
    return "–" if value is None else f"{100 * value:.0f} %"


def reading(name: str, difference: Figure, first: str, second: str) -> str:
    """Return who is better by the metric `name`, given the paired difference first - second.

    Nobody is unless the whole interval lies on one side of 0.
    """
    low, high = difference["low"], difference["high"]
    direction = REGISTRY[name].direction
    if low is None or high is None:
        return "not measured"
    if low <= 0 <= high:
        return "no clear difference"
    if direction == "none":
        return "differs"
    return f"{first} is better" if (low > 0) == (direction == "higher") else f"{second} is better"


def paired_rows(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row a metric of what `comparison.write` found: both values, their difference, who is better."""
    first, second = comparison["sides"]
    labels = comparison["labels"]
    found = comparison["differences"][f"{first} - {second}"]
    rows = []
    for name in (name for name in REGISTRY if name in found):
        difference, value = found[name], comparison["metrics"][name]["value"]
        known = value is not None and difference["value"] is not None
        rows.append(
            {
                "metric": REGISTRY[name],
                "first": short(value),
                "second": short(value - difference["value"]) if known else short(None),
                "difference": short(difference["value"]),
                "interval": span(difference),
                "reading": reading(name, difference, labels[first], labels[second]),
            }
        )
    return rows
