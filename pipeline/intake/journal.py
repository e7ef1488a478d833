"""What an ingest that did not end had already decoded, so that the next one need not do it again."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from pipeline.files import sha256_file
from pipeline.intake.records import record_line
from pipeline.manifest import Entry, parse_entry


class Journal:
    """One line an image that was stored and is not in the manifest yet."""

    def __init__(self, path: Path, rules: str) -> None:
        """Use the file at `path`; `rules` is a digest of the limits images are held against."""
        self.path = path.with_name(f"{path.name}-{rules[:16]}.jsonl")
        self._stream: TextIO | None = None

    def read(self, folder: Path) -> dict[str, Entry]:
        """Return the entries whose image lies in `folder`, whole; a line that was cut off counts as none."""
        entries: dict[str, Entry] = {}
        lines = self.path.read_text(encoding="ascii", errors="replace").splitlines() if self.path.is_file() else ()
        for line in lines:
            try:
                entry = parse_entry(line, str(self.path))
            except ValueError:
                continue
            if _is_whole(folder / entry.file, entry.sha256):
                entries[entry.sha256] = entry
        return entries

    def add(self, entry: Entry) -> None:
        """Note an image after it was stored."""
        if self._stream is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("a", encoding="ascii")
        self._stream.write(record_line(entry))
        self._stream.flush()

    def close(self) -> None:
        """Let go of the file and keep it: the ingest did not end."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def finish(self) -> None:
        """Remove the file: the manifest holds what it held."""
        self.close()
        self.path.unlink(missing_ok=True)


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return sha256_file(path) == sha256
    except OSError:
        return False
