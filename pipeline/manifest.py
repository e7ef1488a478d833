"""The manifest of a collection: one JSON line an accepted image, in order of acceptance."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pipeline.files import write_atomic

Split = Literal["train", "test", "excluded"]
FILE = "manifest.jsonl"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One accepted image.

    sha256 is of the stored original bytes; name and source are the original file name and folder; box is the part
    within borders (left, top, right, bottom; px after orientation), None where the image is used whole; width and
    height are px of that part; format is the extension of the detected format; phash is hexadecimal; group is the
    sha256 of the first member of its near duplicates; added is ISO-8601 UTC.
    """

    sha256: str
    name: str
    source: str
    width: int
    height: int
    bytes: int
    format: str
    phash: str
    group: str
    split: Split
    flags: tuple[str, ...]
    added: str
    box: tuple[int, int, int, int] | None = None

    @property
    def file(self) -> str:
        """Name of the stored file inside the collection."""
        return f"{self.sha256}.{self.format}"


def read_manifest(folder: Path) -> list[Entry]:
    """Return a collection's entries in order of acceptance; none if it has no manifest.

    Raises:
        ValueError: a line is damaged; the message names it.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    return [parse_entry(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def parse_entry(line: str, where: str) -> Entry:
    """Return the entry of a manifest's line.

    Raises:
        ValueError: it is damaged; the message begins with `where`.
    """
    try:
        record: dict[str, Any] = json.loads(line)
        box = record.setdefault("box", None)  # before version 0.2 nothing was cropped
        typed = {"flags": tuple(record["flags"]), "box": None if box is None else tuple(map(int, box))}
        entry = Entry(**{item.name: record[item.name] for item in fields(Entry)} | typed)
        sound = _SHA256.fullmatch(entry.sha256) and _SHA256.fullmatch(entry.group) and entry.format.isalnum()
        int(entry.phash, 16)
    except (ValueError, TypeError, KeyError, AttributeError):
        sound = False
    if not sound or entry.split not in ("train", "test", "excluded"):
        raise ValueError(
            f"{where} is damaged; restore the folder with `dvc checkout`, or delete that line and ingest again"
        )
    return entry


def manifest_text(entries: Sequence[Entry]) -> str:
    """Return the manifest as text: ASCII, so that names that are not UTF-8 survive as escaped surrogates."""
    return "".join(json.dumps(asdict(entry), ensure_ascii=True) + "\n" for entry in entries)


def write_manifest(folder: Path, entries: Sequence[Entry]) -> Path:
    """Write the whole manifest atomically and durably."""
    return write_atomic(folder / FILE, manifest_text(entries))


def counts(entries: Sequence[Entry]) -> dict[str, int]:
    """Return the number of images: total, train, test, excluded, and of groups of near duplicates."""
    splits = Counter(entry.split for entry in entries)
    return {
        "total": len(entries),
        "train": splits["train"],
        "test": splits["test"],
        "excluded": splits["excluded"],
        "groups": len({entry.group for entry in entries}),
    }
