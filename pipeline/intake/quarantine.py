"""Refused files of a collection, each kept under its hash, with the reason in `quarantine.jsonl`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.files import fsync_directory, write_atomic

FILE = "quarantine.jsonl"


@dataclass(frozen=True)
class Refusal:
    """One refused file; sha256 is None when it has no content that could be kept."""

    sha256: str | None
    name: str
    source: str
    reason: str
    detail: str
    when: str

    @property
    def same(self) -> tuple[str | None, str, str, str]:
        """What makes two refusals one."""
        return self.sha256, self.name, self.source, self.reason


def read_quarantine(folder: Path) -> list[Refusal]:
    """Return the refusals of a collection's quarantine folder, oldest first.

    Raises:
        ValueError: the record is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        return [Refusal(**json.loads(line)) for line in path.read_text(encoding="ascii").splitlines()]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); move the folder {folder} away and ingest again") from error


def record_refusals(folder: Path, refusals: list[Refusal]) -> bool:
    """Add refusals that are not recorded yet, durably; return whether there were any."""
    recorded = read_quarantine(folder)
    known = {refusal.same for refusal in recorded}
    new = [refusal for refusal in refusals if refusal.same not in known]
    if new:
        folder.mkdir(parents=True, exist_ok=True)
        fsync_directory(folder)  # the kept files before the record that names them
        lines = (json.dumps(asdict(refusal), ensure_ascii=True) + "\n" for refusal in [*recorded, *new])
        write_atomic(folder / FILE, "".join(lines))
    return bool(new)
