"""`python -m tests.pipeline.kill_training ROOT`: a training killed before each of its changes of a file, and resumed.

ROOT holds a workspace `template`. Every attempt runs in a fork of this process, which has imported everything and
computed nothing, in a copy of the template. For each a JSON line tells: the operation before which it was killed, the
step of the newest checkpoint that was left, and whether the training that was started then ended in the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.checkpoints import load_newest
from pipeline.train import main
from pipeline.workspace import Workspace

FILES = ("networks.npz", "best.npz", "config.json", "course.json", "history.csv")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}


def attempts(root: Path) -> None:
    """Print a line for each change of a file in an undisturbed training."""
    torch.set_num_threads(1)
    whole = _copy(root, "whole")
    record = root / "operations"
    _fork(lambda: _train(whole, 0, record))
    operations = record.read_text().splitlines()
    expected = [(whole.trained("dots") / name).read_bytes() for name in FILES]
    for number, operation in enumerate(operations, start=1):
        saves = ".ckpt" in operation or (operation.startswith("fsync") and "." not in Path(operation).name)
        if not saves and number % 6:  # of what is no part of a save, a few are enough
            continue
        place = _copy(root, f"at-{number}")
        killed = _fork(lambda place=place, number=number: _train(place, number)) == signal.SIGKILL
        folders = [path for path in place.checkpoints("dots").glob("*") if path.is_dir()]
        with contextlib.redirect_stderr(None):
            newest = load_newest(folders[0], torch.device("cpu")) if folders else None
        ended = _fork(lambda place=place: _train(place, 0))
        same = ended == 0 and [(place.trained("dots") / name).read_bytes() for name in FILES] == expected
        left = [path.name for path in place.root.rglob("*.tmp")] if same else []
        step = newest["step"] if newest else None
        print(json.dumps({"operation": operation, "killed": killed, "newest": step, "same": same, "left": left}))
        shutil.rmtree(place.root)


def _copy(root: Path, name: str) -> Workspace:
    return Workspace(Path(shutil.copytree(root / "template", root / name, symlinks=True)))


def _fork(work: Callable[[], None]) -> int:
    """Return 0, the number of the signal that ended the child, or 256 if it failed."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status


def _train(place: Workspace, kill_at: int, record: Path | None = None) -> None:
    """Train, killed before change number `kill_at`; with 0 to the end. `record` gets a line for each change."""
    changes: list[str] = []

    def change(what: str) -> None:
        changes.append(what)
        if len(changes) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if (event in _CHANGES or opened) and str(place.root) in str(arguments[0]):
            change(f"{event} {Path(str(arguments[0])).relative_to(place.root)}")

    fsync = os.fsync

    def synced(handle: int) -> None:
        change(f"fsync {Path(f'/proc/self/fd/{handle}').readlink()}")
        fsync(handle)

    os.fsync = synced
    sys.addaudithook(watch)
    main("dots", place)
    if record:
        record.write_text("\n".join(changes[:]))


if __name__ == "__main__":
    attempts(Path(sys.argv[1]))
