"""The pictures of a report: before and after, the controls beside the model, what it changed, what it does worst."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.files import read_json, sha256_file, write_atomic, write_json
from pipeline.images import ACCEPTED, decode, grid
from pipeline.manifest import read_manifest
from pipeline.metrics.references import Pixels
from pipeline.referring import Named
from pipeline.reports.change import change_picture
from pipeline.reports.sources import MODEL, in_order
from pipeline.scoring import Pair, Scores

WORST = 5
RANK = "content/structure"  # what the worst are worst in
_COMPARED = 4  # photographs shown with every control
LONG_SIDE = 896  # px; more would make a page of many pictures heavy, and is finer than most screens show
_SHEET_SIDE = 320  # px
_QUALITY = 80


def write_gallery(folder: Path, paint: Named, scores: Scores, photos: Path, count: int) -> None:
    """Write before, after and change of every picture shown, the controls, and `index.json`, which names them all.

    Pictures are chosen by the hash of the photograph, so nobody picked them; the worst by the structure they lost.

    Args:
        folder: to be filled.
        paint: the model, told whose name a photograph has.
        scores: its scores.
        photos: the collection of photographs; where it holds the original, that is painted, not the small view.
        count: before/after pairs.
    """
    folder.mkdir(parents=True)
    titles = photograph_titles(photos)
    kept = scores.each[RANK]
    by_hash = sorted(range(len(scores.names)), key=scores.names.__getitem__)
    shown = by_hash[:count]
    worst = sorted(by_hash, key=kept.__getitem__)[:WORST]
    label = {index: f"{number:02d}" for number, index in enumerate(dict.fromkeys([*shown, *worst]), 1)}

    def entry(index: int) -> dict[str, Any]:
        name = scores.names[index]
        figures = {metric: round(values[index], 4) for metric, values in scores.each.items()}
        title = titles.get(name, name[:12])
        return {"image": name, "title": title, "structure": round(kept[index], 3), "figures": figures}

    def pair(index: int) -> dict[str, Any]:
        name = scores.names[index]
        before = fitted(original(photos, name), scores.outputs["photograph"][index])
        after = paint(name, before)
        changed, mean = change_picture(before, after)
        files = {"before": before, "after": after, "change": changed}
        for name, picture in files.items():
            save(folder / f"{label[index]}-{name}.jpg", picture)
        size = {"width": before.width, "height": before.height, "changed": round(mean, 1)}
        return entry(index) | size | {name: f"{label[index]}-{name}.jpg" for name in files}

    def comparison(index: int) -> dict[str, Any]:
        files = {}
        for name in in_order(scores.outputs):
            files[name] = f"{label[index]}-{name}.jpg"
            save(folder / files[name], Image.fromarray(scores.outputs[name][index]))
        return entry(index) | {"files": files}

    def near(number: int, found: Pair) -> dict[str, Any]:
        files = {"output": scores.outputs[MODEL][found.output], "training": found.pixels}
        names = {kind: f"near-{number}-{kind}.jpg" for kind in files}
        for kind, pixels in files.items():
            save(folder / names[kind], Image.fromarray(pixels))
        name = scores.names[found.output]
        return names | {"title": titles.get(name, name[:12]), "ratio": round(found.ratio, 3)}

    pairs = {index: pair(index) for index in label}
    write_json(
        folder / "index.json",
        {
            "pairs": [pairs[index] for index in shown],
            "compared": [comparison(index) for index in shown[:_COMPARED]],
            "worst": [pairs[index] for index in worst],
            "nearest": [near(number, found) for number, found in enumerate(scores.nearest, 1)],
            "kept": sorted(round(value, 4) for value in kept),
        },
    )


def write_sheets(folder: Path, gallery: Path) -> None:
    """Write one sheet for every part of a gallery: what DVC, MLflow and Prefect show of a report.

    Args:
        folder: gets `overview.jpg` (before and after, two pairs a row), `worst.jpg` (before, after and change, a
            photograph a row) and `controls.jpg` (photograph, controls and model, a photograph a row).
        gallery: as `write_gallery` leaves it.
    """
    index: Mapping[str, Any] = read_json(gallery / "index.json")
    folder.mkdir(parents=True, exist_ok=True)
    cells = [pair[side] for pair in index["pairs"] for side in ("before", "after")]
    rows = {
        "overview": [cells[start : start + 4] for start in range(0, len(cells), 4)],
        "worst": [[pair[name] for name in ("before", "after", "change")] for pair in index["worst"]],
        "controls": [list(entry["files"].values()) for entry in index["compared"]],
    }
    for name, names in rows.items():
        save(folder / f"{name}.jpg", grid([[_small(gallery / file) for file in row] for row in names]))


def photograph_titles(photos: Path) -> dict[str, str]:
    """Return hash -> the name that a person gave the photograph."""
    return {entry.sha256: entry.name for entry in read_manifest(photos)}


def original(photos: Path, name: str) -> Path | None:
    """Return the file of a photograph in its collection; None when it is not there or not what its name says."""
    return next((path for path in sorted(photos.glob(f"{name}.*")) if sha256_file(path) == name), None)


def fitted(path: Path | None, view: Pixels, side: int = LONG_SIDE) -> Image.Image:
    """Return the picture in a file, reduced to at most `side` px; the view of it where there is no file."""
    if path is None:
        return Image.fromarray(view)
    image = decode(path, ACCEPTED).image
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def save(path: Path, image: Image.Image) -> None:
    """Write a JPEG as pages show it: colours as fine as light, because strokes are both."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    write_atomic(path, stream.getvalue())


def _small(path: Path) -> Image.Image:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((_SHEET_SIDE, _SHEET_SIDE), Image.Resampling.LANCZOS)
    return small
