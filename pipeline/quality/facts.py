"""What is known of a collection without opening an image: its manifest, its quarantine, and the other collections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipeline.intake.copies import Copy, read_copies
from pipeline.intake.duplicates import near_pairs
from pipeline.intake.quarantine import Refusal, read_quarantine
from pipeline.manifest import Entry, read_manifest
from pipeline.params import Params
from pipeline.workspace import PHOTOS, Workspace


@dataclass(frozen=True)
class Elsewhere:
    """An image of this collection that another one holds as well: the same, or `bits` of 64 apart to the eye."""

    own: Entry
    collection: str
    other: Entry
    bits: int

    @property
    def exact(self) -> bool:
        """Whether both are the same bytes."""
        return self.own.sha256 == self.other.sha256


@dataclass(frozen=True)
class Facts:
    """A collection's images (oldest first), refused files, exact copies, and images that others hold too."""

    collection: str
    entries: tuple[Entry, ...]
    refusals: tuple[Refusal, ...] = ()
    copies: tuple[Copy, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()

    @property
    def is_photos(self) -> bool:
        """Whether these are the photographs, and not artworks."""
        return self.collection == PHOTOS

    @cached_property
    def used(self) -> tuple[Entry, ...]:
        """Images that training or evaluation uses: all but the excluded ones."""
        return tuple(entry for entry in self.entries if entry.split != "excluded")

    def count(self, split: str) -> int:
        """Return how many images stand on one side of the split."""
        return sum(entry.split == split for entry in self.entries)

    @cached_property
    def groups(self) -> Mapping[str, tuple[Entry, ...]]:
        """Used images by group of near duplicates: as many groups as there are different pictures."""
        return _grouped(self.used)

    @cached_property
    def repeated(self) -> list[tuple[Entry, ...]]:
        """Groups of more than one image, excluded ones among them; the largest first."""
        groups = (group for group in _grouped(self.entries).values() if len(group) > 1)
        return sorted(groups, key=lambda group: (-len(group), group[0].group))

    @cached_property
    def flags(self) -> dict[str, int]:
        """Number of images by flag, the most frequent first."""
        return _counted(flag for entry in self.entries for flag in entry.flags)

    @cached_property
    def reasons(self) -> dict[str, int]:
        """Number of refused files by reason code, the most frequent first."""
        return _counted(refusal.reason for refusal in self.refusals)

    @property
    def cropped(self) -> int:
        """Number of images of which a border or frame is left out."""
        return sum(entry.box is not None for entry in self.entries)


def gather(workspace: Workspace, collection: str, params: Params) -> Facts:
    """Return the facts on a style, or on the photographs.

    Args:
        workspace: where.
        collection: a style, or `photos`.
        params: `ingest.duplicate_distance` says which images of two collections are the same.

    Raises:
        ValueError: nothing was ever offered to such a collection, or one of its records is damaged.
    """
    entries = read_manifest(workspace.collection(collection))
    refusals = read_quarantine(workspace.quarantine(collection))
    if not entries and not refusals:
        raise ValueError(_nothing(workspace, collection))
    return Facts(
        collection=collection,
        entries=tuple(entries),
        refusals=tuple(refusals),
        copies=tuple(read_copies(workspace, collection)),
        elsewhere=tuple(_elsewhere(workspace, collection, entries, params.ingest.duplicate_distance)),
    )


def _elsewhere(workspace: Workspace, collection: str, entries: Sequence[Entry], distance: int) -> list[Elsewhere]:
    """Return the nearest image of each other collection, one for each group of near duplicates, nearest first."""
    nearest: dict[tuple[str, str], Elsewhere] = {}
    for name in workspace.collections():
        if name == collection:
            continue
        for own, other, bits in near_pairs(entries, read_manifest(workspace.collection(name)), distance):
            key, found = (name, own.group), Elsewhere(own, name, other, bits)
            if key not in nearest or _order(found) < _order(nearest[key]):
                nearest[key] = found
    return sorted(nearest.values(), key=_order)


def _order(found: Elsewhere) -> tuple[bool, int, str, str]:
    return not found.exact, found.bits, found.own.sha256, found.collection


def _grouped(entries: Sequence[Entry]) -> dict[str, tuple[Entry, ...]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    return {name: tuple(members) for name, members in groups.items()}


def _counted(names: Iterable[str]) -> dict[str, int]:
    found = Counter(names)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _nothing(workspace: Workspace, collection: str) -> str:
    if collection == PHOTOS:
        return "there are no photographs yet; add some with `atelier ingest FOLDER --photos`"
    known = ", ".join(name for name in workspace.collections() if name != PHOTOS) or "none yet"
    return (
        f"there is no style {collection!r}; known: {known}; "
        f"add artworks with `atelier ingest FOLDER --style {collection}`"
    )
