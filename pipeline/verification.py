"""Stored images that are known to be what their names say: hashed once, and trusted until their file changes.

Hashing every image at every run would make one new image among 10,000 cost as much as all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.files import write_atomic
from pipeline.manifest import Entry

Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp:
    """Return what changes when a file does: its size, time of change (ns) and inode.

    Take it before reading the file, so that a change meanwhile is seen the next time.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


class Verified:
    """The images of one collection that were found whole, remembered in a file that may be deleted at any time."""

    def __init__(self, memory: Path) -> None:
        """Read what is remembered in `memory`; a file that is missing or damaged remembers nothing."""
        self._memory = memory
        self._stamps = _read(memory)
        self._saved = dict(self._stamps)

    def holds(self, entry: Entry, stamp: Stamp) -> bool:
        """Whether the image was found whole when its file had this stamp."""
        return self._stamps.get(entry.sha256) == stamp

    def add(self, entry: Entry, stamp: Stamp) -> None:
        """Note that the image was found whole; may be called from several threads."""
        self._stamps[entry.sha256] = stamp

    def save(self, entries: list[Entry]) -> None:
        """Remember atomically what was noted of `entries`, and nothing of images that have gone."""
        kept = {entry.sha256: self._stamps[entry.sha256] for entry in entries if entry.sha256 in self._stamps}
        if kept != self._saved:
            write_atomic(self._memory, json.dumps(kept))
            self._saved = kept


def _read(memory: Path) -> dict[str, Stamp]:
    try:
        found: dict[str, Any] = json.loads(memory.read_text())
        return {sha256: (int(size), int(changed), int(inode)) for sha256, (size, changed, inode) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
