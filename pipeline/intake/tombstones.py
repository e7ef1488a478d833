"""The record of what a person took out: `data/tombstones.jsonl`, one JSON line a removal, kept by git.

A tombstone stands for the bytes of an image in one collection: while it stands, ingest refuses them there, and
nowhere else. It is never deleted; lifting notes when.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pipeline.intake.records import read_records, write_records
from pipeline.workspace import Workspace

FILE = "tombstones.jsonl"
REMOVED = "removed"  # the reason code of a refusal
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Tombstone:
    """One removal of an image from a collection.

    sha256 is of the image's bytes; name and source are its original file name and folder; reason is a sentence; by is
    who removed it, empty if unknown; when and lifted are ISO-8601 UTC, lifted None while the tombstone stands.
    """

    collection: str
    sha256: str
    name: str
    source: str
    reason: str
    by: str
    when: str
    lifted: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that no tombstone has: a record that was edited by hand, or merged badly."""
        texts = [getattr(self, item.name) for item in fields(self) if item.name != "lifted"]
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.lifted, str | None):
            raise ValueError("a value is no text")
        if not self.collection or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"no collection, or no sha256: {self.sha256!r}")

    @property
    def why(self) -> str:
        """Why the bytes are refused, for a person who offers them again."""
        return f"it was removed on {self.when[:10]}: {self.reason}"


def tombstones_file(workspace: Workspace) -> Path:
    """Return where a workspace keeps its tombstones."""
    return workspace.root / "data" / FILE


def read_tombstones(workspace: Workspace) -> list[Tombstone]:
    """Return every tombstone, lifted ones too, oldest first.

    Raises:
        ValueError: a line is damaged; the message names it.
    """
    remedy = (
        f"restore the file with `git checkout -- data/{FILE}`, or mend that line: until it can be read, nobody knows "
        f"which images must not come back"
    )
    return read_records(tombstones_file(workspace), Tombstone, remedy)


def standing(workspace: Workspace, collection: str) -> dict[str, Tombstone]:
    """Return the tombstones that stand in a collection, by sha256: these bytes may not come back into it.

    Raises:
        ValueError: the record is damaged.
    """
    found = read_tombstones(workspace)
    return {stone.sha256: stone for stone in found if stone.collection == collection and stone.lifted is None}


def record(workspace: Workspace, stones: Iterable[Tombstone]) -> list[Tombstone]:
    """Add tombstones durably, and return those that were new: where one stands already, it stays as it is.

    Call it under the ingest lock: the file is written anew.

    Raises:
        ValueError: the record is damaged.
    """
    known = read_tombstones(workspace)
    there = {(stone.collection, stone.sha256) for stone in known if stone.lifted is None}
    new = {(stone.collection, stone.sha256): stone for stone in stones}
    added = [stone for key, stone in new.items() if key not in there]
    if added:
        write_records(tombstones_file(workspace), [*known, *added])
    return added


def lift(workspace: Workspace, removed: Mapping[str, Collection[str]], when: str) -> list[Tombstone]:
    """Let removed bytes come back, and return the tombstones that were lifted.

    Call it under the ingest lock: the file is written anew.

    Args:
        workspace: whose record.
        removed: collection -> sha256s; those without a standing tombstone are passed over.
        when: ISO-8601 UTC.

    Raises:
        ValueError: the record is damaged.
    """
    known = read_tombstones(workspace)
    after = [
        replace(stone, lifted=when)
        if stone.lifted is None and stone.sha256 in removed.get(stone.collection, ())
        else stone
        for stone in known
    ]
    lifted = [new for old, new in zip(known, after, strict=True) if new is not old]
    if lifted:
        write_records(tombstones_file(workspace), after)
    return lifted
