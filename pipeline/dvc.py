"""DVC's command line, with this Python, in a workspace whose locks no killed command has left behind."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types

from pipeline.workspace import Workspace


def dvc(workspace: Workspace, *arguments: str) -> list[str]:
    """Return the command that runs DVC in a workspace, where it can run: see `mend_locks`."""
    mend_locks(workspace)
    return [sys.executable, "-P", "-m", "dvc", *arguments]


def mend_locks(workspace: Workspace) -> bool:
    """Remove DVC's record of who reads and writes what, if nothing that it names can still run.

    DVC writes it in place, so that a killed command may leave it half-written, and refuses each later command when it
    cannot read it. And it takes whatever process has a dead command's number for that command: behind a restart,
    numbers are given anew. Nothing is lost with the record: it only names commands that run. One that is just writing
    it has DVC's own lock on it, and then nothing is done.

    Returns:
        Whether it was removed.
    """
    record = workspace.root / ".dvc" / "tmp" / "rwlock"
    if not _left_behind(record):
        return False
    with record.with_name("rwlock.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if left := _left_behind(record):
            record.unlink()
        return left


def _left_behind(record: Path) -> bool:
    try:
        written, known = record.stat().st_mtime, json.loads(record.read_bytes())
        numbers = set(_numbers(known))
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, KeyError, AttributeError):  # no JSON, or not of this form
        return True
    return bool(numbers) and not any(_may_hold(number, written) for number in numbers)


def _numbers(known: dict[str, Any]) -> Iterator[int]:
    """Yield the processes in a record: `write` has one for a path, `read` a list."""
    for info in known.get("write", {}).values():
        yield int(info["pid"])
    for infos in known.get("read", {}).values():
        yield from (int(info["pid"]) for info in infos)


def _may_hold(number: int, written: float) -> bool:
    """Whether a process may be one that the record named when it was written: it is as old, or runs DVC."""
    try:
        process = psutil.Process(number)
        return process.create_time() <= written or any("dvc" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
