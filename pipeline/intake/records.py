"""Records of ingestion: one JSON object a line, ASCII, so that names that are not UTF-8 survive as escapes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.files import write_atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)


def read_records(path: Path, kind: type[Record], remedy: str) -> list[Record]:
    """Return the records of a file in its order, none if it is not there; keys of later versions are left out.

    Raises:
        ValueError: a line is damaged; the message names it and ends with the `remedy`.
    """
    if not path.is_file():
        return []
    known = {item.name for item in fields(kind)}
    records = []
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), 1):
        try:
            values: dict[str, Any] = json.loads(line)
            records.append(kind(**{name: value for name, value in values.items() if name in known}))
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}, line {number} is damaged ({error}); {remedy}") from error
    return records


def write_records(path: Path, records: Iterable[DataclassInstance]) -> Path:
    """Write the whole record atomically and durably."""
    return write_atomic(path, "".join(record_line(record) for record in records))


def utc_now() -> str:
    """Return the time that a record bears: ISO-8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_line(record: DataclassInstance) -> str:
    """Return a record as its line."""
    return json.dumps(asdict(record), ensure_ascii=True) + "\n"
