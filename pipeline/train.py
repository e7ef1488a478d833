"""Stage: train one recipe. Prepared crops in; networks, history and samples out; resumable in between."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline import distributed, warm_start
from pipeline.checkpoints import drop_checkpoints, drop_other_keys
from pipeline.closure import code_digest
from pipeline.collapse import Watch
from pipeline.data import read_index
from pipeline.entry import run_stage
from pipeline.files import digest_json, sha256_file, staged_directory, sweep, write_json
from pipeline.memory import out_of_memory
from pipeline.methods import METHODS
from pipeline.methods.base import Method
from pipeline.methods.conditions import Direction, Reference
from pipeline.panels import panel_of
from pipeline.panels.base import Panel
from pipeline.params import Params, Train
from pipeline.process import StopRequest, die_with_parent, exclusive
from pipeline.progress import Progress
from pipeline.recipes import Recipe, load_book, recipe_params
from pipeline.recovery import Course, bad_steps, not_finite
from pipeline.results import write_cost, write_networks, write_picture, write_table
from pipeline.runlog import RunLog
from pipeline.stall import Watchdog
from pipeline.steps import Steps
from pipeline.trainer import Trainer, scalars, step_randomness
from pipeline.workspace import Workspace

SNAPSHOTS = (0.8, 0.9)  # shares of the steps after which the averaged networks are kept: how settled is the result?
# Settings that change neither the networks nor the history: they are in no digest and make nothing stale.
OPERATIONAL = ("device", "require_device", "max_minutes", "stall_minutes", "keep_checkpoints", "package")


@dataclass(frozen=True)
class Run:
    """One training run: what goes in, by digest, and where its state lives."""

    recipe: Recipe
    params: Params
    device: torch.device
    digests: dict[str, str]
    folder: Path

    @property
    def key(self) -> str:
        """The name of the run's state: data, params and code, so that no other run's state is ever resumed."""
        return self.folder.name


class StoppedError(Exception):
    """The process was asked to stop; the checkpoint is written."""


def main(recipe_name: str, workspace: Workspace) -> Path:
    """Train a recipe to its last step and return the folder of the result, `runs/<recipe>/`.

    The folder holds `networks.npz`, `best.npz`, `config.json`, `course.json`, `history.csv`, `samples/` and
    `snapshots/`. A run that was cut short continues from its newest valid checkpoint.

    Raises:
        ValueError: a wrong parameter, missing data, the required device missing, a diverged loss, no time left, or
            too little memory on the device.
    """
    book = load_book(workspace)
    run = prepare_run(workspace, book.recipe(recipe_name))
    try:
        return _lead_or_follow(run, workspace)
    except torch.OutOfMemoryError:
        pass  # its traceback holds the networks: they have to go before another batch is tried
    raise ValueError(out_of_memory(run.params, run.recipe.method, run.device))


def _lead_or_follow(run: Run, workspace: Workspace) -> Path:
    name = run.recipe.name
    team = distributed.team(run.params.train.processes, run.device, "pipeline.train", [name], workspace.root)
    if distributed.is_follower():
        with team as own:
            Steps(workspace, run.recipe, run.params, run.device, own).follow()
        return workspace.trained(name)
    with (
        exclusive(workspace.checkpoints(name) / "lock", f"training of {name}"),
        StopRequest() as stop,
        Watchdog(run.params.train.stall_minutes, run.folder) as watchdog,
        team as own,
    ):
        return _train(run, workspace, Steps(workspace, run.recipe, run.params, run.device, own), stop, watchdog)


def prepare_run(workspace: Workspace, recipe: Recipe) -> Run:
    """Return the run of a recipe after checking all that can be wrong before work starts."""
    params = recipe_params(workspace, recipe)
    device = choose_device(params.train)
    digests = digests_of(workspace, recipe, params)
    return Run(recipe, params, device, digests, workspace.checkpoints(recipe.name) / run_key(digests))


def digests_of(workspace: Workspace, recipe: Recipe, params: Params) -> dict[str, str]:
    """Return what a training of the recipe is made from here, by digest: data, parameters, code and what else begins.

    Raises:
        ValueError: prepared data, or the networks that it begins with, are missing.
    """
    digests = {
        "data": _data_digest(workspace, recipe),
        "params": digest_json(training_params(params, recipe.method)),
        "code": code_digest("pipeline.train", workspace.root),
    }
    if begun := warm_start.digest(workspace.warm_start(recipe.warm_start)):
        digests["warm_start"] = begun
    return digests | METHODS[recipe.method].brings(params)


def run_key(digests: Mapping[str, str]) -> str:
    """Return the name of a training's state."""
    return digest_json(dict(digests))[:16]


