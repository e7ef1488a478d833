"""A model's story: trainings, verdicts, promotions, holds, rollbacks and deletions; when, by whom and why."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.registry import journal, record, store
from pipeline.registry.journal import Operation
from pipeline.registry.names import RegistryError
from pipeline.registry.read import aliases_of
from pipeline.tracking import client, trainings
from pipeline.workspace import Workspace

_PASSED_OVER = ("rebuild",)


@dataclass(frozen=True)
class Event:
    """One thing that happened to a model."""

    time: str  # ISO-8601 UTC
    what: str
    """`trained`, `registered`, `accepted`, `refused`, `promoted`, `approved`, `rolled back`, `held`, `deleted` or
    `restored`; with `, not done` behind it if it was abandoned."""
    version: int | None
    by: str  # empty where it was nobody's decision
    why: str


@dataclass(frozen=True)
class Story:
    """Everything that `atelier history` tells of a model."""

    name: str
    aliases: Mapping[str, int]
    events: tuple[Event, ...]  # oldest first

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"name": self.name, "aliases": dict(self.aliases), "events": [asdict(event) for event in self.events]}


def history(workspace: Workspace, name: str) -> Story:
    """Return a model's story. The journal tells it; MLflow, if it can, adds trainings and versions from before.

    Raises:
        RegistryError: nothing is known of such a model.
    """
    told = [operation for operation in journal.operations(workspace) if operation.name == name]
    events = [event for operation in told for event in _events(operation)]
    if store.has_registry(workspace) and store.lost(workspace) is None:
        recorded = {operation.version for operation in told if operation.action in ("register", "restore")}
        events += [*_trainings(workspace, name), *_versions_of_old(workspace, name, recorded)]
    if not events:
        known = ", ".join(sorted(record.read(workspace).names)) or "none yet"
        raise RegistryError(f"nothing is known of a model named {name!r}; known: {known}")
    return Story(name, aliases_of(workspace, name), tuple(sorted(events, key=lambda event: event.time)))


def _events(operation: Operation) -> Iterator[Event]:
    entry, by = operation.entry, str(operation.entry.get("by", ""))
    why = str(entry.get("reason", ""))
    undone = f"not done: {entry['why']}" if operation.phase == journal.ABANDONED and "why" in entry else ""
    suffix = ", not done" if operation.phase == journal.ABANDONED else ", not finished" if operation.open else ""

    def event(what: str, said: str, who: str = by) -> Event:
        return Event(operation.time, what + suffix, operation.version, who, "; ".join(filter(None, (said, undone))))

    if operation.action == "register":
        tags: Mapping[str, str] = entry.get("tags", {})
        commit = f"from commit {tags['git_commit'][:12]}" if tags.get("git_commit", "none") != "none" else ""
        package = str(entry.get("package", "unknown"))[:12]
        yield event("registered", "; ".join(filter(None, (f"package {package}", commit))))
        if "verdict" in tags and not suffix:
            yield event(tags["verdict"], tags.get("verdict_sentence", ""), "gate")
    elif operation.action == "judge":
        yield event(str(entry.get("verdict", "judged")), str(entry.get("verdict_sentence", "")))
    elif operation.action == "rollback":
        yield event("rolled back", f"from version {entry.get('from', 'unknown')}: {why}")
    elif operation.action not in _PASSED_OVER:
        yield event(_SAID[operation.action], why)


_SAID = {
    "promote": "promoted",
    "approve": "approved",
    "hold": "held",
    "delete": "deleted",
    "restore": "restored",
}


def _trainings(workspace: Workspace, name: str) -> Iterator[Event]:
    for training in trainings(workspace, name):
        minutes = f" in {(training.ended - training.began) / 60:.1f} min" if training.ended else ""
        said = f"{training.steps} steps{minutes}" if training.steps else "no step was logged"
        yield Event(_iso(training.began), "trained", None, "", f"{said} (run {training.run[:8]})")


def _versions_of_old(workspace: Workspace, name: str, recorded: set[int | None]) -> Iterator[Event]:
    registry = client(workspace)
    for one in store.versions(registry, name) if store.exists(registry, name) else ():
        if int(one.version) not in recorded:
            why = f"package {one.tags.get('package', 'unknown')[:12]}"
            yield Event(_iso(one.creation_timestamp / 1000), "registered", int(one.version), "", why)


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
