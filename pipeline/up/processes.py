"""Processes that outlive the command that starts them, and are ended without ever touching a stranger's.

A process is known by its number and its start, and whatever it starts by a mark in the environment, which also
finds those that left its process group or outlived it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.services import Service, identity

MARK = "ATELIER_UP"
FLOW_RUN = "PREFECT__FLOW_RUN_ID"  # Prefect puts it into the environment of a flow run's process
_LONGEST_LOG = 10_000_000  # bytes; a longer one is put aside at the next start, and the one before it dropped
_TICK = 0.2  # seconds


def start(
    name: str, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path, address: str = ""
) -> Service:
    """Start a process in a session of its own, its output going to the end of `log`, and return it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.is_file() and log.stat().st_size > _LONGEST_LOG:
        log.replace(log.with_name(f"{log.name}.1"))
    mark = secrets.token_hex(16)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**env, MARK: mark, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _CHILDREN[child.pid] = child
    return Service(name, child.pid, identity(child.pid) or "", mark, address)


# Started by this very process, which has to take note of their end.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def reap() -> None:
    """Take note of children that ended; nobody else can."""
    for pid in [pid for pid, child in _CHILDREN.items() if child.poll() is not None]:
        del _CHILDREN[pid]


def stop(service: Service, patience: float, flows_too: bool = True) -> bool:
    """End a service and all that it started; return whether there was anything to end.

    Asked first, with SIGTERM; what is left after `patience` seconds is killed.

    Args:
        service: as recorded; if its process is another by now, that is left alone.
        patience: seconds.
        flows_too: whether flow runs end too that have outlived the process that serves them.
    """
    if service.pid == 0:
        return False
    asked = service.alive
    if asked:
        _signal(service, signal.SIGTERM)
        wait(lambda: not service.alive, patience)
    left = list(members(service.mark, flows_too))
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        for pid in members(service.mark, flows_too):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        wait(lambda: not any(members(service.mark, flows_too)), seconds)
    reap()
    return asked or bool(left)


def ask(service: Service, number: signal.Signals) -> None:
    """Send a signal to a service's own process, if it is still that process."""
    _signal(service, number)


def members(mark: str, flows_too: bool = True) -> Iterator[int]:
    """Yield the processes of this user whose environment bears a mark."""
    if not mark:
        return
    for pid, environment in _environments():
        if f"{MARK}={mark}".encode() in environment and (
            flows_too or not any(entry.startswith(f"{FLOW_RUN}=".encode()) for entry in environment)
        ):
            yield pid


def environment(service: Service) -> dict[str, str] | None:
    """Return the environment that a service was started with, or None where it cannot be seen."""
    if not service.pid or not service.alive:
        return None
    try:
        entries = Path(f"/proc/{service.pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or another user's
        return None
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries if entry)
    return {name: text for name, _, text in pairs}


def flow_runs() -> set[str]:
    """Return the ids of the flow runs that have a process on this machine."""
    prefix = f"{FLOW_RUN}=".encode()
    return {
        entry.removeprefix(prefix).decode(errors="replace")
        for _, environment in _environments()
        for entry in environment
        if entry.startswith(prefix)
    }


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid == os.getpid():
            continue
        try:
            entries = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or another user's
            continue
        if identity(pid) is not None:
            yield pid, entries


def _signal(service: Service, number: signal.Signals) -> None:
    """Signal a process that cannot be exchanged for another between looking and signalling."""
    try:
        handle = os.pidfd_open(service.pid)
    except OSError:
        return
    try:
        if identity(service.pid) == service.identity:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def wait(done: Callable[[], bool], seconds: float) -> bool:
    """Return whether `done` came true within some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        reap()
        if done():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
