"""`var/promotions.jsonl`: all that was ever done to the registry, one JSON line a step, synced and never changed.

An operation begins with a line of phase `intent`, before anything is changed. `checked` says what it will come to,
and is written when that is known to work; from then on it is carried out, whoever has to finish it. `done` or
`abandoned` ends it.

The file is the workspace's own record: it lies outside of MLflow's database and of the artifact store, says which
files a version's model had when it was registered, and is enough to make the database anew.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.files import fsync_directory
from pipeline.workspace import Workspace

INTENT, CHECKED, DONE, ABANDONED = "intent", "checked", "done", "abandoned"
_BLOCK = 65536


@dataclass(frozen=True)
class Operation:
    """One change of the registry, as its lines tell it."""

    id: str
    action: str
    """`register`, `judge`, `promote`, `approve`, `hold`, `rollback`, `delete`, `restore` or `rebuild`."""
    name: str
    phase: str  # of the last line
    time: str  # of the first
    entry: Mapping[str, Any]
    """The fields of all its lines, later ones over earlier ones."""

    @property
    def open(self) -> bool:
        """Whether it was cut short."""
        return self.phase not in (DONE, ABANDONED)

    @property
    def version(self) -> int | None:
        """The version that it is about; None for a registration that came to nothing."""
        number = self.entry.get("to", self.entry.get("version"))
        return None if number is None else int(number)


class Writing:
    """An operation that is being carried out."""

    def __init__(self, workspace: Workspace, identity: str, action: str, name: str) -> None:
        """Go on with an operation; `begin` starts one."""
        self._workspace = workspace
        self._head = {"id": identity, "action": action, "name": name}

    def note(self, phase: str, **fields: Any) -> None:
        """Write one line and sync it."""
        _append(self._workspace, {**self._head, "phase": phase, **fields})


def journal_file(workspace: Workspace) -> Path:
    """Return where the journal lies."""
    return workspace.var / "promotions.jsonl"


def begin(workspace: Workspace, action: str, name: str, **fields: Any) -> Writing:
    """Write an operation's intent. The caller holds the registry's lock until it has noted how it ended."""
    writing = Writing(workspace, uuid.uuid4().hex[:12], action, name)
    writing.note(INTENT, **fields)
    return writing


def resume(workspace: Workspace, operation: Operation) -> Writing:
    """Go on with an operation that was cut short."""
    return Writing(workspace, operation.id, operation.action, operation.name)


def operations(workspace: Workspace) -> list[Operation]:
    """Return every operation in the order of their beginnings; lines that cannot be read count as none."""
    found: dict[str, Operation] = {}
    for number, line in enumerate(_lines(workspace)):
        if line is None:
            continue
        identity = line.get("id") or _of_old(found, line) or f"line {number}"
        before = found.get(identity)
        found[identity] = Operation(
            identity,
            str(line["action"]),
            str(line["name"]),
            str(line["phase"]),
            before.time if before else str(line["time"]),
            {**(before.entry if before else {}), **line},
        )
    return list(found.values())


def damaged_lines(workspace: Workspace) -> int:
    """Return how many lines cannot be read, but for a last one that a kill cut off."""
    return sum(line is None for line in _lines(workspace))


def _lines(workspace: Workspace) -> Iterator[dict[str, Any] | None]:
    path = journal_file(workspace)
    if not path.is_file():
        return
    for text in path.read_bytes().split(b"\n")[:-1]:  # behind the last line feed there is nothing, or half a line
        try:
            line = json.loads(text)
            yield line if {"action", "name", "phase", "time"} <= set(line) else None
        except (ValueError, TypeError):
            yield None


def _of_old(found: Mapping[str, Operation], line: Mapping[str, Any]) -> str | None:
    """Return which operation a line of before there were ids goes on with: the last one, if it was still open."""
    last = next(reversed(list(found.values())), None)
    if last is None or not last.open or line["phase"] == INTENT:
        return None
    return last.id if (last.action, last.name) == (line["action"], line["name"]) else None


def _append(workspace: Workspace, entry: Mapping[str, Any]) -> None:
    path = journal_file(workspace)
    new = not path.is_file()
    workspace.var.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **entry})
    with path.open("a+b") as stream:
        _drop_half_a_line(stream)
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    if new:
        fsync_directory(path.parent)


def _drop_half_a_line(stream: BinaryIO) -> None:
    """Cut off what a kill left behind the last line feed: a step that was not told is done again."""
    end = stream.seek(0, os.SEEK_END)
    at, block = end, b""
    while at and b"\n" not in block:
        at = max(0, at - _BLOCK)
        stream.seek(at)
        block = stream.read(end - at)
    whole = at + block.rfind(b"\n") + 1
    if whole < end:
        stream.truncate(whole)
