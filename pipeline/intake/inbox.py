"""The drop folder as a whole: which of its folders are collections, what else lies there, and its fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.files import read_json, write_json
from pipeline.intake.drops import find_drops, printable
from pipeline.workspace import PHOTOS, Workspace, check_name, slug

_SHOWN = 5  # names in one sentence


@dataclass(frozen=True)
class Survey:
    """What lies in the inbox.

    folders: those that hold something -> the collection that it is for. remarks: sentences on what is not taken.
    """

    folders: Mapping[Path, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def survey(inbox: Path) -> Survey:
    """Return what lies in the inbox. What cannot be taken is remarked on, and keeps nothing else from being taken.

    `inbox/photos/` is for the photographs; the name of any other folder, simplified, is its style.
    """
    folders: dict[Path, str] = {}
    loose: list[str] = []
    remarks: list[str] = []
    for path in sorted(inbox.iterdir()) if inbox.is_dir() else ():
        # A linked folder is somebody's archive, from which nothing may be deleted.
        if path.name.startswith(".") or path.is_symlink():
            continue
        if not path.is_dir():
            loose.append(printable(path.name))
            continue
        try:
            if find_drops(path):
                folders[path] = _collection_of(path)
        except ValueError as error:
            remarks.append(str(error))
    if loose:
        rest = f" and {len(loose) - _SHOWN} more" if len(loose) > _SHOWN else ""
        remarks.append(
            f"{', '.join(loose[:_SHOWN])}{rest} in inbox/ itself: nobody can tell of what style that is; move it "
            f"into a folder, inbox/STYLE/ or inbox/{PHOTOS}/"
        )
    return Survey(folders, tuple(remarks))


def fingerprint(folders: Iterable[Path]) -> dict[str, str]:
    """Return an entry `path:size:mtime_ns` for each file of some folders of the inbox -> its path, to be shown."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            drops = find_drops(folder)
        except ValueError:
            continue  # it was removed, or closed, since it was surveyed
        for drop in drops:
            try:
                seen = drop.path.lstat()
            except OSError:
                continue  # gone between listing and looking
            found[f"{drop.shown}:{seen.st_size}:{seen.st_mtime_ns}"] = drop.shown
    return found


@dataclass(frozen=True)
class Ledger:
    """What ingests of the inbox have come to: `var/inbox.json`. Only a retrain writes it, under its lock.

    taken: entries that an ingest which returned has dealt with, and that still lie there. pending: whether something
    was taken in, or was about to be, since the last retrain of all that was due came to its end.
    """

    taken: frozenset[str] = frozenset()
    pending: bool = False


def ledger(workspace: Workspace) -> Ledger:
    """Return what ingests of the inbox have come to; nothing if that is not recorded, or damaged."""
    path = _record(workspace)
    try:
        record: Any = read_json(path) if path.is_file() else {"taken": (), "pending": False}
        return Ledger(frozenset(record["taken"]), bool(record["pending"]))
    except (ValueError, KeyError, TypeError):
        return Ledger(pending=True)  # one retrain more finds out


def begin(workspace: Workspace) -> dict[str, str]:
    """Note that what lies in the inbox is about to be ingested, and return its fingerprint."""
    there = fingerprint(survey(workspace.inbox).folders)
    if there:
        _save(workspace, Ledger(ledger(workspace).taken, pending=True))
    return there


def commit(workspace: Workspace, before: Mapping[str, str], left: Collection[str]) -> None:
    """Note after an ingest returned that it has dealt with what lay in the inbox.

    A file that is gone needs no note, so the record stays small.

    Args:
        workspace: whose inbox.
        before: what `begin` returned. What landed since is for the next ingest.
        left: the shown paths of the files that it found still arriving: they are for the next as well.
    """
    known, there = ledger(workspace), fingerprint(survey(workspace.inbox).folders)
    done = {entry for entry, shown in before.items() if shown not in left} | known.taken
    _save(workspace, Ledger(frozenset(done & set(there)), known.pending))


def built(workspace: Workspace) -> None:
    """Note that a retrain of all that was due came to its end."""
    _save(workspace, Ledger(ledger(workspace).taken, pending=False))


def _save(workspace: Workspace, after: Ledger) -> None:
    if after != ledger(workspace):
        write_json(_record(workspace), {"taken": sorted(after.taken), "pending": after.pending})


def _record(workspace: Workspace) -> Path:
    return workspace.var / "inbox.json"


def _collection_of(folder: Path) -> str:
    name = slug(folder.name)
    if name == PHOTOS:
        return PHOTOS
    try:
        return check_name(name, "style")
    except ValueError as error:
        shown = printable(folder.name)
        raise ValueError(f"inbox folder {shown!r} gives no style's name; rename it ({error})") from error
