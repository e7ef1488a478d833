"""What the journal says of a registry: its versions with their tags and files, and which of them the aliases name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.registry import journal
from pipeline.registry.journal import Operation
from pipeline.registry.names import ANCHOR, CHALLENGER, CHAMPION, GATE, HELD, PREVIOUS, ROLLED_BACK
from pipeline.workspace import Workspace

_MADE = ("register", "restore")


@dataclass
class Known:
    """One version as it was registered, with the tags that it has by now."""

    name: str
    version: int
    package: str  # digest
    model: str  # where MLflow keeps it, relative to the artifact store; empty if that was not recorded
    files: Mapping[str, str]  # path -> sha256, of everything there
    tags: dict[str, str] = field(default_factory=dict)

    def folder(self, workspace: Workspace) -> Path:
        """Return where MLflow keeps it: code, signature and package."""
        return workspace.artifacts / self.model

    def directory(self, workspace: Workspace) -> Path:
        """Return where its package lies."""
        return self.folder(workspace) / "artifacts" / self.name


@dataclass
class Record:
    """What the workspace knows of its registry without asking it."""

    versions: dict[tuple[str, int], Known] = field(default_factory=dict)
    deleted: set[tuple[str, int]] = field(default_factory=set)  # by our own commands
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)  # name -> alias -> version

    @property
    def names(self) -> set[str]:
        """The models that have a version."""
        return {name for name, _ in self.versions}


def read(workspace: Workspace) -> Record:
    """Return what the journal comes to; operations that were cut short or abandoned count for nothing."""
    return replay(journal.operations(workspace))


def replay(operations: Iterable[Operation]) -> Record:
    """Return what operations come to, in their order."""
    record = Record()
    for operation in operations:
        if operation.phase != journal.DONE:
            continue
        number = operation.version
        if operation.action in _MADE:
            if number is None or "package" not in operation.entry:
                continue  # its other lines were damaged; `journal.damaged_lines` tells of that
            _add(record, operation, number)
        elif operation.action == "delete" and number is not None:
            record.versions.pop((operation.name, number), None)
            record.deleted.add((operation.name, number))
        if "after" in operation.entry:
            _change(record, operation)
        elif number is not None:
            _change_of_old(record, operation, number)
    return record


def _add(record: Record, operation: Operation, number: int) -> None:
    entry = operation.entry
    record.versions[operation.name, number] = Known(
        operation.name,
        number,
        str(entry["package"]),
        str(entry.get("model", "")),
        dict(entry.get("files", {})),
        dict(entry.get("tags", {})),
    )
    record.deleted.discard((operation.name, number))


def _change(record: Record, operation: Operation) -> None:
    """Take over aliases and tags as the operation left them."""
    after: Mapping[str, Any] = operation.entry["after"]
    aliases = record.aliases.setdefault(operation.name, {})
    for alias, number in after.get("aliases", {}).items():
        if number is None:
            aliases.pop(alias, None)
        else:
            aliases[alias] = int(number)
    for number, tags in after.get("tags", {}).items():
        known = record.versions.get((operation.name, int(number)))
        for key, value in tags.items() if known else ():
            assert known is not None
            if value is None:
                known.tags.pop(key, None)
            else:
                known.tags[key] = value


def _change_of_old(record: Record, operation: Operation, number: int) -> None:
    """Take over what an operation did that was recorded before its outcome was."""
    entry, aliases = operation.entry, record.aliases.setdefault(operation.name, {})
    before = entry.get("from")
    if operation.action == "promote":
        aliases[CHAMPION] = number
        if before is not None:
            aliases[PREVIOUS] = int(before)
        if entry.get("by") != GATE:
            aliases[ANCHOR] = number
        else:
            aliases.setdefault(ANCHOR, number if before is None else int(before))
        if aliases.get(CHALLENGER) == number:
            del aliases[CHALLENGER]
    elif operation.action == "rollback":
        if before is not None:
            if aliases.get(ANCHOR) == before:
                aliases[ANCHOR] = number
            aliases[PREVIOUS] = int(before)
            _note(record, operation.name, int(before), ROLLED_BACK, str(entry.get("reason", "")))
        aliases[CHAMPION] = number
    elif operation.action == "hold":
        _note(record, operation.name, number, HELD, str(entry.get("reason", "")))


def _note(record: Record, name: str, number: int, tag: str, text: str) -> None:
    known = record.versions.get((name, number))
    if known is not None:
        known.tags[tag] = text
