"""A watchdog for a run that neither fails nor goes on: a hanging driver, a disk that does not answer, a deadlock."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from pathlib import Path
from typing import Self, TextIO

STALLED_AGAIN = 75  # EX_TEMPFAIL: another try, later or elsewhere, may succeed
_MARK = "ATELIER_STALLED_AT"  # how the process tells the one that takes its place where it stalled
_TICKS = 10  # looks in the time that is allowed


class Watchdog:
    """Replaces the process by a fresh one of the same command when no step was finished for too long.

    The fresh one resumes from the newest checkpoint. If it stalls before it came further, it ends with status 75.

    It counts its own ticks and not the clock: a process that was suspended did not stall. The net below it does go
    by the clock: a process that was suspended for twice the time is ended.
    """

    def __init__(self, minutes: float, folder: Path) -> None:
        """Watch during the block; when it stalls, the stacks of all threads go to stderr and to `folder`."""
        self._tick = 60 * minutes / _TICKS
        self._folder = folder
        self._step = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def beat(self, step: int) -> None:
        """Tell that `step` steps are done."""
        self._step = step

    def _watch(self) -> None:
        seen, idle = self._step, 0
        while idle < _TICKS:
            # The net below: while the interpreter's lock is held this thread cannot run, and C code ends the process.
            faulthandler.dump_traceback_later(2 * _TICKS * self._tick, exit=True, file=_stderr())
            if self._ended.wait(self._tick):
                return
            seen, idle = (self._step, 0) if self._step != seen else (seen, idle + 1)
        self._replace(seen)

    def _replace(self, step: int) -> None:
        minutes = f"{_TICKS * self._tick / 60:g} minutes"
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"stall-{step:08d}.txt"
        with path.open("w") as stream:
            faulthandler.dump_traceback(stream)
        faulthandler.dump_traceback(_stderr())
        # One of several processes cannot begin anew by itself: its launcher ends, or restarts, all of them.
        if int(os.environ.get(_MARK, -1)) >= step or "TORCHELASTIC_RUN_ID" in os.environ:
            _say(
                f"error: nothing happened for {minutes} after step {step} (train.stall_minutes); the stacks are in "
                f"{path}. The checkpoint is kept: the same command goes on from there"
            )
            os._exit(STALLED_AGAIN)
        _say(f"warning: nothing happened for {minutes} after step {step}; the process starts itself again")
        os.execve(sys.executable, sys.orig_argv, {**os.environ, _MARK: str(step)})


def _say(line: str) -> None:
    print(f"\n{line}", file=_stderr(), flush=True)


def _stderr() -> TextIO:
    assert sys.__stderr__ is not None, "a training has a stderr, and sys.stderr may be a test's without a file"
    return sys.__stderr__
