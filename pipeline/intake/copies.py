"""Exact copies: the bytes of a stored image met again under another name or in another place; linked, not stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.intake.records import read_records, write_records
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Copy:
    """One more place where an image was found: its hash, and the name and folder there; `when` is ISO-8601 UTC."""

    sha256: str
    name: str
    source: str
    when: str

    @property
    def same(self) -> tuple[str, str, str]:
        """What makes two copies one."""
        return self.sha256, self.name, self.source


def read_copies(workspace: Workspace, collection: str) -> list[Copy]:
    """Return the copies of a collection's images, oldest first.

    Raises:
        ValueError: the record is damaged.
    """
    path = workspace.copies(collection)
    return read_records(path, Copy, "delete that line: it says where a copy lay, and holds no image")


def record_copies(workspace: Workspace, collection: str, copies: Sequence[Copy]) -> None:
    """Add copies that are not recorded yet, durably."""
    recorded = read_copies(workspace, collection)
    known = {copy.same for copy in recorded}
    new = {copy.same: copy for copy in copies if copy.same not in known}
    if new:
        write_records(workspace.copies(collection), [*recorded, *new.values()])
