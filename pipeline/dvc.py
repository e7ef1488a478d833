"""DVC's command line, with this Python, in a workspace whose locks no killed command has left broken."""

from __future__ import annotations

import fcntl
import json
import sys

from pipeline.workspace import Workspace


def dvc(workspace: Workspace, *arguments: str) -> list[str]:
    """Return the command that runs DVC in a workspace, where it can run: see `mend_locks`."""
    mend_locks(workspace)
    return [sys.executable, "-P", "-m", "dvc", *arguments]


def mend_locks(workspace: Workspace) -> bool:
    """Remove DVC's record of who reads and writes what, if a killed command has left it half-written.

    DVC writes it in place, and refuses each later command when it cannot read it. Nothing is lost with it: it names
    running commands, and DVC itself forgets those that run no more. A command that is just writing it has DVC's own
    lock on it, and then nothing is done.

    Returns:
        Whether it was removed.
    """
    record = workspace.root / ".dvc" / "tmp" / "rwlock"
    if not record.is_file() or _whole(record.read_bytes()):
        return False
    with record.with_name("rwlock.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not record.is_file() or _whole(record.read_bytes()):
            return False
        record.unlink()
        return True


def _whole(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
