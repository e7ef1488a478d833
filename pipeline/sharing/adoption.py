"""A training that was done elsewhere, taken into the graph as if it had run here: if it is one of exactly this.

`python -m pipeline.train RECIPE` runs on a bare GPU machine, in a copy of the workspace without DVC. What it leaves
says what it was made from, by digest; only what this workspace would train from counts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.closure import stage_files
from pipeline.dvc import dvc
from pipeline.files import canonical_json, read_json, sha256_file, staged_directory, write_atomic, write_json
from pipeline.plan import plan
from pipeline.presets import differences
from pipeline.process import exclusive
from pipeline.recipes import Recipe, load_book, recipe_params
from pipeline.sharing.declared import ADOPTED, declare
from pipeline.sharing.git import said
from pipeline.terminal import capture
from pipeline.workspace import Workspace

_FILES = ("networks.npz", "best.npz", "config.json", "course.json", "history.csv")
_FOLDERS = ("samples", "snapshots")
_SHOWN = 3
_WHAT = {
    "data": "its prepared images",
    "params": "its parameters",
    "code": "its code",
    "warm_start": "the networks that it begins with",
}


@dataclass(frozen=True)
class Adopted:
    """A training that is now this workspace's."""

    recipe: str
    steps: int
    device: str
    """What it was trained on, in words; empty where the machine's cost.json was not brought along."""


def adopt(workspace: Workspace, recipe: str, folder: Path) -> Adopted:
    """Take a training's result into `runs/<recipe>/` and DVC; package and evaluate then run as ever.

    Args:
        workspace: where.
        recipe: whose training it is.
        folder: the workspace that was copied to the other machine and back, or its `runs/<recipe>/` alone.

    Raises:
        ValueError: the result is not whole, or not made of this workspace's data, parameters and code, the message
            naming which; what the training depends on is not built here; a retrain runs; or DVC refuses.
    """
    with exclusive(workspace.var / "retrain.lock", f"a retrain of {workspace.root}"):
        entry = load_book(workspace).recipe(recipe)
        result = folder / "runs" / recipe if (folder / "runs").is_dir() else folder
        config = _read_result(result, recipe)
        _require_fresh_inputs(workspace, recipe)
        _require_same(workspace, entry, config, folder)
        _require_finite(result)
        with staged_directory(workspace.trained(recipe)) as staging:
            _copy(result, staging)
        _bring_log(workspace, recipe, folder, config["digests"])
        done = capture(workspace, dvc(workspace, "commit", "--force", f"train@{recipe}"))
        if done.returncode != 0:
            raise ValueError(f"`dvc commit train@{recipe}` failed: {said(done)}")
        device = _device(result)
        where = f" on {device}" if device else ""
        sentence = f"trained elsewhere{where}, {config['steps']} steps, from {folder.resolve()}"
        declare(workspace, ADOPTED, recipe, sentence)
        return Adopted(recipe, int(config["steps"]), device)


def _read_result(result: Path, recipe: str) -> dict[str, Any]:
    """Return the config of a training's result after checking that all of it is there, and of that recipe."""
    if not (result / "config.json").is_file():
        raise ValueError(
            f"{result} holds no training's result (no config.json); name the workspace in which "
            f"`python -m pipeline.train {recipe}` ran to its end, or its runs/{recipe}"
        )
    config = read_json(result / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("digests"), dict) or "steps" not in config:
        raise ValueError(f"{result / 'config.json'} is not what a training writes")
    for name in (*_FILES, *_FOLDERS):
        path = result / name
        if path.is_symlink() or not (path.is_dir() if name in _FOLDERS else path.is_file()):
            raise ValueError(f"{result} lacks {name}: copy all of it, as the training left it")
    if config.get("recipe") != recipe:
        raise ValueError(f"{result} is a training of {config.get('recipe')!r}, not of {recipe!r}")
    return config


