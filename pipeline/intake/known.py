"""What a collection knows before it takes more: files whose hash is here need not be opened again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.intake import drops
from pipeline.intake.inspection import Finding
from pipeline.intake.quarantine import read_quarantine
from pipeline.manifest import Entry

# What the content of a file alone decides: held against the same rules it would be refused again.
_LASTING = {"truncated", "not_image", "float", "multiframe", "too_large", "too_small", "extreme_aspect", "empty"}


class Known:
    """Hashes of stored images and of refused files. Only a file of equal size needs to be hashed to be looked up."""

    def __init__(self, folder: Path, entries: Iterable[Entry], quarantine: Path, rules: str) -> None:
        """Know `entries` whose image lies in `folder`, and the files in `quarantine` refused by the same `rules`."""
        self._stored = {entry.sha256 for entry in entries if (folder / entry.file).is_file()}
        kept = {path.stem for path in quarantine.iterdir()} if quarantine.is_dir() else set()
        self._refused = {
            refusal.sha256: refusal
            for refusal in read_quarantine(quarantine)
            if refusal.sha256 in kept and refusal.rules == rules and refusal.reason in _LASTING
        }
        self._sizes = {entry.bytes for entry in entries if entry.sha256 in self._stored}
        self._sizes |= {refusal.bytes for refusal in self._refused.values()}

    def may_hold(self, size: int) -> bool:
        """Whether a file of that many bytes can be known."""
        return size in self._sizes

    def look_up(self, path: Path) -> Finding | None:
        """Return the finding on a file whose bytes are known, None for any other.

        Raises:
            Refused, StillArriving: see `drops.sha256_of`.
        """
        if not self.may_hold(path.lstat().st_size):
            return None
        sha256, size = drops.sha256_of(path)
        if sha256 in self._stored:
            return Finding(sha256, size)
        if sha256 in self._refused:
            earlier = self._refused[sha256]
            return Finding(sha256, size, refusal=(earlier.reason, earlier.detail))
        return None

    def add(self, entry: Entry) -> None:
        """Know an image that was stored just now."""
        self._stored.add(entry.sha256)
        self._sizes.add(entry.bytes)

    def __contains__(self, sha256: str) -> bool:
        """Whether an image of that hash is stored."""
        return sha256 in self._stored
