"""Where held-out images come from: the prepared collections of a workspace, or any two folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data import read_index
from pipeline.files import digest_json, sha256_file
from pipeline.images import Limits, Refused, decode, square_view
from pipeline.metrics.references import Observers, Pixels
from pipeline.observers.choose import choose
from pipeline.observers.facts import read_facts
from pipeline.observers.judge import StyleJudge
from pipeline.observers.pretrained import lpips
from pipeline.observers.weights import find_weights
from pipeline.params import Params
from pipeline.recipes import Recipe
from pipeline.scoring import HeldOut, View
from pipeline.workspace import PHOTOS, Workspace


def of_workspace(workspace: Workspace, recipe: Recipe, params: Params) -> HeldOut:
    """Return the held-out images of a recipe, at most `evaluate.max_images` of each kind, the first by hash.

    Raises:
        ValueError: a collection has not been prepared, the style has no judge, or weights that are asked for by name
            are not at hand.
    """
    photos, paintings = workspace.prepared(PHOTOS), workspace.prepared(recipe.style)
    most = params.evaluate.max_images
    observers = observers_at_hand(params, workspace.judge(recipe.style))
    return HeldOut.of(_views(photos, most), _views(paintings, most), _crops(paintings), observers)


def of_folders(
    photos: Path, artworks: Path, side: int, params: Params, training: Path | None, judge: Path | None
) -> HeldOut:
    """Return the images of any two folders, by the hash of their content, as the stage takes them.

    Args:
        photos: photographs that the model never saw.
        artworks: artworks of its style that it never saw.
        side: of the views, px.
        params: `evaluate`, `weights` and the limits of `ingest` are used.
        training: artworks that it was trained on; without them memorisation is not measured.
        judge: folder of the style's judge; without it no deception is measured.

    Raises:
        ValueError: a folder holds fewer than two readable images; else as `of_workspace`.
    """
    limits, most = Limits.of(params.ingest), params.evaluate.max_images
    return HeldOut.of(
        _folder(photos, limits, side, most),
        _folder(artworks, limits, side, most),
        None if training is None else lambda: (one.pixels for one in _folder(training, limits, side, None)),
        observers_at_hand(params, judge),
    )


def observers_at_hand(params: Params, judge_folder: Path | None) -> Observers:
    """Return the networks that look: the judge of `judge_folder`, and the published ones whose weights are here.

    Raises:
        ValueError: see `of_workspace`.
    """
    judge = StyleJudge.load(judge_folder) if judge_folder else None
    weights = find_weights(params.weights)
    features = choose(params.evaluate.features, weights, judge)
    return Observers(features, judge, lpips(weights.vgg16) if weights.vgg16 else None)


def judge_of(workspace: Workspace, config: Mapping[str, Any]) -> Path | None:
    """Return the folder of the judge of a package's style, if this workspace has one.

    Args:
        workspace: where to look.
        config: the package's.
    """
    folder = workspace.judge(str(config.get("style")))
    return folder if read_facts(folder) else None


def data_digest(workspace: Workspace, recipe: Recipe) -> str:
    """Return one digest of the prepared photographs and paintings: which images, in which split, prepared how."""
    return digest_json({name: read_index(workspace.prepared(name)) for name in (PHOTOS, recipe.style)})


def _views(prepared: Path, most: int) -> list[View]:
    return [View(entry["image"], _read(prepared / entry["file"])) for entry in read_index(prepared)["test"][:most]]


def _crops(prepared: Path) -> Callable[[], Iterable[Pixels]]:
    """Return a reader of all training crops of a collection, a strip at a time."""
    index = read_index(prepared)

    def read() -> Iterator[Pixels]:
        for entry in index["train"]:
            yield from _read(prepared / entry["file"]).reshape(-1, index["crop"], index["crop"], 3)

    return read


def _read(path: Path) -> Pixels:
    if not path.is_file():
        raise ValueError(f"{path} is in the index of its folder but missing; run `dvc repro` again")
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def _folder(folder: Path, limits: Limits, side: int, most: int | None) -> list[View]:
    """Return views of a folder's images by hash, each content once; what is no image or not accepted is left out."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    files = {sha256_file(path): path for path in sorted(folder.rglob("*")) if path.is_file()}
    views: list[View] = []
    for digest in sorted(files):
        if most is not None and len(views) >= most:
            break
        try:
            image = decode(files[digest], limits).image
        except Refused:
            continue
        views.append(View(digest, np.asarray(square_view(image, side))))
    if len(views) < 2:
        raise ValueError(f"{folder} holds {len(views)} readable images; scoring needs at least 2")
    return views
