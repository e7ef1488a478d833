"""What becomes of each file of one ingest: an image, a copy of one, a refusal, or left where it is.

Files come in any order; everything is noted with its place in the order of the folder, and comes out in that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pipeline import images
from pipeline.intake import tombstones
from pipeline.intake.copies import Copy
from pipeline.intake.drops import Drop
from pipeline.intake.gather import Item, Judged
from pipeline.intake.inspection import Facts
from pipeline.intake.journal import Journal
from pipeline.intake.known import Known
from pipeline.intake.quarantine import Refusal
from pipeline.manifest import Entry

_STORED = re.compile(r"[0-9a-f]{64}\.[a-z]+")
_INTERRUPTED = "it was stored by an ingest that was interrupted and not run again; ingest it anew if it belongs here"
_T = TypeVar("_T")


@dataclass
class Ledger:
    """The state of one ingest; the files it moves are in their place at once, and nothing is recorded yet."""

    folder: Path  # of the collection
    quarantine: Path
    now: str  # ISO-8601 UTC
    rules: str  # digest of what decides how a file is judged
    entries: dict[str, Entry]  # the manifest, as it was
    known: Known
    stones: dict[str, tombstones.Tombstone]
    journal: Journal
    finished: dict[str, Entry]  # stored by an ingest that did not end, not met yet by this one
    restored: bool = False  # an image of the manifest that had gone missing was put back
    safe: dict[Path, tuple[int, int, int]] = field(default_factory=dict)  # may be deleted, if still the same
    _new: dict[str, tuple[int, Entry]] = field(default_factory=dict)
    _met: list[tuple[int, Copy]] = field(default_factory=list)
    _refused: list[tuple[int, Refusal]] = field(default_factory=list)
    _left: list[tuple[int, Drop]] = field(default_factory=list)

    def take(self, judged: Judged) -> None:
        """Accept one file, or link it to the image it is a copy of, or refuse it, or leave it."""
        item, finding = judged.item, judged.finding
        if finding.arriving:
            self._left.append((item.index, item.drop))
            return
        if finding.sha256 in self.stones:
            self._refuse(judged, (tombstones.REMOVED, self.stones[finding.sha256].why))
        elif finding.refusal:
            self._refuse(judged, finding.refusal)
        elif finding.facts is None or finding.sha256 in self._new:
            self._meet(item, str(finding.sha256))
        else:
            self._accept(judged, finding.facts)
        if finding.sha256 and item.seen:  # its content is ours now
            self.safe[item.origin] = item.seen

    @property
    def new(self) -> list[Entry]:
        """The images that are new, whose group and split are still to be found."""
        return _in_order(self._new.values())

    @property
    def met(self) -> int:
        """Number of files whose bytes were stored before."""
        return len(self._met)

    @property
    def refusals(self) -> list[Refusal]:
        """The files that were refused."""
        return _in_order(self._refused)

    @property
    def left(self) -> list[Drop]:
        """The files that are still arriving."""
        return _in_order(self._left)

    @property
    def changed(self) -> bool:
        """Whether the collection is another than before."""
        return bool(self._new) or self.restored

    def copies(self) -> list[Copy]:
        """Return what was met under another name, or in another folder, than the manifest says or will say."""
        own = {(entry.sha256, entry.name, entry.source) for entry in (*self.entries.values(), *self.new)}
        return [copy for copy in _in_order(self._met) if copy.same not in own]

    def set_strays_aside(self) -> list[Refusal]:
        """Quarantine images that an ingest stored which did not end, and whose source this one did not meet again.

        Their source has gone, or was another folder: nobody has said that they belong here.
        """
        named, strays = {entry.file for entry in (*self.entries.values(), *self.new)}, []
        for path in sorted(self.folder.glob("*.*")) if self.folder.is_dir() else ():
            if path.name not in named and _STORED.fullmatch(path.name):
                entry = self.finished.get(path.stem)
                name, source = (entry.name, entry.source) if entry else (path.name, "")
                size = path.stat().st_size
                _keep(path, self.quarantine, path.stem, path.suffix[1:])
                stray = Refusal(path.stem, name, source, "interrupted", _INTERRUPTED, self.now, size, self.rules)
                strays.append(stray)
        return strays

    def _refuse(self, judged: Judged, why: tuple[str, str]) -> None:
        """Note a refusal, and keep the file if it has any content to keep."""
        drop, finding = judged.item.drop, judged.finding
        if judged.copy and finding.sha256:
            _keep(judged.copy, self.quarantine, finding.sha256, finding.extension)
        refusal = Refusal(finding.sha256, drop.name, drop.source, *why, self.now, finding.size, self.rules)
        self._refused.append((judged.item.index, refusal))

    def _meet(self, item: Item, sha256: str) -> None:
        """Link a file to the image whose bytes it has; of several new ones, the first in order is the image."""
        drop = item.drop
        if sha256 in self.finished:
            self._new[sha256] = (item.index, _named(self.finished.pop(sha256), drop))
        elif sha256 in self._new and item.index < self._new[sha256][0]:
            index, entry = self._new[sha256]
            self._new[sha256] = (item.index, _named(entry, drop))
            self._met.append((index, Copy(sha256, entry.name, entry.source, self.now)))
        else:
            self._met.append((item.index, Copy(sha256, drop.name, drop.source, self.now)))

    def _accept(self, judged: Judged, facts: Facts) -> None:
        """Store an image; one that is in the manifest and had gone missing is put back."""
        assert judged.copy is not None
        assert judged.finding.sha256 is not None
        drop, sha256 = judged.item.drop, judged.finding.sha256
        entry = Entry(
            sha256=sha256,
            name=drop.name,
            source=drop.source,
            width=facts.width,
            height=facts.height,
            bytes=judged.finding.size,
            format=facts.format,
            phash=facts.phash,
            group=sha256,
            split="excluded",
            flags=facts.flags,
            added=self.now,
            box=facts.box,
        )
        _keep(judged.copy, self.folder, sha256, facts.format)
        self.known.add(entry)
        if sha256 in self.entries:
            self.restored = True
            self._meet(judged.item, sha256)
        else:
            self.journal.add(entry)
            self._new[sha256] = (judged.item.index, _named(entry, drop))


def _named(entry: Entry, drop: Drop) -> Entry:
    """Return an image's entry as found under this name."""
    honest = Path(drop.name).suffix.lower() in images.SUFFIXES[entry.format]
    flags = set(entry.flags) - {"misnamed"} | (set() if honest else {"misnamed"})
    return replace(entry, name=drop.name, source=drop.source, flags=tuple(sorted(flags)))


def _keep(copy: Path, folder: Path, sha256: str, extension: str) -> None:
    target = folder / f"{sha256}.{extension}"
    if copy.exists() or not target.exists():  # of an archive, several refused members keep the one file
        folder.mkdir(parents=True, exist_ok=True)
        copy.replace(target)


def _in_order(numbered: Iterable[tuple[int, _T]]) -> list[_T]:
    pairs: Sequence[tuple[int, _T]] = sorted(numbered, key=lambda pair: pair[0])
    return [each for _, each in pairs]
