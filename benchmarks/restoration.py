"""pix2pix trained for each of its tasks, held against what restores without learning: tables of docs/methods.md.

    python -m benchmarks.restoration PHOTOS ARTWORKS --steps 1200 --out restoration.md

The demo's preset at a rate of 0.001, one training a task, each through train, package and evaluate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.workspaces import prepared, train
from pipeline import evaluate, package
from pipeline.files import read_json
from pipeline.metrics import REGISTRY
from pipeline.reports.figures import short, span
from pipeline.reports.sources import MODEL, in_order, source
from pipeline.workspace import Workspace

TASKS = ("inpaint", "super_resolution", "restore")
_STYLE = "own"


def write_recipes(workspace: Workspace, steps: int) -> None:
    """Write a recipe a task."""
    loop = {"steps": steps, "learning_rate": 0.001, "ema": 0.99, "max_minutes": 120.0, "threads": 1}
    entries = {
        task: {
            "method": "pix2pix",
            "style": _STYLE,
            "warm_start": "none",
            "overrides": {"train": loop, "pix2pix": {"task": task}},
        }
        for task in TASKS
    }
    workspace.recipes_file.write_text(json.dumps({"styles": [_STYLE], "recipes": entries}))  # JSON is YAML


def table(metrics: Mapping[str, Any]) -> str:
    """Return a Markdown table: a row a figure, with the model's interval and each control's difference from it."""
    controls = [name for name in in_order(metrics["controls"]) if name != "original"]
    heads = [source(MODEL).title, *(source(name).title for name in controls)]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name in (name for name in REGISTRY if name in metrics["metrics"]):
        own, declared = metrics["metrics"][name], REGISTRY[name]
        cells = [f"{short(own['value'])} [{span(own)}]"]
        for control in controls:
            apart = metrics["differences"][f"{control} - model"][name]
            mark = "" if apart["low"] <= 0 <= apart["high"] else ", apart"
            value = short(metrics["controls"][control][name]["value"])
            cells.append(f"{value} ({short(apart['value'])} [{span(apart)}]{mark})")
        lines.append(f"| {declared.title} {declared.arrow} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(workspace: Workspace, recipe: str) -> dict[str, Any]:
    """Train, package and score a recipe; return its metrics."""
    train(workspace, recipe)
    package.main(recipe, workspace)
    found: dict[str, Any] = read_json(evaluate.main(recipe, workspace) / "metrics.json")
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restoration", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photographs; the judge of the style wants them")
    parser.add_argument("artworks", type=Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--root", type=Path, default=Path("work/restoration"), help="where to work")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    given = parser.parse_args()
    workspace = prepared(given.root, given.photos, given.artworks, _STYLE)
    write_recipes(workspace, given.steps)
    parts = [f"## {task}\n\n{table(measure(workspace, task))}\n" for task in TASKS]
    given.out.write_text("\n".join(parts))
    print(f"tables: {given.out}")


if __name__ == "__main__":
    main()
