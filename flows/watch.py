"""The inbox sensor: looks, waits until what landed lies still, and retrains. `python -m flows.watch`."""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, because it reads its settings then
    from flows.command import watch_command
    from pipeline.entry import run_stage

    run_stage(watch_command)

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from prefect import flow

from flows.retrain import retrain
from flows.show import say
from pipeline.files import read_json, write_json
from pipeline.intake.drops import find_drops
from pipeline.params import load_params
from pipeline.workspace import Workspace, find_workspace

ATTEMPTS = 5  # at one and the same content
_LONGEST_WAIT = 3600.0  # seconds between attempts


@dataclass(frozen=True)
class Memory:
    """What the sensor has dealt with: `var/watch.json`."""

    seen: tuple[str, ...] = ()  # entries of the fingerprint that a retrain took
    failed: tuple[str, ...] = ()  # entries at which the last attempts failed
    attempts: int = 0
    retry_at: float = 0.0  # seconds since 1970


@flow(name="watch", persist_result=False)
def watch() -> bool:
    """Look at the inbox once; retrain if something new lies still in it. Return whether a retrain ran."""
    return look(find_workspace(Path.cwd()), _retrain)


def look(workspace: Workspace, work: Callable[[], bool], now: float | None = None) -> bool:
    """Look once, and call `work` when there is something new; return whether it was called.

    What was seen is noted only after `work` returned that it succeeded, so a sensor that is killed misses nothing;
    what lands meanwhile was not seen, and is taken the next time. A failure is tried again, ever later.
    """
    now = time.time() if now is None else now
    memory = _load(workspace)
    entries = fingerprint(workspace)
    again = memory.attempts > 0 and set(entries) <= set(memory.failed)
    if again and (memory.attempts >= ATTEMPTS or now < memory.retry_at):
        return False
    if not again and (not set(entries) - set(memory.seen) or not _still(entries, workspace, now)):
        return False
    attempts = memory.attempts + 1 if again else 1
    wait = min(_LONGEST_WAIT, 30.0 * 2**attempts)
    # Noted before: if the work kills this process, that was an attempt too.
    tried = entries if not again else memory.failed
    _save(workspace, Memory(memory.seen, tuple(tried), attempts, now + wait))
    if work():
        _save(workspace, Memory(seen=tuple(entries)))
    return True


def fingerprint(workspace: Workspace) -> list[str]:
    """Return one entry `path:size:mtime_ns` a file in the inbox, sorted."""
    entries = []
    for drop in find_drops(workspace.inbox) if workspace.inbox.is_dir() else ():
        try:
            seen = drop.path.lstat()
        except FileNotFoundError:
            continue  # gone between listing and looking
        name = drop.path.relative_to(workspace.inbox).as_posix().encode(errors="surrogateescape")
        entries.append(f"{name.decode(errors='backslashreplace')}:{seen.st_size}:{seen.st_mtime_ns}")
    return sorted(entries)


def watch_forever(workspace: Workspace) -> None:
    """Look every `retrain.poll_seconds` until stopped."""
    print(f"watching {workspace.inbox}; stop with Ctrl-C", flush=True)
    while True:
        params = load_params(workspace.params_file)
        look(workspace, _retrain)
        time.sleep(params.retrain.poll_seconds)


def _retrain() -> bool:
    """Retrain; return whether all went well. A refusal is said, and is no end of the watch."""
    try:
        state = retrain(return_state=True)
    except Exception as error:
        say(f"watch: the retrain failed: {error}")
        return False
    return bool(state.is_completed())


def _still(entries: list[str], workspace: Workspace, now: float) -> bool:
    quiet = load_params(workspace.params_file).ingest.quiet_seconds
    newest = max(int(entry.rpartition(":")[2]) for entry in entries) / 1e9
    return now - newest >= quiet


def _load(workspace: Workspace) -> Memory:
    path = workspace.var / "watch.json"
    if not path.is_file():
        return Memory()
    stored = read_json(path)
    return Memory(tuple(stored["seen"]), tuple(stored["failed"]), stored["attempts"], stored["retry_at"])


def _save(workspace: Workspace, memory: Memory) -> None:
    write_json(workspace.var / "watch.json", asdict(memory))
