"""Child processes that never outlive their parent: a supervisor per child, a process group, one deadline.

A plain child of a cancelled or killed flow would go on training, and write over what the next run makes. So the
command runs under a small supervisor that Linux wakes when the parent dies, however it dies, and that then kills
the command and everything the command started.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_TICK = 1.0  # seconds between calls of `on_tick`

# Runs with -I -S (about 20 ms): no site-packages, nothing of ours. Its parent's death is a SIGTERM to it.
_SUPERVISOR = """\
import ctypes, os, signal, subprocess, sys
def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGKILL)
signal.signal(signal.SIGTERM, end)
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    end()
child = subprocess.Popen(sys.argv[2:])
code = child.wait()
sys.exit(code if code >= 0 else 128 - code)
"""


class Deadline:
    """When a child has had its time; a caller that sees progress may give it more."""

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Give the child `seconds` from now."""
        self.end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.end - time.monotonic()


class DeadlineError(Exception):
    """The child had not ended by its deadline, and was killed."""


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    deadline: Deadline,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None] = lambda: None,
) -> int:
    """Run a command to its end and return its exit status (128 + n when signal n ended it).

    When this function ends, by whatever exception or interrupt, nothing that the command started is left; the same
    when this process is killed.

    Args:
        command: program and arguments.
        cwd: working folder.
        env: whole environment.
        deadline: when to give up.
        on_line: called with each line of output (stdout and stderr, split at line feeds and carriage returns).
        on_tick: called about every second.

    Raises:
        DeadlineError: see `deadline`.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _SUPERVISOR, str(os.getpid()), *command],
        cwd=cwd,
        env={**env, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _stream(child, deadline, on_line, on_tick)
        return child.wait(timeout=max(deadline.left, 1.0))
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"no end after {deadline.seconds:g} s") from error
    finally:
        _kill_group(child)


def _stream(
    child: subprocess.Popen[bytes],
    deadline: Deadline,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
) -> None:
    """Pass on the child's output until it has ended."""
    assert child.stdout is not None
    pending, last_tick = b"", time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            ready = selector.select(timeout=min(_TICK, max(deadline.left, 0.01)))
            data = os.read(child.stdout.fileno(), 1 << 16) if ready else b""
            *lines, pending = (pending + data).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                if line.strip():
                    on_line(line.decode(errors="replace").rstrip())
            if time.monotonic() - last_tick >= _TICK:
                last_tick = time.monotonic()
                on_tick()
            # The pipe stays open as long as a forgotten grandchild holds it, so the child's own end counts too.
            if (ready and not data) or (not ready and child.poll() is not None):
                break
            if deadline.left <= 0:
                raise DeadlineError(f"no end after {deadline.seconds:g} s")
    if pending.strip():
        on_line(pending.decode(errors="replace").rstrip())


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()
