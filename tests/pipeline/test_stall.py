"""A run that hangs: its stacks are kept, it starts itself again once, and it never hangs for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.stall import STALLED_AGAIN
from pipeline.workspace import Workspace
from tests.pipeline.training import ROOT, tiny_workspace

_RUN = """
import ctypes, os, sys, threading, time
from pathlib import Path
from pipeline.stall import Watchdog

folder, how = Path(sys.argv[1]), sys.argv[2]
again = "ATELIER_STALLED_AT" in os.environ
print("start", flush=True)

def a_place_to_hang() -> None:
    if how == "locked":
        ctypes.PyDLL(None).sleep(1000)  # with the interpreter's lock held
    threading.Event().wait()

with Watchdog(0.02 if how == "slow" else 0.01, folder) as watchdog:
    for step in range(1, 9):
        if how in ("twice", "locked") and step == 3 or how == "once" and step == 3 and not again:
            a_place_to_hang()
        if how == "later" and step == 3 + 2 * again:
            a_place_to_hang()
        watchdog.beat(step)
        time.sleep(0.02 if how != "slow" else 0.3)
print("done", flush=True)
"""


def _start(folder: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _RUN, str(folder), how]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_that_hangs_once_starts_itself_again_and_its_stacks_are_kept(tmp_path: Path) -> None:
    child = _start(tmp_path, "once")
    out, errors = child.communicate(timeout=60)
    assert (child.returncode, out.split()) == (0, ["start", "start", "done"])
    assert "after step 2" in errors
    for text in (errors, (tmp_path / "stall-00000002.txt").read_text()):
        assert "a_place_to_hang" in text


def test_a_run_that_hangs_at_the_same_place_again_ends(tmp_path: Path) -> None:
    child = _start(tmp_path, "twice")
    out, errors = child.communicate(timeout=60)
    assert (child.returncode, out.split()) == (STALLED_AGAIN, ["start", "start"])
    assert "The checkpoint is kept" in errors.splitlines()[-1]


def test_a_run_that_came_further_before_it_hung_may_try_again(tmp_path: Path) -> None:
    """It hangs behind step 2, then for ever behind step 4: three starts."""
    child = _start(tmp_path, "later")
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out.split()) == (STALLED_AGAIN, ["start"] * 3)


def test_code_that_holds_the_interpreters_lock_is_ended_too(tmp_path: Path) -> None:
    child = _start(tmp_path, "locked")
    out, errors = child.communicate(timeout=60)
    assert (child.returncode, out.split()) == (1, ["start"])
    assert "a_place_to_hang" in errors


def test_slow_steps_and_a_suspended_process_are_no_stall(tmp_path: Path) -> None:
    child = _start(tmp_path, "slow")
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGSTOP)
    time.sleep(1.5)  # more than is allowed between steps
    child.send_signal(signal.SIGCONT)
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out.split()) == (0, ["done"])


_TRAIN = """
import os, sys, threading
from pathlib import Path
import torch
from pipeline.train import main
from pipeline.trainer import Trainer
from pipeline.workspace import Workspace

torch.set_num_threads(1)
step_of_trainer = Trainer.step

def step(self, batch, number, draw):
    if number == 4 and "ATELIER_STALLED_AT" not in os.environ:
        threading.Event().wait()
    return step_of_trainer(self, batch, number, draw)

Trainer.step = step
main("dots", Workspace(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_training_that_hangs_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    from pipeline.train import main

    roots = [tmp_path / name for name in ("whole", "hung")]
    for root in roots:
        root.mkdir()
        tiny_workspace(root, train={"stall_minutes": 0.1})
    command = [sys.executable, "-c", _TRAIN, str(roots[1])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "resuming dots after step 3" in done.stderr
    undisturbed = main("dots", Workspace(roots[0]))
    for name in ("networks.npz", "history.csv", "config.json"):
        assert (roots[1] / "runs" / "dots" / name).read_bytes() == (undisturbed / name).read_bytes(), name
