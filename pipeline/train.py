"""Stage: train one recipe. Prepared crops in; networks, history and samples out; resumable in between."""

from __future__ import annotations

import argparse
import io
import math
import os
import resource
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline import warm_start
from pipeline.checkpoints import clear_checkpoints, load_newest, save_checkpoint
from pipeline.closure import code_digest
from pipeline.data import CropStore, load_view, read_index
from pipeline.entry import run_stage
from pipeline.files import digest_json, sha256_file, staged_directory, write_atomic, write_json
from pipeline.images import grid, to_image
from pipeline.methods import build_method
from pipeline.methods.base import Batch
from pipeline.params import Params, Train
from pipeline.process import die_with_parent, exclusive
from pipeline.progress import Progress
from pipeline.recipes import Recipe, load_book, recipe_params
from pipeline.runlog import RunLog
from pipeline.trainer import Trainer, scalars, step_randomness
from pipeline.workspace import PHOTOS, Workspace

PANEL = 6  # held-out photographs in a sample grid
SNAPSHOTS = (0.8, 0.9)  # shares of the steps after which the averaged networks are kept: how settled is the result?
# Settings that change neither the networks nor the history: they are in no digest and make nothing stale.
OPERATIONAL = ("device", "require_device", "max_minutes", "checkpoint_every", "keep_checkpoints")


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

    The folder holds `networks.npz`, `config.json`, `history.csv`, `samples/` and `snapshots/`. A run that was cut
    short continues from its newest valid checkpoint.

    Raises:
        ValueError: a wrong parameter, missing data, the required device missing, a diverged loss, no time left.
    """
    book = load_book(workspace)
    run = prepare_run(workspace, book.recipe(recipe_name))
    with exclusive(workspace.checkpoints(recipe_name) / "lock", f"training of {recipe_name}"):
        return _train(run, workspace)


def prepare_run(workspace: Workspace, recipe: Recipe) -> Run:
    """Return the run of a recipe after checking all that can be wrong before work starts."""
    params = recipe_params(workspace, recipe)
    device = choose_device(params.train)
    digests = {
        "data": _data_digest(workspace, recipe),
        "params": digest_json(training_params(params, recipe.method)),
        "code": code_digest("pipeline.train", workspace.root),
    }
    if begun := warm_start.digest(workspace.warm_start(recipe.warm_start)):
        digests["warm_start"] = begun
    return Run(recipe, params, device, digests, workspace.checkpoints(recipe.name) / digest_json(digests)[:16])


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
    for name in (PHOTOS, recipe.style):
        folder = workspace.prepared(name)
        index = read_index(folder)
        files = [entry["file"] for part in ("train", "test") for entry in index[part]]
        digests.append([[file, sha256_file(folder / file)] for file in files])
    return digest_json(digests)


def _train(run: Run, workspace: Workspace) -> Path:
    settings = run.params.train
    torch.set_num_threads(settings.threads)
    photos = CropStore.load(workspace.prepared(PHOTOS), run.device)
    paintings = CropStore.load(workspace.prepared(run.recipe.style), run.device)
    panel = _panel(workspace.prepared(PHOTOS), run.device)
    method = build_method(run.recipe.method, run.params)
    method.warmed = warm_start.begin_with(method.networks, workspace.warm_start(run.recipe.warm_start))
    trainer = Trainer(method, settings, run.device)
    first = _resume(run, trainer)
    pointer = workspace.work / "logs" / f"{run.recipe.name}.json"
    log = RunLog(run.folder / "log.jsonl", pointer, workspace.root, run.key, first)
    log.write("start", first, settings.steps, {"device": run.device.type, **run.digests})
    progress = Progress(f"train {run.recipe.name}", settings.steps, first)
    stop = _StopRequest()
    started = time.monotonic()
    losses: dict[str, float] = {}
    for step in range(first, settings.steps):
        draw = step_randomness(run.params.seed, step)
        batch = Batch(*(store.batch(settings.batch, settings.crop, draw) for store in (photos, paintings)))
        result = trainer.step(batch, step, draw)
        done = step + 1
        last = done == settings.steps
        if last or done % settings.log_every == 0:
            losses = _finite(scalars(result), done)
            log.write("metrics", done, settings.steps, losses)
        if last or done % settings.sample_every == 0:
            _write_sample(run, trainer, panel, done)
            log.write("sample", done, settings.steps, {})
        if done in snapshot_steps(settings.steps):
            _save_networks(run.folder / "snapshots" / f"step-{done:08d}.npz", _averaged(trainer))
        progress.update(done, " ".join(f"{name} {value:.2f}" for name, value in losses.items() if "gan" in name))
        out_of_time = time.monotonic() - started > 60 * settings.max_minutes
        if not last and (stop.asked or out_of_time or done % settings.checkpoint_every == 0):
            _finite(scalars(result), done)
            save_checkpoint(run.folder, done, {"step": done, **trainer.state()}, settings.keep_checkpoints)
            _stop_here(stop, out_of_time, done, settings)
    seconds = time.monotonic() - started
    log.write("finish", settings.steps, settings.steps, {"seconds": seconds})
    result_folder = _write_result(run, workspace, trainer, log)
    log.close()
    _write_cost(run, workspace, seconds, settings.steps - first)
    clear_checkpoints(run.folder)
    return result_folder


def _resume(run: Run, trainer: Trainer) -> int:
    state = load_newest(run.folder, run.device)
    if state is None:
        shutil.rmtree(run.folder, ignore_errors=True)
        return 0
    trainer.load(state)
    step: int = state["step"]
    print(f"resuming {run.recipe.name} after step {step} of {run.params.train.steps}", file=sys.stderr)
    return step


def _finite(losses: dict[str, float], step: int) -> dict[str, float]:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise ValueError(
                f"training diverged: loss {name} is {value} at step {step}; lower train.learning_rate "
                f"(the last checkpoint before it is kept)"
            )
    return losses


class _StopRequest:
    """Set by SIGTERM or Ctrl-C: the step is finished and saved; a second one ends the process at once."""

    def __init__(self) -> None:
        self.asked: int = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = number


def _stop_here(stop: _StopRequest, out_of_time: bool, step: int, settings: Train) -> None:
    if stop.asked:
        print(f"\nstopped after step {step}; the same command continues from there", file=sys.stderr)
        raise StoppedError(stop.asked)
    if out_of_time:
        raise ValueError(
            f"train.max_minutes ({settings.max_minutes}) were over after step {step} of {settings.steps}; the "
            f"checkpoint is kept: run the same command to continue, or lower train.steps (`atelier calibrate`)"
        )


def _panel(prepared: Path, device: torch.device) -> Tensor:
    entries = read_index(prepared)["test"][:PANEL]
    return torch.stack([load_view(prepared / entry["file"]) for entry in entries]).to(device)


@torch.no_grad()
def _write_sample(run: Run, trainer: Trainer, panel: Tensor, step: int) -> None:
    averaged = trainer.averages["generator"].network
    painted = torch.cat([averaged(photo[None]) for photo in panel])
    picture = grid([[to_image(image.cpu()) for image in row] for row in (panel, painted)])
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=90)
    write_atomic(run.folder / "samples" / f"step-{step:08d}.jpg", data.getvalue())


def snapshot_steps(steps: int) -> list[int]:
    """Return the steps after which the averaged networks are kept; none of a run too short to have any."""
    return sorted({step for share in SNAPSHOTS if 0 < (step := round(share * steps)) < steps})


def _save_networks(path: Path, networks: dict[str, torch.nn.Module]) -> None:
    arrays = {
        f"{name}.{key}": value.cpu().numpy()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    data = io.BytesIO()
    # npz and not safetensors: the training core must run with torch, torchvision, numpy and Pillow alone.
    np.savez(data, allow_pickle=False, **arrays)
    write_atomic(path, data.getvalue())


def _write_result(run: Run, workspace: Workspace, trainer: Trainer, log: RunLog) -> Path:
    config = {
        "format": 1,
        "recipe": run.recipe.name,
        "style": run.recipe.style,
        "warm_start": run.recipe.warm_start,
        "method": run.recipe.method,
        "task": trainer.method.task,
        "network": trainer.method.describe(),
        "view": read_index(workspace.prepared(PHOTOS))["view"],
        "seed": run.params.seed,
        "steps": run.params.train.steps,
        "training": training_params(run.params, run.recipe.method),
        "digests": run.digests,
    }
    with staged_directory(workspace.trained(run.recipe.name)) as folder:
        _save_networks(folder / "networks.npz", {**trainer.method.networks, **_averaged(trainer)})
        write_json(folder / "config.json", config)
        write_atomic(folder / "history.csv", _history_csv(log.history()))
        for kept in ("samples", "snapshots"):
            (run.folder / kept).mkdir(exist_ok=True)  # DVC expects it, however short the run
            shutil.copytree(run.folder / kept, folder / kept)
    return workspace.trained(run.recipe.name)


def _averaged(trainer: Trainer) -> dict[str, torch.nn.Module]:
    return {name: average.network for name, average in trainer.averages.items()}


def _history_csv(history: list[dict[str, Any]]) -> str:
    names = sorted({name for row in history for name in row} - {"step"})
    lines = [",".join(["step", *names])]
    lines += [",".join([str(row["step"]), *(_cell(row.get(name)) for name in names)]) for row in history]
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _write_cost(run: Run, workspace: Workspace, seconds: float, steps: int) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cost = {
        "device": torch.cuda.get_device_name() if run.device.type == "cuda" else "cpu",
        "seconds": round(seconds, 1),
        "steps": steps,
        "seconds_per_step": round(seconds / max(steps, 1), 4),
        "peak_memory_bytes": peak,
        "settings": asdict(run.params.train),
    }
    write_json(workspace.root / "runs" / f"{run.recipe.name}.cost.json", cost)


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
    print(f"trained networks, history and samples are in {folder}")


if __name__ == "__main__":
    run_stage(_command)
