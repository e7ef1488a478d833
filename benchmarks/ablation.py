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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.rows import Table, add_style_options, markdown, measure, workspaces
from benchmarks.workspaces import ROOT
from pipeline import sample_data
from pipeline.files import write_atomic
from pipeline.images import grid
from pipeline.params import load_params
from scripts.test_full import commit

RESULT = ROOT / "benchmarks" / "results" / "ablation.md"
SHEET = ROOT / "docs" / "images" / "ablation.jpg"
STYLES = ("impasto", "ink")
_WIDEST = 1200  # px, of the sheet
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


def sheet(tables: Iterable[Table]) -> Image.Image:
    """Return all pictures: a block a style, photographs on top, then a line a row of the table."""
    blocks = [grid([table.photographs, *(row.pictures for row in table.rows)]) for table in tables]
    whole = Image.new("RGB", (sum(block.width for block in blocks), max(block.height for block in blocks)), "white")
    left = 0
    for block in blocks:
        whole.paste(block, (left, 0))
        left += block.width
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the tables and the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_style_options(parser, STYLES)
    parser.add_argument("--row", action="append", choices=list(ROWS), help="default: all")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--sheet", type=Path, default=SHEET)
    given = parser.parse_args(arguments)
    tables: list[Table] = []
    changes = {name: ROWS[name] for name in given.row or ROWS}
    with tempfile.TemporaryDirectory() as scratch:
        for style, workspace in workspaces(given, Path(scratch)):
            tables.append(measure(workspace, style, changes, given.workers))
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
        data, shown = io.BytesIO(), sheet(built_in)
        shown.thumbnail((_WIDEST, _WIDEST))  # for a page
        shown.save(data, "JPEG", quality=88)
        write_atomic(picture, data.getvalue())


if __name__ == "__main__":
    main()
