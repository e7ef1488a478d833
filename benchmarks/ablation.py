"""What each part of the demo's training is worth: the same recipe, one thing changed, on several styles.

    python -m benchmarks.ablation                                   on the built-in styles impasto and ink
    python -m benchmarks.ablation --own vangogh PHOTOS ARTWORKS     and on your own; may be repeated
    python -m benchmarks.ablation --row "no GAN" --row full         some of the rows

Every row is trained for as many steps as presets/demo.yaml says, packaged, scored on held-out images and shown to the
gate, like any recipe. Writes benchmarks/results/ablation.md, and the pictures of the built-in styles on one sheet.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.workspaces import ROOT, prepared, samples_of, train, write_recipes
from pipeline import gate, held_out, package, sample_data
from pipeline.files import write_atomic
from pipeline.images import grid
from pipeline.inference import Stylizer
from pipeline.params import Gate, load_params
from pipeline.recipes import load_book, recipe_params
from pipeline.scoring import Scorer
from pipeline.workspace import Workspace
from scripts.test_full import commit

RESULT = ROOT / "benchmarks" / "results" / "ablation.md"
SHEET = ROOT / "docs" / "images" / "ablation.jpg"
STYLES = ("impasto", "ink")
_NO_STATISTICS = {"texture": 0.0, "palette": 0.0, "contrast": 0.0}
ROWS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "no GAN": {"cut": {"weights": {"gan": 0.0}}},
    "no statistics": {"cut": {"weights": _NO_STATISTICS}},
    "no chroma": {"cut": {"weights": {"chroma": 0.0}}},
    "with PatchNCE": {"cut": {"weights": {"nce": 0.5}}},
    "with identity": {"cut": {"weights": {"identity": 1.0}}},
    "no skip": {"cut": {"generator": {"detail": False}}},
    "scores unscaled": {"cut": {"discriminator": {"scale": 1.0}}},
    "instance norm": {"cut": {"generator": {"norm": "instance"}}},
    "batch 1": {"train": {"batch": 1}},
}
COLUMNS = {
    "style/patch_swd": "patches ↓",
    "style/texture_swd": "texture ↓",
    "style/palette": "palette ↓",
    "style/kid": "kid ↓",
    "judge/luminance": "judge ↑",
    "content/structure": "structure ↑",
    "temporal/flicker": "flicker ↓",
}
_CONTROLS = {"paintings": "held-out paintings", "lab_transfer": "Lab transfer", "photograph": "photograph"}
_SHOWN = 5  # photographs a row of the sheet


@dataclass(frozen=True)
class Row:
    """What came of one change."""

    name: str
    metrics: Mapping[str, Any]
    controls: Mapping[str, Mapping[str, Any]]
    failed: tuple[str, ...]  # rules of the gate
    pictures: tuple[Image.Image, ...]


@dataclass(frozen=True)
class Table:
    """All rows of one style."""

    style: str
    photographs: tuple[Image.Image, ...]
    rows: tuple[Row, ...]


def measure(workspace: Workspace, style: str, names: Sequence[str], workers: int) -> Table:
    """Train and score the rows `names` of a workspace that `prepared` made, `workers` at a time.

    Args:
        workspace: where.
        style: of which style.
        names: keys of `ROWS`.
        workers: trainings side by side, each on one core.
    """
    write_recipes(workspace, style, {_slug(name): ROWS[name] for name in names})
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda name: train(workspace, _slug(name)), names))
    for name in names:
        package.main(_slug(name), workspace)
    params = recipe_params(workspace, load_book(workspace).recipe(_slug(names[0])))
    images = held_out.of_workspace(workspace, load_book(workspace).recipe(_slug(names[0])), params)
    models = {name: Stylizer.load(workspace.package(_slug(name))) for name in names}
    scorer = Scorer(images, params.evaluate, models[names[0]].config["palette"])
    photographs = tuple(Image.fromarray(view.pixels) for view in images.photographs[:_SHOWN])
    settings = replace(params.gate, mode="not_worse")
    rows = tuple(_row(name, models[name], scorer, photographs, settings) for name in names)
    return Table(style, photographs, rows)


def _row(name: str, model: Stylizer, scorer: Scorer, photographs: Sequence[Image.Image], settings: Gate) -> Row:
    sheet = scorer.score(model).to_dict()
    verdict = gate.judge(sheet, None, settings)
    return Row(
        name,
        sheet["metrics"],
        sheet["controls"],
        tuple(rule.name for rule in verdict.rules if not rule.passed),
        tuple(model(photograph) for photograph in photographs),
    )


def markdown(table: Table) -> str:
    """Return the section of one style."""
    lines = [
        f"## {table.style}",
        "",
        f"| | {' | '.join(COLUMNS.values())} | gate |",
        f"|---|{'---|' * len(COLUMNS)}---|",
    ]
    for row in table.rows:
        cells = " | ".join(_cell(row.metrics.get(name)) for name in COLUMNS)
        failed = f"refused: {', '.join(row.failed)}" if row.failed else "accepted"
        lines.append(f"| {row.name} | {cells} | {failed} |")
    for control, name in _CONTROLS.items():
        cells = " | ".join(_cell(table.rows[0].controls[control].get(key)) for key in COLUMNS)
        lines.append(f"| *{name}* | {cells} | |")
    return "\n".join([*lines, ""])


def sheet(tables: Iterable[Table]) -> Image.Image:
    """Return all pictures: a block a style, photographs on top, then a line a row of the table."""
    blocks = [grid([table.photographs, *(row.pictures for row in table.rows)]) for table in tables]
    whole = Image.new("RGB", (sum(block.width for block in blocks), max(block.height for block in blocks)), "white")
    left = 0
    for block in blocks:
        whole.paste(block, (left, 0))
        left += block.width
    return whole


def _cell(figure: Mapping[str, float | None] | None) -> str:
    value = figure["value"] if figure else None
    return "" if value is None else f"{value:.3g}"


def _slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the tables and the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", action="append", help=f"built-in style (default: {', '.join(STYLES)})")
    parser.add_argument("--own", action="append", nargs=3, default=[], metavar=("NAME", "PHOTOS", "ARTWORKS"))
    parser.add_argument("--row", action="append", choices=list(ROWS), help="default: all")
    parser.add_argument("--steps", type=int, help="default: the preset's")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--sheet", type=Path, default=SHEET)
    given = parser.parse_args(arguments)
    tables: list[Table] = []
    names = list(given.row or ROWS)
    one_core: dict[str, Any] = {"threads": 1} | ({"steps": given.steps} if given.steps else {})
    with tempfile.TemporaryDirectory() as scratch:
        places = {name: (Path(photos), Path(artworks)) for name, photos, artworks in given.own}
        for style in given.style or STYLES:
            places[style] = samples_of(Path(scratch) / "samples" / style, style)
        for style, (photos, artworks) in places.items():
            root = Path(scratch) / "workspaces" / style
            workspace = prepared(root, photos, artworks, style, {"train": one_core})
            tables.append(measure(workspace, style, names, given.workers))
            _write(given.out, given.sheet, tables, load_params(workspace.params_file).train.steps)
    print(f"tables: {given.out}\npictures: {given.sheet}")


def _write(out: Path, picture: Path, tables: Sequence[Table], steps: int) -> None:
    """Write what is there so far, after every style: hours of training must not hang on the last one."""
    head = (
        "# The ablation\n\n"
        f"Made by `python -m benchmarks.ablation`, {datetime.now(UTC):%Y-%m-%d}, commit {commit()}; "
        f"`presets/demo.yaml` ({steps} steps) with one thing changed. What it shows stands in docs/methods.md, the "
        "pictures of the built-in styles in docs/images/ablation.jpg.\n"
    )
    write_atomic(out, "\n".join([head, *map(markdown, tables)]))
    if built_in := [table for table in tables if table.style in sample_data.STYLES]:
        data = io.BytesIO()
        sheet(built_in).save(data, "JPEG", quality=88)
        write_atomic(picture, data.getvalue())


if __name__ == "__main__":
    main()
