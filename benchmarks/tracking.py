"""Does MLflow cost the training anything? Alone, and followed into a store that is well, slow, dead, or back again.

    python -m benchmarks.tracking

Trains the same small recipe again and again, in turns, while `tracking.following` feeds a store as a flow does. After
each training the store must hold every metric once, whatever was wrong with it before. Writes
benchmarks/results/tracking.md.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.workspaces import prepared, write_recipes
from pipeline import tracking
from pipeline.files import read_json, write_atomic
from pipeline.sample_data import write_samples
from pipeline.workspace import Workspace
from scripts.test_full import commit

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "tracking.md"
STYLE = "ink"
_EVERY = 0.5  # seconds between two feedings: ten times as often as a flow feeds
_HELD, _FREE = 2.0, 0.2  # seconds for which a slow store is locked, and then open


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    logging.getLogger(tracking.__name__).setLevel(logging.ERROR)  # its warnings of a dead store are the point
    with tempfile.TemporaryDirectory() as scratch:
        model = _workspace(Path(scratch) / "model", given.steps)
        seconds: dict[str, list[float]] = {name: [] for name in STORES}
        for turn in range(given.rounds):
            for name, ailing in STORES.items():
                # Each training has a workspace, and so a store, of its own: MLflow keeps open what it once opened.
                root = Path(scratch) / f"{turn} {name}"
                workspace = Workspace(shutil.copytree(model.root, root, symlinks=True))
                seconds[name].append(_trained(workspace, ailing))
                _must_hold_every_step_once(workspace, name)
    write_atomic(RESULT, _table(seconds, given.steps))
    print(f"result: {RESULT}")


def _workspace(root: Path, steps: int) -> Workspace:
    """Return a workspace with a small recipe, ready to be trained, in which every step is logged."""
    changes = {"steps": steps, "log_every": 1, "threads": 1, "watch_every": steps, "sample_every": steps}
    small = {"generator": {"channels": 8, "blocks": 1}, "discriminator": {"channels": 8}, "warmup_steps": 2}
    samples = write_samples(root / "samples", photos=24, artworks=12, side=160, styles=[STYLE])
    workspace = prepared(
        root, samples.photos, samples.styles[STYLE], STYLE, {"train": changes, "cut": small, "judge": {"steps": 2}}
    )
    write_recipes(workspace, STYLE, {STYLE: {}})
    return workspace


def _trained(workspace: Workspace, ailing: Callable[[Workspace], AbstractContextManager[None]] | None) -> float:
    """Train once, followed into a store that is `ailing` (None: nobody follows), and return the seconds of a step."""
    command = [sys.executable, "-P", "-m", "pipeline.train", STYLE]
    following = tracking.following(workspace, STYLE, {}, every=_EVERY) if ailing else contextlib.nullcontext()
    with following, ailing(workspace) if ailing else contextlib.nullcontext():
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=workspace.root, env=environment, check=True, capture_output=True)
    return float(read_json(workspace.root / "runs" / f"{STYLE}.cost.json")["seconds_per_step"])


def _must_hold_every_step_once(workspace: Workspace, name: str) -> None:
    """Feed what is left, now that the store is well.

    Raises:
        RuntimeError: a step is missing, or there twice.
    """
    tracking.feed(workspace, STYLE)
    log = tracking.training_log(workspace, STYLE)
    assert log is not None
    store = tracking.client(workspace)
    run = tracking.run_of(workspace, STYLE, log.key)
    arrived = [metric.step for metric in store.get_metric_history(run, "discriminator/gan")]
    expected = [event.step for event in log.events()[0] if "discriminator/gan" in event.values]
    if sorted(arrived) != expected:
        raise RuntimeError(f"store {name}: {len(arrived)} of {len(expected)} steps arrived, or some twice")


@contextlib.contextmanager
def _well(workspace: Workspace) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _slow(workspace: Workspace) -> Iterator[None]:
    """Somebody else holds the database most of the time, so that every call waits."""
    tracking.client(workspace)
    stop = threading.Event()

    def hold() -> None:
        other = sqlite3.connect(workspace.var / "mlflow.db", isolation_level=None, timeout=60)
        while not stop.is_set():
            other.execute("BEGIN EXCLUSIVE")
            stop.wait(_HELD)
            other.execute("COMMIT")
            time.sleep(_FREE)
        other.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _dead(workspace: Workspace) -> Iterator[None]:
    """There is no database that can be opened, from before the training to its end."""
    in_its_place = workspace.var / "mlflow.db"
    in_its_place.mkdir(parents=True)
    try:
        yield
    finally:
        in_its_place.rmdir()


@contextlib.contextmanager
def _back(workspace: Workspace) -> Iterator[None]:
    """Dead at first, and back after some seconds of the training."""
    in_its_place = workspace.var / "mlflow.db"
    in_its_place.mkdir(parents=True)
    mended = threading.Timer(5, in_its_place.rmdir)
    mended.start()
    try:
        yield
    finally:
        mended.join()


STORES: Mapping[str, Callable[[Workspace], AbstractContextManager[None]] | None] = {
    "nobody follows": None,
    "well": _well,
    "slow": _slow,
    "dead": _dead,
    "dead, then back": _back,
}


def _table(seconds: Mapping[str, list[float]], steps: int) -> str:
    alone = statistics.median(seconds["nobody follows"])
    lines = [
        "# MLflow and the speed of training",
        "",
        f"Made by `python -m benchmarks.tracking`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}; "
        f"{os.cpu_count()} {platform.machine()} cores, Python {platform.python_version()}; {steps} steps, every one "
        f"logged, fed every {_EVERY:g} s. After each training the store held every step once.",
        "",
        "| store | ms a step, median (range) | to nobody following |",
        "|---|---|---|",
    ]
    for name, found in seconds.items():
        middle = statistics.median(found)
        spread = f"{1000 * middle:.0f} ({1000 * min(found):.0f} to {1000 * max(found):.0f})"
        lines.append(f"| {name} | {spread} | {middle / alone:.2f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
