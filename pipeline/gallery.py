"""The pictures of a report: before and after, the controls beside the model, and the photographs it does worst on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.files import sha256_file, write_atomic, write_json
from pipeline.images import ACCEPTED, decode, grid
from pipeline.manifest import read_manifest
from pipeline.metrics.references import Pixels
from pipeline.scoring import Scores, Stylize

WORST = 5
_COMPARED = 4  # photographs shown with every control
_LONG_SIDE = 768  # px; larger pictures would make the report heavy and no better to look at
_OVERVIEW_SIDE = 320  # px
_QUALITY = 88


def write_gallery(folder: Path, stylize: Stylize, scores: Scores, photos: Path, count: int) -> None:
    """Write `NN-before.jpg` and `NN-after.jpg`, the controls, `overview.jpg` and `index.json`, which names them all.

    Pictures are chosen by the hash of the photograph, so nobody picked them; the worst by the structure they lost.

    Args:
        folder: to be filled.
        stylize: the model.
        scores: its scores.
        photos: the collection of photographs; where it holds the original, that is painted, not the small view.
        count: before/after pairs.
    """
    folder.mkdir(parents=True)
    titles = {entry.sha256: entry.name for entry in read_manifest(photos)}
    kept = scores.each["content/structure"]
    by_hash = sorted(range(len(scores.names)), key=scores.names.__getitem__)
    shown = by_hash[:count]
    worst = sorted(by_hash, key=kept.__getitem__)[:WORST]
    before = {
        index: _original(photos, scores.names[index], scores.outputs["photograph"][index])
        for index in dict.fromkeys([*shown, *worst])
    }
    after = {index: stylize(picture) for index, picture in before.items()}
    label = {index: f"{number:02d}" for number, index in enumerate(before, 1)}

    def entry(index: int) -> dict[str, Any]:
        name = scores.names[index]
        return {
            "image": name,
            "title": titles.get(name, name[:12]),
            "width": before[index].width,
            "height": before[index].height,
            "structure": round(kept[index], 3),
        }

    for index, picture in before.items():
        _save(folder / f"{label[index]}-before.jpg", picture)
        _save(folder / f"{label[index]}-after.jpg", after[index])
    pairs = {
        index: entry(index) | {"before": f"{label[index]}-before.jpg", "after": f"{label[index]}-after.jpg"}
        for index in before
    }
    compared = []
    for index in shown[:_COMPARED]:
        files = {name: f"{label[index]}-{name}.jpg" for name in ("photograph", "lab_transfer", "model")}
        for name, file in files.items():
            _save(folder / file, Image.fromarray(scores.outputs[name][index]))
        compared.append(entry(index) | {"files": files})
    _save(folder / "overview.jpg", _overview([(before[index], after[index]) for index in shown]))
    write_json(
        folder / "index.json",
        {"pairs": [pairs[i] for i in shown], "compared": compared, "worst": [pairs[i] for i in worst]},
    )


def _original(photos: Path, name: str, view: Pixels) -> Image.Image:
    """Return the photograph itself, reduced to fit; the view when it is not there or not what its name says."""
    for path in sorted(photos.glob(f"{name}.*")):
        if sha256_file(path) == name:
            image = decode(path, ACCEPTED).image
            image.thumbnail((_LONG_SIDE, _LONG_SIDE), Image.Resampling.LANCZOS)
            return image
    return Image.fromarray(view)


def _overview(pairs: Sequence[tuple[Image.Image, Image.Image]]) -> Image.Image:
    """Return one sheet of all pairs, two pairs a row."""
    cells = [_fitted(image) for pair in pairs for image in pair]
    return grid([cells[start : start + 4] for start in range(0, len(cells), 4)])


def _fitted(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((_OVERVIEW_SIDE, _OVERVIEW_SIDE), Image.Resampling.LANCZOS)
    return small


def _save(path: Path, image: Image.Image) -> None:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    write_atomic(path, stream.getvalue())