def training_params(params: Params, method: str) -> dict[str, Any]:
    """Return the parameters that decide a training's result: what dvc.yaml lists for the stage."""
    tree = params.tree()
    train = {key: value for key, value in tree["train"].items() if key not in OPERATIONAL}
    return {"seed": params.seed, "train": train, method: tree[method]}


def choose_device(settings: Train) -> torch.device:
    """Return the device to train on.

    Raises:
        ValueError: the device asked for, or required, is not there.
    """
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ValueError("train.device is 'cuda' but no CUDA device is visible; set train.device to 'auto' or 'cpu'")
    kind = "cuda" if available and settings.device != "cpu" else "cpu"
    if settings.require_device not in ("any", kind):
        raise ValueError(
            f"train.require_device is {settings.require_device!r} but this run would use {kind!r}; "
            f"run it on a machine with such a device, or set train.require_device to 'any'"
        )
    return torch.device(kind)


def _data_digest(workspace: Workspace, recipe: Recipe) -> str:
    digests = []
    for name in recipe.collections:
        folder = workspace.prepared(name)
        index = read_index(folder)
        files = [entry["file"] for part in ("train", "test") for entry in index[part]]
        digests.append([[file, sha256_file(folder / file)] for file in files])
    return digest_json(digests)


def _train(run: Run, workspace: Workspace, steps: Steps, stop: StopRequest, watchdog: Watchdog) -> Path:
    settings, trainer = run.params.train, steps.trainer
    _sweep(run, workspace)
    panel = panel_of(trainer.method, steps, step_randomness(run.params.seed, -1))  # of no step
    averaged = trainer.averages["generator"].network
    course = Course(run.folder, settings, trainer, watch := _watch(run, trainer, panel))
    first = step = course.begin()
    steps.share()
    if first:
        print(f"resuming {run.recipe.name} after step {first} of {settings.steps}", file=sys.stderr)
    pointer = workspace.work / "logs" / f"{run.recipe.name}.json"
    log = RunLog(run.folder / "log.jsonl", pointer, workspace.root, run.key, first)
    log.write("start", first, settings.steps, {"device": run.device.type, "crops": steps.homes, **run.digests})
    progress = Progress(f"train {run.recipe.name}", settings.steps, first)
    started = time.monotonic()
    note = ""
    last = False
    while not last and step < settings.steps:
        result = steps.take(step)
        watch.count(trainer.method.accuracy)
        step += 1
        last = step == settings.steps
        trouble = None
        if last or step % settings.log_every == 0:
            losses = _finite(scalars(result | {"method": dict(trainer.method.figures)}))
            note = " ".join(f"{name} {value:.2f}" for name, value in losses.items() if value and "gan" in name)
            log.write("metrics", step, settings.steps, losses)
            trouble = bad_steps(trainer.health(), settings)
        if last or step % settings.watch_every == 0:
            sight = watch.look(averaged, step)
            log.write("watch", step, settings.steps, _finite(sight.figures))
            if watch.best.get("step") == step:
                watch.best["others"] = _others(trainer)
            trouble = trouble or course.hear(sight.alarms, step)
            last = last or watch.settled
        if last or step % settings.sample_every == 0:
            write_picture(run.folder / "samples" / f"step-{step:08d}.jpg", panel.picture(averaged))
            log.write("sample", step, settings.steps, {})
        if step in snapshot_steps(settings.steps):
            write_networks(run.folder / "snapshots" / f"step-{step:08d}.npz", _averaged(trainer))
        watchdog.beat(step)
        progress.update(step, note)
        out_of_time = time.monotonic() - started > 60 * settings.max_minutes
        on_grid = last or step % settings.checkpoint_every == 0
        if on_grid or stop.asked or out_of_time:
            trouble = trouble or not_finite(trainer.state())
        if trouble:
            step, last = _go_back(course, log, step, trouble), False
            steps.share()
            continue
        good = on_grid and course.at_ease()
        if not last and (good or stop.asked or out_of_time):
            course.save(step, good)
            _stop_here(stop, out_of_time, step, settings)
    if step < settings.steps:
        print(f"\nconverged after step {step} of {settings.steps} (train.converged)", file=sys.stderr)
    seconds = time.monotonic() - started
    log.write("finish", step, settings.steps, {"seconds": seconds})
    result_folder = _write_result(run, workspace, course, log, step)
    log.close()
    cost = workspace.root / "runs" / f"{run.recipe.name}.cost.json"
    write_cost(cost, run.device, settings, seconds, step - first, steps.homes)
    drop_checkpoints(run.folder)
    drop_other_keys(run.folder)
    return result_folder


