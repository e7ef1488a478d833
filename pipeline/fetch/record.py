"""What is known of a download, beside it: enough to go on with it safely, and to know it again when finished."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.files import read_json, write_json


@dataclass(frozen=True)
class Record:
    """What the server said of a file.

    url is the address's digest (an address may hold a password); etag and last_modified are as sent, or empty; total
    is the file's size in bytes, None if not said; sha256 is of the whole file, empty until it is finished.
    """

    url: str
    etag: str = ""
    last_modified: str = ""
    total: int | None = None
    sha256: str = ""

    @property
    def validator(self) -> str:
        """What `If-Range` takes to mean "only if the file is the same"; empty if the server gave nothing of use."""
        # A weak ETag promises equal meaning, not equal bytes.
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def same_file(self, other: Record) -> bool:
        """Whether nothing that the server said of both speaks against their being one file."""
        pairs = ((self.etag, other.etag), (self.last_modified, other.last_modified), (self.total, other.total))
        return self.url != other.url or all(mine == theirs for mine, theirs in pairs if mine and theirs)


def record_file(target: Path) -> Path:
    """Return where the record of a download to `target` lies."""
    return target.with_name(f"{target.name}.json")


def part_file(target: Path) -> Path:
    """Return where the bytes of a download to `target` lie until it is finished."""
    return target.with_name(f"{target.name}.part")


def read_record(target: Path) -> Record | None:
    """Return the record of a download; None where there is none, or one that cannot be read."""
    path = record_file(target)
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        record = Record(**{item.name: found[item.name] for item in fields(Record)})
    except (ValueError, KeyError, TypeError):
        return None  # the download then starts over, which is all that is lost
    texts = (record.url, record.etag, record.last_modified, record.sha256)
    sound = all(isinstance(text, str) for text in texts) and isinstance(record.total, int | None)
    return record if sound else None


def write_record(target: Path, record: Record) -> None:
    """Write the record of a download, durably."""
    write_json(record_file(target), asdict(record))
