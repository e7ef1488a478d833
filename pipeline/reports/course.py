"""What a training went through, for its report: the watch's figures with their limits, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.files import read_json
from pipeline.reports.charts import curve

_FIGURES = {  # as `pipeline.collapse` names them -> title and what it says
    "diversity": ("Diversity", "How much the outputs differ from each other; 1: as much as the photographs."),
    "change": ("Change", "Of a pixel on average; 0: a copy, 1: from black to white."),
    "light": ("Light", "Its correlation with the photograph’s; -1: a negative."),
    "accuracy": ("Discriminator", "Share of its answers that were right; 0.5: it cannot tell."),
    "validation": ("Validation", "Distance to the paintings and lost structure; 1: the photographs, less is better."),
}


def course(trained: Path | None) -> dict[str, Any] | None:
    """Return what the template shows of a training's course, or None where there is no record of one.

    Returns:
        `charts`, each with title, what it says and SVG, and `notes`, sentences on what went wrong.
    """
    path = trained / "course.json" if trained else None
    if path is None or not path.is_file():
        return None
    found = read_json(path)
    limits = {name.partition("_")[2]: bound for name, bound in found["limits"].items()}
    charts = []
    for name, (title, what) in _FIGURES.items():
        points = [(row["step"], row[name]) for row in found["watch"] if row.get(name) is not None]
        if len(points) > 1:
            charts.append({"title": title, "what": what, "svg": curve(points, title, limits.get(name))})
    return {"charts": charts, "notes": _notes(found)}


def _notes(found: Mapping[str, Any]) -> list[str]:
    notes = [f"At step {one['step']}: {one['why']}." for one in found["alarms"]]
    notes += [
        f"At step {one['at']}: {one['why']}; it went back to step {one['to']} and on more slowly."
        for one in found["rollbacks"]
    ]
    if found["skipped_steps"]:
        notes.append(f"{found['skipped_steps']} steps were skipped: a loss or a gradient was not finite.")
    return notes