def _sweep(run: Run, workspace: Workspace) -> None:
    """Delete what killed trainings of the recipe left half written."""
    sweep(run.folder)
    for folder in (workspace.work / "logs", workspace.trained(run.recipe.name).parent):
        sweep(folder, run.recipe.name)


def _go_back(course: Course, log: RunLog, step: int, trouble: str) -> int:
    back = course.go_back(step, trouble)
    print(f"\nwarning: {trouble}; back from step {step} to {back}, and slower from there", file=sys.stderr)
    log.rewind(back)
    log.write("rollback", back, course.settings.steps, course.rollbacks[-1])
    return back


def _finite(losses: dict[str, float]) -> dict[str, float | None]:
    """Return the losses with None for what is not finite: JSON knows no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in losses.items()}


def _stop_here(stop: StopRequest, out_of_time: bool, step: int, settings: Train) -> None:
    if stop.asked:
        print(f"\nstopped after step {step}; the same command continues from there", file=sys.stderr)
        raise StoppedError(stop.asked)
    if out_of_time:
        raise ValueError(
            f"train.max_minutes ({settings.max_minutes}) were over after step {step} of {settings.steps}; the "
            f"checkpoint is kept: run the same command to continue, or lower train.steps (`atelier calibrate`)"
        )


def _watch(run: Run, trainer: Trainer, panel: Panel) -> Watch:
    warmup = 0 if trainer.method.warmed else trainer.method.warmup_steps
    return Watch(run.params.train, panel, warmup, run.device)


def snapshot_steps(steps: int) -> list[int]:
    """Return the steps after which the averaged networks are kept; none of a run too short to have any."""
    return sorted({step for share in SNAPSHOTS if 0 < (step := round(share * steps)) < steps})


def _write_result(run: Run, workspace: Workspace, course: Course, log: RunLog, steps: int) -> Path:
    trainer, watch = course.trainer, course.watch
    figures = log.values("watch")
    best = watch.best or {"step": steps, "weights": _averaged(trainer)["generator"], "others": _others(trainer)}
    config = {
        "format": 1,
        "recipe": run.recipe.name,
        "style": run.recipe.style,
        "warm_start": run.recipe.warm_start,
        "method": run.recipe.method,
        "task": trainer.method.task,
        "network": trainer.method.describe(),
        **_beside(trainer.method),
        "reverse": Direction in trainer.method.conditions,
        "view": read_index(workspace.prepared(run.recipe.style))["view"],
        "seed": run.params.seed,
        "steps": steps,
        "training": training_params(run.params, run.recipe.method),
        "validation": {  # on the panel of the watch, less is better
            "last": {"step": steps, "validation": figures[-1]["validation"]},
            "best": {"step": best["step"], "validation": best.get("validation")},
        },
        "digests": run.digests,
    }
    if Reference in trainer.method.conditions:
        config |= {"reference": True, "styles": list(run.recipe.styles)}
    with staged_directory(workspace.trained(run.recipe.name)) as folder:
        networks = {name: network.state_dict() for name, network in trainer.method.networks.items()}
        write_networks(folder / "networks.npz", networks | _averaged(trainer))
        write_networks(folder / "best.npz", {"generator": best["weights"]} | best["others"])
        write_json(folder / "config.json", config)
        write_json(folder / "course.json", course.story() | {"watch": figures})
        write_table(folder / "history.csv", log.values("metrics"))
        for kept in ("samples", "snapshots"):
            (run.folder / kept).mkdir(exist_ok=True)  # DVC expects it, however short the run
            shutil.copytree(run.folder / kept, folder / kept)
    return workspace.trained(run.recipe.name)


def _beside(method: Method) -> dict[str, Any]:
    """Return what describes the networks that are packaged beside the generator, of a method that has such."""
    found = method.describe_beside()
    return {"beside": found} if found else {}


def _averaged(trainer: Trainer) -> dict[str, dict[str, Tensor]]:
    return {name: average.network.state_dict() for name, average in trainer.averages.items()}


def _others(trainer: Trainer) -> dict[str, dict[str, Tensor]]:
    """Return copies of the averaged networks that the watch does not look at: they go where `generator` goes."""
    return {
        name: {key: value.cpu().clone() for key, value in weights.items()}
        for name, weights in _averaged(trainer).items()
        if name != "generator"
    }


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.train",
        description="Train a recipe in the workspace of the current folder. Example: python -m pipeline.train monet",
    )
    parser.add_argument("recipe")
    recipe = parser.parse_args().recipe
    die_with_parent()
    try:
        folder = main(recipe, Workspace(Path.cwd()))
    except StoppedError as request:
        sys.exit(128 + request.args[0])
    if not distributed.is_follower():
        print(f"trained networks, history and samples are in {folder}")


if __name__ == "__main__":
    run_stage(_command)
