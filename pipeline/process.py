"""What a long-running stage owes the operating system: die with its parent, stop when asked, never run twice."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self

_PR_SET_PDEATHSIG = 1
_LOCKS = Path("/proc/locks")


class AlreadyRunningError(ValueError):
    """Another process holds a lock; the message says which."""


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends: an orphaned trainer must not write on."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold an operating system lock on `path` during the block; it ends with the process, however it ends.

    Raises:
        AlreadyRunningError: another process holds it; the message names that process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            why = f"{what} is already running (process {holder}); wait for it, or stop it"
            raise AlreadyRunningError(why) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def held(path: Path) -> bool:
    """Return whether a process holds the lock on `path`; looking does not stand in its way, as trying would."""
    try:
        inode, locks = path.stat().st_ino, _LOCKS.read_text().splitlines()
    except OSError:
        return False
    return any(f":{inode} " in line and " FLOCK " in line for line in locks)


class StopRequest:
    """Set by SIGTERM or Ctrl-C during the block: work is ended in order. A second one ends the process at once."""

    def __init__(self) -> None:
        """Ask for nothing yet."""
        self.asked: int = 0
        """The number of the signal; 0 while there was none."""

    def __enter__(self) -> Self:
        """Take the signals over; only the main thread may."""
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = number
