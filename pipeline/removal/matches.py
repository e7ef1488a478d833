"""Which images a person means: by hash, name or source, those removed before too."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from pipeline.intake import tombstones
from pipeline.intake.copies import read_copies
from pipeline.intake.drops import printable
from pipeline.intake.tombstones import Tombstone
from pipeline.manifest import Entry, read_manifest
from pipeline.workspace import PHOTOS, Workspace

_HASH = re.compile(r"[0-9a-f]{6,64}")
_LISTED = 6  # of many things that a message could name


@dataclass(frozen=True)
class Match:
    """An image that was meant.

    entry is its line in the manifest, None if it is out of it; stone is the tombstone that stands for it, None if
    none does; places are all (name, source) under which its bytes were met; met_as are those of them that were meant
    where its own name and source were not: it is only a copy that lies there.
    """

    collection: str
    sha256: str
    name: str
    source: str
    places: frozenset[tuple[str, str]]
    entry: Entry | None
    stone: Tombstone | None
    met_as: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> str:
        """Source and name fit to print."""
        return printable(f"{self.source}/{self.name}")


def find(workspace: Workspace, what: str, collection: str | None = None) -> list[Match]:
    """Return the images that `what` means, removed ones too: of every collection, or of one.

    Args:
        workspace: where to look.
        what: 6 or more digits of one sha256; or a name, a source (its subfolders count), or source/name, exact or
            with the wildcards `*`, `?` and `[...]`.
        collection: a style, or `photos`.

    Raises:
        ValueError: nothing answers to it, or a hash and something else do; a collection is unknown, damaged, or not
            checked out.
    """
    if not what.strip("/"):
        raise ValueError("say which images: a hash (6 digits or more), a file's name, or the folder they came from")
    known = [match for name in _collections(workspace, collection) for match in _images(workspace, name)]
    digits = what.lower() if _HASH.fullmatch(what.lower()) else None
    hashed = [match for match in known if digits and match.sha256.startswith(digits)]
    answers = _answers(what)
    others = (_by_place(match, answers) for match in known if match not in hashed)
    named = [match for match in others if match]
    if hashed and len({match.sha256 for match in (*hashed, *named)}) > 1:
        meant = [f"{match.sha256[:16]} ({match.shown})" for match in (*hashed, *named)]
        raise ValueError(f"{what} means several images: {some(meant)}; give more of the hash, or SOURCE/NAME")
    found = [*hashed, *named]
    if not found:
        raise ValueError(
            f"no image of {collection or 'any collection'} has the hash, name or source {what!r}; {_sources(known)}"
        )
    return found


def _by_place(match: Match, answers: Callable[[str, str], bool]) -> Match | None:
    """Return the image if one of its places answers, with the copies that were meant if its own place does not."""
    meant = sorted(place for place in match.places if answers(*place))
    if not meant:
        return None
    return match if (match.name, match.source) in meant else replace(match, met_as=tuple(meant))


def near_duplicates(workspace: Workspace, matches: Sequence[Match]) -> list[Match]:
    """Return the images that stay although they look like some of `matches`: those of the same groups."""
    groups = {(match.collection, match.entry.group) for match in matches if match.entry}
    chosen = {(match.collection, match.sha256) for match in matches}
    return [
        other
        for collection in dict.fromkeys(match.collection for match in matches)
        for other in _images(workspace, collection)
        if other.entry and (collection, other.entry.group) in groups and (collection, other.sha256) not in chosen
    ]


def _collections(workspace: Workspace, collection: str | None) -> list[str]:
    """Return the names of the collections to search.

    Raises:
        ValueError: one is unknown, or DVC has its images and the workspace has not.
    """
    present = workspace.collections()
    styles = workspace.root / "data" / "styles"
    tracked = [PHOTOS] if workspace.collection(PHOTOS).with_suffix(".dvc").is_file() else []
    tracked += sorted(path.stem for path in styles.glob("*.dvc"))
    buried = sorted({stone.collection for stone in tombstones.read_tombstones(workspace)})
    known = list(dict.fromkeys([*present, *tracked, *buried]))
    if collection is not None and collection not in known:
        raise ValueError(f"there is no collection {collection!r}; known: {', '.join(known) or 'none yet'}")
    chosen = known if collection is None else [collection]
    for name in chosen:
        if name in tracked and name not in present:
            pointer = workspace.collection(name).with_suffix(".dvc")
            raise ValueError(f"{pointer} is there and its images are not; run `dvc checkout`, or `dvc pull` first")
    return chosen


def _images(workspace: Workspace, collection: str) -> Iterator[Match]:
    places: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for copy in read_copies(workspace, collection):
        places[copy.sha256].add((copy.name, copy.source))
    entries = {entry.sha256: entry for entry in read_manifest(workspace.collection(collection))}
    stones = tombstones.standing(workspace, collection)
    for sha256 in [*entries, *(sha256 for sha256 in stones if sha256 not in entries)]:
        entry, stone = entries.get(sha256), stones.get(sha256)
        first = entry or stone
        assert first is not None
        yield Match(
            collection=collection,
            sha256=sha256,
            name=first.name,
            source=first.source,
            places=frozenset({(first.name, first.source), *places[sha256]}),
            entry=entry,
            stone=stone,
        )


def _answers(what: str) -> Callable[[str, str], bool]:
    """Return whether a name and source answer to `what`."""
    wanted = _composed(what.rstrip("/"))
    wild = any(letter in wanted for letter in "*?[")

    def answers(name: str, source: str) -> bool:
        forms = (_composed(name), _composed(source), _composed(f"{source}/{name}"))
        if wanted in forms or forms[1].startswith(f"{wanted}/"):
            return True
        return wild and any(fnmatchcase(form, wanted) for form in forms)

    return answers


def _composed(text: str) -> str:
    """Return a name in the form in which it is typed: some systems store é as e and an accent."""
    return unicodedata.normalize("NFC", text)


def _sources(known: Sequence[Match]) -> str:
    counted = Counter(match.source for match in known if match.entry)
    if not counted:
        return "there is no image yet"
    shown = [f"{printable(source)} ({count})" for source, count in counted.most_common()]
    return f"sources: {some(shown)}"


def some(items: Sequence[str]) -> str:
    """Return the first of many things in words, and how many more there are."""
    more = [f"and {len(items) - _LISTED} more"] if len(items) > _LISTED else []
    return ", ".join([*items[:_LISTED], *more])
