"""The pictures of a vote: held-out photographs, and what each side makes of them, painted once and kept.

Their file names tell nothing, and any of them may be deleted: it is painted again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from pipeline.closure import code_digest
from pipeline.data import read_index
from pipeline.files import digest_json, read_json, sha256_file, write_atomic
from pipeline.images import ACCEPTED, Refused, decode
from pipeline.manifest import Entry, read_manifest
from pipeline.terminal import code_root
from pipeline.vote.sides import Pair, Side
from pipeline.workspace import PHOTOS, Workspace

LONG_SIDE = 768  # px
_QUALITY = 92
_PAINTERS = ("pipeline.inference", "pipeline.metrics.controls")  # what their code changes is painted anew
_BEFORE = "before"

Advance: TypeAlias = Callable[[int, int], None]
Paint: TypeAlias = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Exhibit:
    """One photograph (its sha256) as JPEG, and key of a side -> its painting of it, all of one size in px."""

    photograph: str
    before: Path
    paintings: Mapping[str, Path]
    width: int
    height: int


def exhibits(workspace: Workspace, pair: Pair, count: int, advance: Advance | None = None) -> list[Exhibit]:
    """Return the same held-out photographs as both sides paint them; what was painted before is not painted again.

    Args:
        workspace: whose prepared photographs; the first by hash are taken, so nobody picked them.
        pair: the two sides.
        count: at most so many, and those on which neither package was trained.
        advance: told how many pictures are done, and how many there are to do.

    Raises:
        ValueError: there is no held-out photograph, or a package is damaged.
    """
    chosen = _photographs(workspace, pair, count)
    folder = pair.pictures(workspace)
    painters = {_BEFORE: _untouched} | {side.key: _painter(side, pair.model) for side in (pair.model, pair.rival)}
    files = {photo: {key: folder / _name(photo, key) for key in painters} for photo in chosen}
    missing = {photo: [key for key in painters if not files[photo][key].is_file()] for photo in chosen}
    total = sum(map(len, missing.values()))
    originals = {entry.sha256: entry for entry in read_manifest(workspace.collection(PHOTOS))} if total else {}
    done = 0
    for photo, keys in missing.items():
        picture = _photograph(workspace, chosen[photo], originals.get(photo)) if keys else None
        for key in keys:
            assert picture is not None
            _save(files[photo][key], painters[key](picture))
            done += 1
            if advance:
                advance(done, total)
    return [_exhibit(photo, files[photo]) for photo in chosen]


def _photographs(workspace: Workspace, pair: Pair, count: int) -> dict[str, Path]:
    """Return sha256 -> prepared view of held-out photographs that neither package knows."""
    prepared = workspace.prepared(PHOTOS)
    known = {image for side in (pair.model, pair.rival) for image in _trained_on(side)}
    test = {entry["image"]: prepared / entry["file"] for entry in read_index(prepared)["test"]}
    unknown = sorted(photo for photo in test if photo not in known)
    if not unknown:
        raise ValueError(
            f"there is no held-out photograph to vote on: {len(test)} are held out, and these models were trained "
            f"on {len(test) - len(unknown)} of them; ingest more photographs and run `dvc repro`"
        )
    return {photo: test[photo] for photo in unknown[:count]}


def _trained_on(side: Side) -> list[str]:
    record = side.package / "trained_on.json" if side.package else None
    return list(read_json(record).get(PHOTOS, [])) if record and record.is_file() else []


def _name(photo: str, key: str) -> str:
    return digest_json([photo, key, LONG_SIDE, _QUALITY, _code()])[:24] + ".jpg"


@cache
def _code() -> str:
    return digest_json([code_digest(module, code_root()) for module in _PAINTERS])


def _painter(side: Side, model: Side) -> Paint:
    """Return what paints for a side; a package is loaded when its first picture is painted."""
    if side.package is None:
        return _control(side.key, model)
    folder = side.package
    loaded: list[Paint] = []

    def paint(picture: Image.Image) -> Image.Image:
        from pipeline.inference import Stylizer
        from pipeline.referring import alone

        if not loaded:
            loaded.append(alone(Stylizer.load(folder, expected=side.key)))
        return loaded[0](picture)

    return paint


def _untouched(picture: Image.Image) -> Image.Image:
    return picture


def _control(name: str, model: Side) -> Paint:
    """Return a control, with the palette of the paintings that the model was trained on."""
    from pipeline.metrics.controls import CONTROLS

    assert model.package is not None
    palette: dict[str, Any] = read_json(model.package / "config.json")["palette"]
    return lambda picture: Image.fromarray(CONTROLS[name](np.asarray(picture), palette))


def _photograph(workspace: Workspace, view: Path, entry: Entry | None) -> Image.Image:
    """Return the photograph within its borders, reduced to fit; its prepared view where the original is not there."""
    picture = _original(workspace.collection(PHOTOS), entry) if entry else None
    if picture is None:
        with Image.open(view) as stored:
            picture = stored.convert("RGB")
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    return picture


def _original(folder: Path, entry: Entry) -> Image.Image | None:
    path = folder / entry.file
    if not path.is_file() or sha256_file(path) != entry.sha256:
        return None
    try:
        image = decode(path, ACCEPTED).image
    except Refused:
        return None
    return image.crop(entry.box) if entry.box else image


def _exhibit(photo: str, files: Mapping[str, Path]) -> Exhibit:
    paintings = {key: path for key, path in files.items() if key != _BEFORE}
    with Image.open(files[_BEFORE]) as image:
        return Exhibit(photo, files[_BEFORE], paintings, image.width, image.height)


def _save(path: Path, picture: Image.Image) -> None:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    write_atomic(path, stream.getvalue())
