"""Refused files of a collection, each kept under its hash, with the reason in `quarantine.jsonl`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import fsync_directory
from pipeline.intake.records import read_records, write_records

FILE = "quarantine.jsonl"


@dataclass(frozen=True)
class Refusal:
    """One refused file.

    sha256 is None when it has no content that could be kept; reason is a code, detail says it in words; when is
    ISO-8601 UTC; bytes and rules (a digest of the limits it was held against) tell whether to look at it again.
    """

    sha256: str | None
    name: str
    source: str
    reason: str
    detail: str
    when: str
    bytes: int = 0
    rules: str = ""

    @property
    def same(self) -> tuple[str | None, str, str, str]:
        """What makes two refusals one."""
        return self.sha256, self.name, self.source, self.reason


def read_quarantine(folder: Path) -> list[Refusal]:
    """Return the refusals of a collection's quarantine folder, oldest first.

    Raises:
        ValueError: the record is damaged.
    """
    return read_records(folder / FILE, Refusal, f"move the folder {folder} away and ingest again")


def record_refusals(folder: Path, refusals: Sequence[Refusal]) -> bool:
    """Add refusals that are not recorded yet, durably; return whether there were any."""
    recorded = {refusal.same: refusal for refusal in read_quarantine(folder)}
    known = dict(recorded)
    for refusal in refusals:
        earlier = known.get(refusal.same)
        if earlier is None or earlier.rules != refusal.rules:  # refused again, by other limits: remember those
            known[refusal.same] = refusal
    if known == recorded:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    fsync_directory(folder)  # the kept files before the record that names them
    write_records(folder / FILE, known.values())
    return True