def _require_fresh_inputs(workspace: Workspace, recipe: str) -> None:
    """Raise ValueError when what the training depends on is not built: DVC would train again after that."""
    found = next(each for each in plan(workspace) if each.recipe == recipe)
    for stage in found.stages:
        feeds = not stage.name.startswith(("judge@", "group_judge@", "train@", "package@", "evaluate@"))
        if feeds and stage.reasons:
            raise ValueError(
                f"{stage.name} is not up to date here ({stage.reasons[0].detail}), so the data is another; run "
                f"`dvc repro {stage.name}` and train on what it makes"
            )


def _require_same(workspace: Workspace, recipe: Recipe, config: Mapping[str, Any], folder: Path) -> None:
    """Raise ValueError when a training was made of anything else than this workspace would make it of."""
    from pipeline.train import digests_of, training_params

    params = recipe_params(workspace, recipe)
    here, there = digests_of(workspace, recipe, params), config["digests"]
    differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    if config.get("method") != recipe.method:
        raise ValueError(f"it is a training of method {config.get('method')!r}; {recipe.name} is {recipe.method!r}")
    if not differing:
        return
    details = {
        "params": lambda: _params(config.get("training") or {}, training_params(params, recipe.method)),
        "code": lambda: _code(workspace, folder),
    }
    told = []
    for name in differing:
        detail = details[name]() if name in details else ""
        told.append(_WHAT.get(name, name) + (f" ({detail})" if detail else ""))
    raise ValueError(
        f"{folder} was trained from something else than {recipe.name} is here: {', and '.join(told)} differ; "
        f"copy this workspace anew and train there, or bring this one to the same state"
    )


def _params(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    changes = differences(there, json.loads(canonical_json(here)))
    return ", ".join(f"{name} {was} there, {now} here" for name, was, now in changes[:_SHOWN])


def _code(workspace: Workspace, folder: Path) -> str:
    """Return which code files differ, where the other workspace's code was brought along."""
    if not (folder / "pipeline" / "train.py").is_file():
        return ""
    names = sorted({*stage_files("pipeline.train", workspace.root), *stage_files("pipeline.train", folder)})
    odd = [name for name in names if _digest(folder / name) != _digest(workspace.root / name)]
    return ", ".join(odd[:_SHOWN]) + (" and others" if len(odd) > _SHOWN else "")


def _digest(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _require_finite(result: Path) -> None:
    """Raise ValueError when the networks cannot be read, or are not finite."""
    for name in ("networks.npz", "best.npz"):
        try:
            with np.load(result / name, allow_pickle=False) as arrays:
                odd = [key for key in arrays.files if not np.isfinite(arrays[key]).all()]
        except Exception as error:  # zip, header, shape: a damaged file fails in many ways
            raise ValueError(f"{result / name} cannot be read ({error}); copy it again") from error
        if odd:
            raise ValueError(f"{result / name} is not finite in {odd[0]}; it cannot be taken for a trained network")


def _copy(result: Path, target: Path) -> None:
    """Copy what a training leaves, and nothing else that lies there."""
    for name in _FILES:
        shutil.copyfile(result / name, target / name)
    for name in _FOLDERS:
        (target / name).mkdir()
        for path in sorted((result / name).iterdir()):
            if path.is_file() and not path.is_symlink():
                shutil.copyfile(path, target / name / path.name)


def _bring_log(workspace: Workspace, recipe: str, folder: Path, digests: Mapping[str, str]) -> None:
    """Take over the training's log, from which MLflow is fed, and what it cost, where they were brought along."""
    from pipeline.train import run_key

    key = run_key(digests)
    log = folder / "work" / "checkpoints" / recipe / key / "log.jsonl"
    if log.is_file():
        target = write_atomic(workspace.checkpoints(recipe) / key / "log.jsonl", log.read_bytes())
        pointer = {"log": target.relative_to(workspace.root).as_posix(), "key": key}
        write_json(workspace.work / "logs" / f"{recipe}.json", pointer)
    cost = folder / "runs" / f"{recipe}.cost.json"
    if cost.is_file():
        write_atomic(workspace.trained(recipe).with_name(cost.name), cost.read_bytes())


def _device(result: Path) -> str:
    cost = result.with_name(f"{result.name}.cost.json")
    return str(read_json(cost).get("device", "")) if cost.is_file() else ""
