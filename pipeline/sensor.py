"""The inbox sensor's decisions: what lies still and is new, what is owed, when to try again. It starts nothing.

Two records make a sensor that may be killed at any moment neither miss nor double. `var/inbox.json` tells what an
ingest that returned has dealt with, and whether what it took in is still to be built; only a retrain writes it.
`var/watch.json` tells what the sensor began and what has not come through; only the sensor writes it, and before it
begins. What is begun twice finds nothing to do: the ingest, DVC and the registry know what they have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.clock import Clock, Moment, elapsed, now
from pipeline.files import read_json, write_json
from pipeline.intake import inbox
from pipeline.params import Params, Watch, load_params
from pipeline.process import AlreadyRunningError, exclusive, held
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Owed:
    """A retrain that was begun and has not come through.

    recipes: those that failed, if it came to its end. entries: what lay still when it was begun, of the inbox that is
    not dealt with. attempts: so far; at: of the last one; wait: seconds until the next.
    """

    recipes: tuple[str, ...]
    entries: tuple[str, ...]
    attempts: int
    at: Moment
    wait: float

    def ripe(self, here: Moment, limit: int) -> bool:
        """Return whether it is to be tried now; never once it was tried `limit` times."""
        return self.attempts < limit and elapsed(self.at, here) >= self.wait


@dataclass(frozen=True)
class Memory:
    """What the sensor remembers: when it first saw each new file as it is now, and what is owed."""

    first: Mapping[str, Moment] = field(default_factory=dict)
    owed: Owed | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a retrain: `deferred` if another one runs, else the recipes that failed, or that it all did."""

    deferred: bool = False
    failed: tuple[str, ...] = ()
    broke: bool = False  # it did not come to an end; which part of it did is not known


Work = Callable[[], Outcome]  # a retrain of all that is due


def look(workspace: Workspace, work: Work, clock: Clock = now) -> bool:
    """Look once, and call `work` when there is something to do; return whether it was called, and not deferred.

    A file is new until an ingest that returned has dealt with it, and still when it was seen unchanged for
    `ingest.quiet_seconds`: each by itself, so that one that never lies still holds up no other. What another sensor
    looks at is left to it.

    Raises:
        ValueError: the parameters are wrong.
    """
    params = load_params(workspace.params_file)
    try:
        with exclusive(workspace.var / "locks" / "watch.lock", "a sensor"):
            return _look(workspace, params, work, clock)
    except AlreadyRunningError:
        return False


def memory_of(workspace: Workspace) -> Memory:
    """Return what the sensor remembers; nothing before its first look, or if the record is damaged."""
    path = _record(workspace)
    try:
        return _memory(read_json(path)) if path.is_file() else Memory()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Memory()  # then what lies in the inbox is new once more, which costs a look and no more


def _look(workspace: Workspace, params: Params, work: Work, clock: Clock) -> bool:
    here, memory = clock(), memory_of(workspace)
    known, there = inbox.ledger(workspace), inbox.fingerprint(inbox.survey(workspace.inbox).folders)
    fresh = sorted(set(there) - known.taken)
    first = {entry: _first_seen(memory, entry, here) for entry in fresh}
    still = tuple(entry for entry in fresh if elapsed(first[entry], here) >= params.ingest.quiet_seconds)
    pending = known.pending and not held(workspace.var / "retrain.lock")  # else the one that runs is at it
    task = _task(memory.owed, still, pending, here, params.watch)
    if task is None:
        _save(workspace, memory, Memory(first, memory.owed))
        return False
    # Noted before: if the work kills this process, that was an attempt too, and what it had taken in is still owed.
    begun = replace(task, attempts=task.attempts + 1, at=here, wait=_wait(task.attempts + 1, params.watch))
    _save(workspace, memory, Memory(first, begun))
    outcome = work()
    after = Memory(first, _left_over(task, replace(begun, at=clock()), outcome, params.watch))
    _save(workspace, Memory(first, begun), after)
    return not outcome.deferred


def _first_seen(memory: Memory, entry: str, here: Moment) -> Moment:
    seen = memory.first.get(entry)
    # After a restart of the machine nobody knows for how long it was off: it is watched anew.
    return seen if seen is not None and seen.boot == here.boot else here


def _task(owed: Owed | None, still: tuple[str, ...], pending: bool, here: Moment, settings: Watch) -> Owed | None:
    """Return what is to be done now, with the attempts at it so far, or None."""
    if still and (owed is None or not set(still) <= set(owed.entries)):
        # Something new is a new reason; what failed before is tried along with it.
        return Owed((), still, 0, here, 0.0)
    if owed is None and pending:  # a retrain of somebody else's took something in, and did not build all that is due
        return Owed((), (), 0, here, 0.0)
    if owed is not None and owed.ripe(here, settings.attempts):
        return replace(owed, entries=tuple(sorted({*owed.entries, *still})))
    return None


def _left_over(task: Owed, begun: Owed, outcome: Outcome, settings: Watch) -> Owed | None:
    """Return what is still owed after the work."""
    if outcome.deferred:  # another one runs: no attempt, and when it ends, we see whether it left anything
        return replace(begun, attempts=task.attempts, wait=0.0)
    if outcome.broke:
        return begun
    if not outcome.failed:
        return None
    # The ingest returned: from here on it is recipes that are tried again, and their attempts begin with this one.
    same = set(outcome.failed) <= set(task.recipes)
    attempts = begun.attempts if same else 1
    return replace(begun, recipes=outcome.failed, entries=(), attempts=attempts, wait=_wait(attempts, settings))


def _wait(attempts: int, settings: Watch) -> float:
    # At 2 ** 60 no limit is left that it could stay below, and no float overflows.
    return min(settings.longest_retry_seconds, settings.retry_seconds * 2.0 ** min(attempts - 1, 60))


def _record(workspace: Workspace) -> Path:
    return workspace.var / "watch.json"


def _save(workspace: Workspace, before: Memory, after: Memory) -> None:
    if after == before and _record(workspace).is_file():
        return  # most looks find nothing, and need not wake a disk
    owed = after.owed
    record: dict[str, Any] = {
        "first": {entry: moment.to_dict() for entry, moment in after.first.items()},
        "owed": None
        if owed is None
        else {
            "recipes": owed.recipes,
            "entries": owed.entries,
            "attempts": owed.attempts,
            "at": owed.at.to_dict(),
            "wait": owed.wait,
        },
    }
    write_json(_record(workspace), record)


def _memory(record: Mapping[str, Any]) -> Memory:
    first = {entry: Moment.of(moment) for entry, moment in record["first"].items()}
    owed = record["owed"]
    if owed is None:
        return Memory(first)
    return Memory(
        first,
        Owed(
            tuple(owed["recipes"]),
            tuple(owed["entries"]),
            int(owed["attempts"]),
            Moment.of(owed["at"]),
            float(owed["wait"]),
        ),
    )
