"""The held-out images of a workspace, from its prepared collections, and the networks that look at them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data import read_index
from pipeline.files import digest_json
from pipeline.metrics.references import Observers, Pixels
from pipeline.observers.choose import choose
from pipeline.observers.facts import read_facts
from pipeline.observers.judge import StyleJudge
from pipeline.observers.pretrained import lpips
from pipeline.params import Params
from pipeline.recipes import Recipe
from pipeline.sampling import Paintings
from pipeline.scoring import HeldOut, View
from pipeline.weights import find_weights
from pipeline.workspace import PHOTOS, Workspace


def of_workspace(
    workspace: Workspace, recipe: Recipe, params: Params, learnt_through: Collection[str] = ()
) -> HeldOut:
    """Return the held-out images of a recipe, at most `evaluate.max_images` of each kind, the first by hash.

    Args:
        workspace: where they are prepared.
        recipe: of many styles, the paintings are those of the first.
        params: `evaluate` and `weights` are used.
        learnt_through: published networks that a model was trained through; none of them looks.

    Raises:
        ValueError: a collection has not been prepared, the style has no judge, or weights that are asked for by name
            are not at hand, or a model was trained through them.
    """
    photos, paintings = workspace.prepared(PHOTOS), workspace.prepared(recipe.style)
    most = params.evaluate.max_images
    observers = observers_at_hand(params, workspace.judge(recipe.style), learnt_through)
    return HeldOut.of(_views(photos, most), _views(paintings, most), _crops(paintings), observers)


def paintings_of_workspace(workspace: Workspace, recipe: Recipe, params: Params) -> Paintings:
    """Return the held-out paintings and training crops of a recipe that makes images out of noise.

    Raises:
        ValueError: as `of_workspace`.
    """
    prepared = workspace.prepared(recipe.style)
    index = read_index(prepared)
    held_out = HeldOut.of((), _views(prepared, params.evaluate.max_images)).paintings
    total = len(index["train"]) * index["crops_per_image"]
    return Paintings(held_out, _crops(prepared), total, observers_at_hand(params, workspace.judge(recipe.style)))


def artworks_of_workspace(workspace: Workspace, recipe: Recipe, params: Params) -> tuple[View, ...]:
    """Return the held-out artworks of a recipe that restores, at most `evaluate.max_images`, the first by hash.

    Raises:
        ValueError: the style has not been prepared.
    """
    return tuple(_views(workspace.prepared(recipe.style), params.evaluate.max_images))


def photographs_of_workspace(workspace: Workspace, params: Params) -> list[View]:
    """Return the held-out photographs, at most `evaluate.max_images`; none where no photographs were prepared."""
    prepared = workspace.prepared(PHOTOS)
    return _views(prepared, params.evaluate.max_images) if (prepared / "index.json").is_file() else []


def paintings_of_styles(workspace: Workspace, recipe: Recipe, params: Params) -> dict[str, list[Pixels]]:
    """Return the held-out paintings of every style of a recipe, at most `evaluate.max_images` of each.

    Raises:
        ValueError: a collection has not been prepared.
    """
    most = params.evaluate.max_images
    return {style: [view.pixels for view in _views(workspace.prepared(style), most)] for style in recipe.styles}


def observers_at_hand(params: Params, judge_folder: Path | None, learnt_through: Collection[str] = ()) -> Observers:
    """Return the networks that look: the judge of `judge_folder`, and the published ones whose weights are here.

    Raises:
        ValueError: see `of_workspace`.
    """
    judge = StyleJudge.load(judge_folder) if judge_folder else None
    weights = find_weights(params.weights)
    if "vgg16" in learnt_through:
        if params.evaluate.features == "vgg16":
            raise ValueError(
                "evaluate.features is 'vgg16', but a model was trained through that network, and what measures never "
                "trains; set it to auto, inception or judge"
            )
        weights = replace(weights, vgg16=None)
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
    """Return one digest of what a recipe learns from: which images, in which split, prepared how."""
    return digest_json({name: read_index(workspace.prepared(name)) for name in recipe.collections})


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
