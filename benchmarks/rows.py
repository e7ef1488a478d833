"""Trainings that differ in one thing, of one style: trained side by side, packaged, scored, shown to the gate."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.workspaces import prepared, samples_of, train, write_recipes
from pipeline import gate, held_out, package
from pipeline.gate_rules import Rule
from pipeline.inference import Stylizer
from pipeline.params import Gate
from pipeline.recipes import load_book, recipe_params
from pipeline.scoring import Scorer
from pipeline.workspace import Workspace

COLUMNS = {
    "style/patch_swd": "patches ↓",
    "style/texture_swd": "texture ↓",
    "style/palette": "palette ↓",
    "style/kid": "kid ↓",
    "judge/luminance": "judge ↑",
    "content/structure": "structure ↑",
    "temporal/flicker": "flicker ↓",
}
"""What tables show, and how they call it."""
_CONTROLS = {"paintings": "held-out paintings", "lab_transfer": "Lab transfer", "photograph": "photograph"}
_SHOWN = 5  # photographs a row of the sheet


@dataclass(frozen=True)
class Row:
    """What came of one change."""

    name: str
    metrics: Mapping[str, Any]
    controls: Mapping[str, Mapping[str, Any]]
    rules: tuple[Rule, ...]  # of the gate
    pictures: tuple[Image.Image, ...]

    def value(self, name: str) -> float:
        """Return a figure; NaN where it was not measured."""
        value = (self.metrics.get(name) or {}).get("value")
        return float("nan") if value is None else float(value)

    @property
    def verdict(self) -> str:
        """The gate's, with the rules that fail."""
        failed = [rule.name for rule in self.rules if not rule.passed]
        return f"refused: {', '.join(failed)}" if failed else "accepted"


@dataclass(frozen=True)
class Table:
    """All rows of one style."""

    style: str
    photographs: tuple[Image.Image, ...]
    rows: tuple[Row, ...]


def add_style_options(parser: argparse.ArgumentParser, styles: Sequence[str]) -> None:
    """Add what `workspaces` reads, and `--workers`."""
    parser.add_argument("--style", action="append", help=f"built-in style (default: {', '.join(styles)})")
    parser.add_argument("--own", action="append", nargs=3, default=[], metavar=("NAME", "PHOTOS", "ARTWORKS"))
    parser.add_argument("--steps", type=int, help="of a training (default: the preset's)")
    parser.add_argument("--workers", type=int, default=2, help="trainings side by side (default: 2)")
    parser.set_defaults(styles=tuple(styles))


def workspaces(given: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, Workspace]]:
    """Yield each style that was asked for, your own first, with a prepared workspace below `scratch`."""
    places = {name: (Path(photos), Path(artworks)) for name, photos, artworks in given.own}
    for style in given.style or given.styles:
        places[style] = samples_of(scratch / "samples" / style, style)
    settings = {"threads": 1} | ({"steps": given.steps} if given.steps else {})
    for style, (photos, artworks) in places.items():
        root = scratch / "workspaces" / style
        yield style, prepared(root, photos, artworks, style, {"train": settings})


def measure(workspace: Workspace, style: str, changes: Mapping[str, Mapping[str, Any]], workers: int) -> Table:
    """Train and score one recipe a change, in a workspace that `workspaces.prepared` made.

    Args:
        workspace: where.
        style: of which style.
        changes: overrides of params.yaml by the row's name.
        workers: trainings side by side, each on one core.
    """
    recipes = {_slug(name): overlay for name, overlay in changes.items()}
    write_recipes(workspace, style, recipes)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda recipe: train(workspace, recipe), recipes))
    for recipe in recipes:
        package.main(recipe, workspace)
    entry = load_book(workspace).recipe(next(iter(recipes)))
    params = recipe_params(workspace, entry)
    images = held_out.of_workspace(workspace, entry, params)
    models = {name: Stylizer.load(workspace.package(_slug(name))) for name in changes}
    scorer = Scorer(images, params.evaluate, next(iter(models.values())).config["palette"])
    photographs = tuple(Image.fromarray(view.pixels) for view in images.photographs[:_SHOWN])
    settings = replace(params.gate, mode="not_worse")
    rows = tuple(_row(name, model, scorer, photographs, settings) for name, model in models.items())
    return Table(style, photographs, rows)


def markdown(table: Table) -> str:
    """Return the section of one style."""
    lines = [
        f"## {table.style}",
        "",
        f"| | {' | '.join(COLUMNS.values())} | gate |",
        f"|---|{'---|' * len(COLUMNS)}---|",
    ]
    for row in table.rows:
        lines.append(f"| {row.name} | {_cells(row.metrics)} | {row.verdict} |")
    for control, name in _CONTROLS.items():
        lines.append(f"| *{name}* | {_cells(table.rows[0].controls[control])} | |")
    return "\n".join([*lines, ""])


def _row(name: str, model: Stylizer, scorer: Scorer, photographs: Sequence[Image.Image], settings: Gate) -> Row:
    sheet = scorer.score(model).to_dict()
    verdict = gate.judge(sheet, None, settings)
    pictures = tuple(model(photograph) for photograph in photographs)
    return Row(name, sheet["metrics"], sheet["controls"], verdict.rules, pictures)


def _cells(figures: Mapping[str, Any]) -> str:
    values = [(figures.get(name) or {}).get("value") for name in COLUMNS]
    return " | ".join("" if value is None else f"{value:.3g}" for value in values)


def _slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")
