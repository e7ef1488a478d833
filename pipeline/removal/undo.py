"""Let removed images come back: their files into the inbox, where copies are left; then their tombstones lifted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.dvc import dvc
from pipeline.files import sha256_file, write_atomic
from pipeline.intake import tombstones
from pipeline.intake.records import utc_now
from pipeline.removal.matches import Match
from pipeline.removal.remove import alone, by_collection
from pipeline.terminal import capture, shown
from pipeline.workspace import Workspace

_LONGEST = 200  # bytes of a name; most file systems take 255, and a temporary name is a little longer


@dataclass(frozen=True)
class _Copy:
    """A file, and the name by hash that it has, or had in the collection."""

    name: str
    path: Path


@dataclass(frozen=True)
class Undone:
    """An image whose tombstone was lifted; waiting is where its file lies now, None if no copy of it is left here."""

    match: Match
    waiting: Path | None


def undo(
    workspace: Workspace,
    matches: Sequence[Match],
    *,
    now: str | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Undone]:
    """Let images come back that were removed; those that have no tombstone are passed over.

    Copies of their files, from the quarantine or DVC's cache, wait in the inbox for the next retrain, which checks
    and places them as it does with any others.

    Args:
        workspace: what to change.
        matches: see `matches.find`.
        now: ISO-8601 UTC; without, the present time.
        say: is told of lists in DVC's cache that cannot be read, whose copies are then not found.

    Raises:
        ValueError: an ingest or a retrain is under way, or the record is damaged.
    """
    buried = [match for match in matches if match.stone]
    with alone(workspace):
        absent = {match.sha256 for match in buried if match.entry is None}
        copies = _copies(workspace, absent, by_collection(buried), say) if absent else {}
        done = [Undone(match, _bring_back(workspace, match, copies.get(match.sha256))) for match in buried]
        # After the files: if this is cut short, doing it again still finds the images.
        tombstones.lift(workspace, by_collection(buried), now or utc_now())
    return done


def _bring_back(workspace: Workspace, match: Match, copy: _Copy | None) -> Path | None:
    """Put a copy of an image into the inbox under its own name, and return where it lies."""
    if match.entry is not None:  # its removal was cut short before it left
        return workspace.collection(match.collection) / match.entry.file
    if copy is None:
        return None
    data = copy.path.read_bytes()
    target = workspace.inbox / match.collection / match.name
    if not _storable(match.name) or (target.exists() and target.read_bytes() != data):
        target = workspace.inbox / match.collection / copy.name
    write_atomic(target, data)
    os.utime(target, (0, 0))  # it came whole, so that no retrain need wait for it to be still
    return target


def _storable(name: str) -> bool:
    """Whether a name from a record, perhaps an archive's, can name a file that an ingest finds."""
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        return False
    return 0 < length <= _LONGEST and not name.startswith(".") and not set(name) & {"/", "\0"}


def _copies(
    workspace: Workspace, sha256s: Collection[str], collections: Collection[str], say: Callable[[str], None]
) -> dict[str, _Copy]:
    """Return whole copies of files by their sha256; those of which there is none are left out."""
    found: dict[str, _Copy] = {}
    for copy in _candidates(workspace, collections, say):
        sha256 = copy.name.partition(".")[0]
        if sha256 in sha256s and sha256 not in found and _is(copy.path, sha256):
            found[sha256] = copy
    return found


def _candidates(workspace: Workspace, collections: Collection[str], say: Callable[[str], None]) -> Iterator[_Copy]:
    """Yield files that are named by the hash that they should have."""
    for name in collections:
        for folder in (workspace.collection(name), workspace.quarantine(name)):
            yield from (_Copy(path.name, path) for path in sorted(folder.glob("*")) if path.is_file())
    objects = _object_store(workspace)
    if objects is None:
        return
    for listing in sorted(objects.glob("??/*.dir")):
        try:
            yield from _listed(listing, objects)
        except (ValueError, KeyError, TypeError, OSError) as error:
            say(f"{shown(listing)} is damaged and was passed over ({error}); `dvc fetch` may bring it back")


def _listed(listing: Path, objects: Path) -> list[_Copy]:
    """Return the files that one of DVC's lists names."""
    named = [(item["relpath"], item["md5"]) for item in json.loads(listing.read_text("utf-8"))]
    if not all(isinstance(text, str) for each in named for text in each):
        raise ValueError("a name in it is no text")
    return [_Copy(name, objects / md5[:2] / md5[2:]) for name, md5 in named]


def _object_store(workspace: Workspace) -> Path | None:
    """Return the folder that holds what DVC has stored, if there is one."""
    if not (workspace.root / ".dvc").is_dir():
        return None
    done = capture(workspace, dvc(workspace, "cache", "dir"))
    return workspace.root / done.stdout.strip() / "files" / "md5" if done.returncode == 0 else None


def _is(path: Path, sha256: str) -> bool:
    try:
        return sha256_file(path) == sha256
    except OSError:  # DVC keeps the lists of versions whose files are gone
        return False
