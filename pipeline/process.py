"""What a long-running stage owes the operating system: die with its parent, and never run twice at once."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends: an orphaned trainer must not write on."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold an operating system lock on `path` during the block; it ends with the process, however it ends.

    Raises:
        ValueError: another process holds it; the message names that process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise ValueError(f"{what} is already running (process {holder}); wait for it, or stop it") from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
