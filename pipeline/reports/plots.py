"""What `dvc plots` draws: one bar chart a file, all with the columns `value` and `source`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.files import write_atomic
from pipeline.metrics import REGISTRY, STYLE
from pipeline.scoring import Scores


def write_plots(folder: Path, metrics: dict[str, Any], scores: Scores) -> None:
    """Write style distances and deception rates of model and controls, and the structure kept in every photograph."""
    sources = {"model": metrics["metrics"], **metrics["controls"]}
    names = {name: name.partition("/")[2] for name in STYLE}
    names |= {name: name.replace("/", "_") for name in REGISTRY if name.startswith("judge/")}
    for name, file in names.items():
        rows = [(found[name]["value"], source) for source, found in sources.items() if name in found]
        if rows:
            write_bars(folder / f"{file}.csv", rows)
    kept = zip(scores.each["content/structure"], scores.names, strict=True)
    write_bars(folder / "structure.csv", sorted((round(value, 4), name[:12]) for value, name in kept))


def write_bars(path: Path, rows: Iterable[tuple[float | None, str]]) -> None:
    """Write one chart: (value, source) a bar."""
    lines = ["value,source", *(f"{'' if value is None else value},{source}" for value, source in rows)]
    write_atomic(path, "\n".join(lines) + "\n")
