"""What `dvc plots` draws: one bar chart a file, all with the columns `value` and `source`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.files import write_atomic
from pipeline.metrics import STYLE
from pipeline.scoring import Scores


def write_plots(folder: Path, metrics: dict[str, Any], scores: Scores) -> None:
    """Write the style distances of model and controls, and the structure kept in every photograph."""
    sources = {"model": metrics["metrics"], **metrics["controls"]}
    for name in STYLE:
        rows = [(found[name]["value"], source) for source, found in sources.items() if name in found]
        _write(folder / f"{name.partition('/')[2]}.csv", rows)
    kept = zip(scores.each["content/structure"], scores.names, strict=True)
    _write(folder / "structure.csv", sorted((round(value, 4), name[:12]) for value, name in kept))


def _write(path: Path, rows: Iterable[tuple[float | None, str]]) -> None:
    lines = ["value,source", *(f"{'' if value is None else value},{source}" for value, source in rows)]
    write_atomic(path, "\n".join(lines) + "\n")
