"""A folder or the inbox -> content-addressed images, manifest, quarantine, DVC.

The order makes every interruption harmless: images first, then the manifest that names them, then DVC, and only then
deletion of what the inbox no longer has to hold. What an interrupted ingest had decoded is in its journal.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import images
from pipeline.files import digest_json, require_free_space, sync_filesystem
from pipeline.intake import drops, duplicates, tombstones
from pipeline.intake.copies import Copy, record_copies
from pipeline.intake.drops import Drop
from pipeline.intake.gather import Gathering, Item, Judged
from pipeline.intake.inspection import Facts
from pipeline.intake.journal import Journal
from pipeline.intake.known import Known
from pipeline.intake.quarantine import Refusal, read_quarantine, record_refusals
from pipeline.intake.result import IngestResult, Twin
from pipeline.manifest import FILE as MANIFEST
from pipeline.manifest import Entry, counts, read_manifest, write_manifest
from pipeline.params import Ingest, Params
from pipeline.process import exclusive
from pipeline.recipes import add_style
from pipeline.workspace import PHOTOS, Workspace, check_name, slug

__all__ = [
    "Entry",
    "IngestResult",
    "Refusal",
    "counts",
    "ingest",
    "ingest_inbox",
    "read_manifest",
    "read_quarantine",
    "track",
]

_STORED = re.compile(r"[0-9a-f]{64}\.[a-z]+")
_INTERRUPTED = "it was stored by an ingest that was interrupted and not run again; ingest it anew if it belongs here"
Progress = Callable[[int, int], None]  # files looked at, files in all


@dataclass
class _Run:
    """The state of one ingest. Lists hold an item's index with what became of it: items are done in any order."""

    collection: str
    folder: Path
    quarantine: Path
    now: str
    rules: str  # digest of what decides how a file is judged
    entries: dict[str, Entry]  # the manifest, as it was
    known: Known
    stones: dict[str, tombstones.Tombstone]
    journal: Journal
    finished: dict[str, Entry]  # stored by an ingest that did not end, not met yet by this one
    new: dict[str, tuple[int, Entry]] = field(default_factory=dict)  # group and split still to be found
    met: list[tuple[int, Copy]] = field(default_factory=list)  # bytes that were stored before
    refusals: list[tuple[int, Refusal]] = field(default_factory=list)
    left: list[tuple[int, Drop]] = field(default_factory=list)
    safe: dict[Path, tuple[int, int, int]] = field(default_factory=dict)  # may be deleted, if still the same
    restored: bool = False


def ingest(
    workspace: Workspace,
    source: Path,
    collection: str,
    params: Params,
    *,
    move: bool = False,
    progress: Progress | None = None,
    tracked: bool = True,
) -> IngestResult:
    """Take the images of a folder into a collection, add a style's default recipe, and let DVC track it.

    Args:
        workspace: what to change.
        source: folder, searched with its subfolders and archives (zip, tar); names beginning with a dot are skipped.
        collection: a style's name, or `photos`.
        params: `ingest` is used.
        move: for the inbox: leave files that are still arriving, and delete those whose content is safe.
        progress: called after each file.
        tracked: run `dvc add` at the end.

    Raises:
        ValueError: a wrong name, a folder that is missing or empty, nothing acceptable for a collection that has no
            image yet (not with `move`), another ingest under way, a full disk, or `dvc add` failed.
    """
    if collection != PHOTOS:
        check_name(collection, "style")
    with exclusive(workspace.var / "locks" / "ingest.lock", f"an ingest in {workspace.root}"):
        found = drops.find_drops(source)
        if not found and not move:
            raise ValueError(f"{source} holds no files, so there is nothing to ingest")
        run = _begin(workspace, collection, params.ingest)
        _check_space(found, run.known, workspace, params.ingest)
        quiet = params.ingest.quiet_seconds if move else 0
        with _staging(workspace) as staging, Gathering(source, staging, quiet, params.ingest, run.known) as gathering:
            for done, judged in enumerate(gathering.judged(found), 1):
                _resolve(run, judged)
                if progress:
                    progress(done, gathering.total)
            entries = _commit(run, workspace, params.ingest)
        if not entries and not move:
            raise ValueError(_nothing(run, source))
        if entries and collection != PHOTOS:
            add_style(workspace, collection)
        if entries and tracked:
            _track_if_needed(workspace, collection)
        if move:
            _delete_safe(run)
        return _result(run, entries, _twins(run, workspace, params.ingest))


