"""A sensor that kills itself at its Nth change of a file.

It really ingests; what it builds is a list of the artworks that there are, so that hundreds of kills take minutes.
Its clock is a count in a file that goes on, so that no time passes in between. It ends when three looks found nothing
to do. At N = 0 nothing is killed, and the number of changes is printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from pipeline.clock import Moment
from pipeline.files import write_atomic
from pipeline.ingest import ingest_inbox
from pipeline.intake import inbox
from pipeline.manifest import read_manifest
from pipeline.process import exclusive
from pipeline.sensor import Outcome, look
from pipeline.workspace import Workspace
from tests.pipeline.pictures import small_params

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "shutil.rmtree", "subprocess.Popen"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STEP = 700.0  # seconds that pass between two looks: more than quiet time and back-off


class Clock:
    """Seconds that go on from one process to the next."""

    def __init__(self, root: Path) -> None:
        self._path = root.parent / "clock"

    def __call__(self) -> Moment:
        seconds = float(self._path.read_text()) if self._path.exists() else 0.0
        return Moment(1.8e9 + seconds, seconds, "boot")

    def go_on(self) -> None:
        seconds = self().steady + _STEP
        self._path.write_text(str(seconds))


def build(workspace: Workspace) -> Outcome:
    """Ingest and build as a retrain does, and note each version: the artworks it was made from, if these are new."""
    with exclusive(workspace.var / "retrain.lock", "a retrain"):
        before = inbox.begin(workspace)
        results = ingest_inbox(workspace, small_params(quiet_seconds=0.0, executor="inline"), tracked=False).values()
        inbox.commit(workspace, before, {name for result in results for name in result.left_names})
        artworks = sorted(entry.sha256 for entry in read_manifest(workspace.collection("ink")))
        versions = workspace.var / "versions.jsonl"
        known = versions.read_text() if versions.exists() else ""
        if artworks and json.dumps(artworks) not in known.splitlines():
            write_atomic(versions, known + json.dumps(artworks) + "\n")
        inbox.built(workspace)
    return Outcome()


def main(root: Path, kill_at: int) -> None:
    """Look until nothing is left to do, and be killed at change number `kill_at`."""
    workspace, clock, changes, idle = Workspace(root), Clock(root), 0, 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal changes
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if (event in _CHANGES or opened) and any(str(root) in str(each) for each in arguments[:2]):
            changes += 1
            if changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    deadline = time.monotonic() + 120
    while idle < 3:
        assert time.monotonic() < deadline, "it finds always something to do"
        idle = 0 if look(workspace, lambda: build(workspace), clock) else idle + 1
        clock.go_on()
    print(changes)