def ingest_inbox(
    workspace: Workspace, params: Params, *, progress: Progress | None = None, tracked: bool = True
) -> dict[str, IngestResult]:
    """Ingest every folder of the inbox that holds something, and empty it of what is safe.

    `inbox/photos/` goes to the photographs; the name of any other folder, simplified, is its style.

    Raises:
        ValueError: a folder whose name gives no style (before any work), or see `ingest`.
    """
    folders: dict[Path, str] = {}
    for folder in sorted(workspace.inbox.iterdir()) if workspace.inbox.is_dir() else ():
        # A linked folder is somebody's archive, from which nothing may be deleted.
        if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
            continue
        if drops.find_drops(folder):
            folders[folder] = _collection_of(folder)
    results: dict[str, IngestResult] = {}
    for folder, name in folders.items():
        result = ingest(workspace, folder, name, params, move=True, progress=progress, tracked=tracked)
        results[name] = results[name].then(result) if name in results else result
    return results


def track(workspace: Workspace, collection: str) -> None:
    """Let DVC track a collection's folder, in its present state.

    Raises:
        ValueError: `dvc add` failed; the message ends with what it said.
    """
    relative = workspace.collection(collection).relative_to(workspace.root).as_posix()
    run = subprocess.run(
        [sys.executable, "-m", "dvc", "add", relative],  # -q would keep the reason to itself
        cwd=workspace.root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if run.returncode:
        said = " ".join(run.stderr.partition("ERROR:")[2].split() or run.stderr.split()) or "it gave no reason"
        raise ValueError(f"`dvc add {relative}` failed in {workspace.root}: {said}")


def _begin(workspace: Workspace, collection: str, settings: Ingest) -> _Run:
    folder = workspace.collection(collection)
    pointer = folder.with_name(f"{folder.name}.dvc")
    if pointer.exists() and not (folder / MANIFEST).exists():
        raise ValueError(f"{pointer} is there and its images are not; run `dvc checkout`, or `dvc pull` first")
    quarantine = workspace.quarantine(collection)
    for place in (folder, quarantine, workspace.copies(collection).parent):
        for stale in place.glob(".*.tmp"):  # half of a file that was being written when an ingest was killed
            stale.unlink()
    rules = _rules(settings)
    entries = {entry.sha256: entry for entry in read_manifest(folder)}
    journal = Journal(workspace.work / "cache" / "ingest" / collection, rules)
    finished = {sha256: entry for sha256, entry in journal.read(folder).items() if sha256 not in entries}
    return _Run(
        collection=collection,
        folder=folder,
        quarantine=quarantine,
        now=utc_now(),
        rules=rules,
        entries=entries,
        known=Known(folder, [*entries.values(), *finished.values()], quarantine, rules),
        stones=tombstones.standing(workspace, collection),
        journal=journal,
        finished=finished,
    )


def utc_now() -> str:
    """Return the time as ISO-8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _rules(settings: Ingest) -> str:
    """Return a digest of what decides how a file is judged and described."""
    limits = asdict(images.Limits.of(settings))
    return digest_json({"limits": limits, "hash": duplicates.SCHEME, "pillow": version("pillow")})


@contextmanager
def _staging(workspace: Workspace) -> Iterator[Path]:
    """Yield an empty folder beside the data, and not in work/, which may be another disk: files are moved there."""
    folder = workspace.root / "data" / ".ingest.tmp"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed; the lock says that none is under way
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _resolve(run: _Run, judged: Judged) -> None:
    """Accept one file, or link it to the image it is a copy of, or refuse it, or leave it."""
    item, finding = judged.item, judged.finding
    if finding.arriving:
        run.left.append((item.index, item.drop))
    elif finding.sha256 is None:
        _refuse(run, judged, finding.refusal)
    else:
        if finding.sha256 in run.stones:
            _refuse(run, judged, (tombstones.REMOVED, run.stones[finding.sha256].why))
        elif finding.refusal:
            _refuse(run, judged, finding.refusal)
        elif finding.facts is None or finding.sha256 in run.new:
            _meet(run, item, finding.sha256)
        else:
            _accept(run, judged, finding.facts)
        if item.seen:
            run.safe[item.origin] = item.seen


def _refuse(run: _Run, judged: Judged, why: tuple[str, str] | None) -> None:
    """Record a refusal, and keep the file if it has any content to keep."""
    assert why is not None
    drop, finding = judged.item.drop, judged.finding
    if judged.copy and finding.sha256:
        _keep(judged.copy, run.quarantine, finding.sha256, finding.extension)
    refusal = Refusal(
        finding.sha256, drop.name, drop.source, *why, when=run.now, bytes=finding.size, rules=run.rules
    )
    run.refusals.append((judged.item.index, refusal))


def _meet(run: _Run, item: Item, sha256: str) -> None:
    """Link a file to the stored image whose bytes it has; of several new ones, the first in order is the image."""
    drop = item.drop
    if sha256 in run.finished:
        run.new[sha256] = (item.index, _named(run.finished.pop(sha256), drop))
        return
    if sha256 in run.new and item.index < run.new[sha256][0]:
        index, entry = run.new[sha256]
        run.new[sha256] = (item.index, _named(entry, drop))
        run.met.append((index, Copy(sha256, entry.name, entry.source, run.now)))
    else:
        run.met.append((item.index, Copy(sha256, drop.name, drop.source, run.now)))


def _accept(run: _Run, judged: Judged, facts: Facts) -> None:
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
        added=run.now,
        box=facts.box,
    )
    _keep(judged.copy, run.folder, sha256, facts.format)
    run.known.add(entry)
    if sha256 in run.entries:
        run.restored = True
        _meet(run, judged.item, sha256)
    else:
        run.journal.add(entry)
        run.new[sha256] = (judged.item.index, _named(entry, drop))


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


def _commit(run: _Run, workspace: Workspace, settings: Ingest) -> list[Entry]:
    """Place the new images, write every record and the manifest, and return all entries."""
    found = _in_order(list(run.new.values()))
    entries = list(run.entries.values())
    record_refusals(run.quarantine, [*_in_order(run.refusals), *_set_strays_aside(run, [*entries, *found])])
    record_copies(workspace, run.collection, _other_places(run, [*entries, *found]))
    if found:
        placements = duplicates.place(
            entries,
            [(entry.sha256, entry.phash) for entry in found],
            distance=settings.duplicate_distance,
            test_share=settings.test_share,
        )
        entries += [_placed(entry, placement) for entry, placement in zip(found, placements, strict=True)]
        sync_filesystem(run.folder)  # the images must be durable before the manifest that holds them
        write_manifest(run.folder, entries)
    run.journal.finish()
    return entries


def _set_strays_aside(run: _Run, entries: Sequence[Entry]) -> list[Refusal]:
    """Quarantine images that an ingest stored which did not end, and whose source this one did not meet again.

    Their source has gone, or was another folder: nobody has said that they belong here.
    """
    named, strays = {entry.file for entry in entries}, []
    for path in sorted(run.folder.glob("*.*")) if run.folder.is_dir() else ():
        if path.name not in named and _STORED.fullmatch(path.name):
            entry = run.finished.get(path.stem)
            name, source = (entry.name, entry.source) if entry else (path.name, "")
            size = path.stat().st_size
            _keep(path, run.quarantine, path.stem, path.suffix[1:])
            strays.append(Refusal(path.stem, name, source, "interrupted", _INTERRUPTED, run.now, size, run.rules))
    return strays


def _other_places(run: _Run, entries: Sequence[Entry]) -> list[Copy]:
    """Return what was met under another name or in another folder than the manifest says."""
    own = {(entry.sha256, entry.name, entry.source) for entry in entries}
    return [copy for copy in _in_order(run.met) if copy.same not in own]


def _placed(entry: Entry, placement: duplicates.Placement) -> Entry:
    flags = {*entry.flags, "bridges_split"} if placement.bridges else set(entry.flags)
    return replace(entry, group=placement.group, split=placement.split, flags=tuple(sorted(flags)))


def _twins(run: _Run, workspace: Workspace, settings: Ingest) -> tuple[Twin, ...]:
    """Return the new images that another collection holds too, or one that looks alike."""
    new = [entry for _, entry in run.new.values()]
    if not new:
        return ()
    twins = []
    for name in workspace.collections():
        if name != run.collection:
            others = read_manifest(workspace.collection(name))
            nearest: dict[str, tuple[bool, int, Twin]] = {}
            for one, other, bits in duplicates.near_pairs(new, others, settings.duplicate_distance):
                exact = one.sha256 == other.sha256
                found = (not exact, bits, Twin(one.name, name, other.name, exact))
                nearest[one.sha256] = min(found, nearest.get(one.sha256, found), key=lambda each: each[:2])
            twins += [twin for _, _, twin in nearest.values()]
    return tuple(twins)


def _result(run: _Run, entries: Sequence[Entry], twins: tuple[Twin, ...]) -> IngestResult:
    return IngestResult(
        collection=run.collection,
        accepted=len(run.new),
        duplicates=len(run.met),
        refused=len(run.refusals),
        left=len(run.left),
        changed=bool(run.new) or run.restored,
        refusals=tuple(_in_order(run.refusals)),
        left_names=tuple(drop.shown for drop in _in_order(run.left)),
        totals=counts(entries),
        twins=twins,
    )


def _in_order(numbered: Sequence[tuple[int, Any]]) -> list[Any]:
    return [each for _, each in sorted(numbered, key=lambda pair: pair[0])]


def _delete_safe(run: _Run) -> None:
    for path, seen in run.safe.items():
        try:
            if drops.identity(path) == seen:  # else something new has taken its name
                path.unlink()
        except OSError:
            pass  # a folder that we may not change; the file is a duplicate the next time


def _nothing(run: _Run, source: Path) -> str:
    refusals = _in_order(run.refusals)
    reasons = Counter(refusal.reason for refusal in refusals)
    said = ", ".join(f"{count} {code}" for code, count in sorted(reasons.items()))
    example = f"; for example {refusals[0].name!r}: {refusals[0].detail}" if refusals else ""
    what = "photograph" if run.collection == PHOTOS else f"artwork for the new style {run.collection!r}"
    return (
        f"no file of {source} can be taken as a{'n' if run.collection != PHOTOS else ''} {what}: "
        f"{len(refusals)} refused ({said or 'none'}), {len(run.left)} still arriving{example}"
    )


def _check_space(found: list[Drop], known: Known, workspace: Workspace, settings: Ingest) -> None:
    """Refuse before any work what the disk cannot hold; what is known or too large to be taken needs nothing."""
    size = 0
    for drop in found:
        try:
            one = drop.path.lstat().st_size
        except OSError:
            continue  # gone since; it is left out later as well
        if one <= settings.max_bytes and not known.may_hold(one):
            size += one
    require_free_space(workspace.root, 2 * size, "the images and DVC's copy of them")


def _track_if_needed(workspace: Workspace, collection: str) -> None:
    """Track a collection whose `.dvc` file is older than its manifest: also after an ingest that was interrupted."""
    folder = workspace.collection(collection)
    pointer = folder.with_name(f"{folder.name}.dvc")
    if pointer.exists() and pointer.stat().st_mtime_ns >= folder.stat().st_mtime_ns:
        return
    track(workspace, collection)
    os.utime(pointer)  # DVC leaves an unchanged file as it is


def _collection_of(folder: Path) -> str:
    name = slug(folder.name)
    if name == PHOTOS:
        return PHOTOS
    try:
        return check_name(name, "style")
    except ValueError as error:
        raise ValueError(f"inbox folder {folder.name!r} gives no style's name; rename it ({error})") from error
