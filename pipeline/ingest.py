"""A folder or the inbox -> content-addressed images, manifest, quarantine, DVC.

The order makes every interruption harmless: images first, then the manifest that names them, then deletion of what
the inbox no longer has to hold. An image without a manifest line is picked up again when its source is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipeline import images
from pipeline.files import fsync_directory, require_free_space
from pipeline.intake import drops, duplicates
from pipeline.intake.drops import Drop, StillArriving
from pipeline.intake.quarantine import Refusal, read_quarantine, record_refusals
from pipeline.intake.result import IngestResult
from pipeline.manifest import FILE as MANIFEST
from pipeline.manifest import Entry, counts, read_manifest, write_manifest
from pipeline.params import Params
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

Progress = Callable[[int, int], None]  # files looked at, files in all


@dataclass
class _Run:
    """The state of one ingest."""

    collection: str
    root: Path
    folder: Path
    quarantine: Path
    staging: Path
    limits: images.Limits
    quiet: float  # seconds; 0 takes files of any age
    now: str
    known: dict[str, Entry]
    new: dict[str, Entry] = field(default_factory=dict)  # group and split still to be found
    duplicates: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    left: list[Drop] = field(default_factory=list)
    safe: list[tuple[Drop, tuple[int, int, int]]] = field(default_factory=list)  # may be deleted at the end
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
        source: folder, searched with its subfolders; names beginning with a dot are skipped.
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
    with _only_one(workspace):
        found = drops.find_drops(source)
        if not found and not move:
            raise ValueError(f"{source} holds no files, so there is nothing to ingest")
        run = _begin(workspace, source, collection, params, move)
        _check_space(found, workspace)
        try:
            for done, drop in enumerate(found, 1):
                _take(run, drop)
                if progress:
                    progress(done, len(found))
            entries = _commit(run, params)
        finally:
            shutil.rmtree(run.staging, ignore_errors=True)
        _delete_safe(run, move)
        if not entries and not move:
            raise ValueError(_nothing(run, source))
        if entries and collection != PHOTOS:
            add_style(workspace, collection)
        if entries and tracked:
            _track_if_needed(workspace, collection)
    return IngestResult(
        collection=collection,
        accepted=len(run.new),
        duplicates=run.duplicates,
        refused=len(run.refusals),
        left=len(run.left),
        changed=bool(run.new) or run.restored,
        refusals=tuple(run.refusals),
        left_names=tuple(drop.shown for drop in run.left),
        totals=counts(entries),
    )


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


def _begin(workspace: Workspace, source: Path, collection: str, params: Params, move: bool) -> _Run:
    folder = workspace.collection(collection)
    pointer = folder.with_name(f"{folder.name}.dvc")
    if pointer.exists() and not (folder / MANIFEST).exists():
        raise ValueError(f"{pointer} is there and its images are not; run `dvc checkout`, or `dvc pull` first")
    # Beside the data and not in work/, which may be another disk: files reach their place by a rename.
    staging = workspace.root / "data" / ".ingest.tmp"
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed; the lock says that none is under way
    staging.mkdir(parents=True)
    for stale in folder.glob(".*.tmp"):
        stale.unlink()
    return _Run(
        collection=collection,
        root=source,
        folder=folder,
        quarantine=workspace.quarantine(collection),
        staging=staging,
        limits=images.Limits.of(params.ingest),
        quiet=params.ingest.quiet_seconds if move else 0,
        now=datetime.now(UTC).isoformat(timespec="seconds"),
        known={entry.sha256: entry for entry in read_manifest(folder)},
    )


def _take(run: _Run, drop: Drop) -> None:
    """Accept one file, or find that it is a duplicate, or refuse it, or leave it."""
    sha256 = None
    copy = None
    try:
        path = drops.target_of(drop, run.root)
        if run.quiet:
            drops.check_quiet(path, run.quiet)
        seen = drops.identity(drop.path)
        sha256, size = drops.sha256_of(path)
        if sha256 in run.new or _is_stored(run, sha256):
            run.duplicates += 1
        else:
            copy = drops.copy_to(path, run.staging / sha256, sha256)
            _accept(run, drop, copy, size)
        run.safe.append((drop, seen))
    except StillArriving:
        run.left.append(drop)
    except images.Refused as refusal:
        if copy:
            _keep(copy, run.quarantine, refusal.extension or "bin")
            run.safe.append((drop, seen))
        kept = sha256 if copy else None
        run.refusals.append(Refusal(kept, drop.name, drop.source, refusal.code, refusal.detail, run.now))


def _is_stored(run: _Run, sha256: str) -> bool:
    return sha256 in run.known and (run.folder / run.known[sha256].file).is_file()


def _accept(run: _Run, drop: Drop, copy: drops.Copy, size: int) -> None:
    """Store a copy that decodes; what was known and had gone missing is put back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on metadata; what matters becomes a flag
        decoded = images.decode(copy.path, run.limits)
    flags = set(decoded.flags)
    if Path(drop.name).suffix.lower() not in images.SUFFIXES[decoded.format]:
        flags.add("misnamed")
    entry = Entry(
        sha256=copy.sha256,
        name=drop.name,
        source=drop.source,
        width=decoded.image.width,
        height=decoded.image.height,
        bytes=size,
        format=decoded.format,
        phash=duplicates.perceptual_hash(decoded.image),
        group="",
        split="excluded",
        flags=tuple(sorted(flags)),
        added=run.now,
    )
    _keep(copy, run.folder, decoded.format)
    if copy.sha256 in run.known:
        run.duplicates += 1
        run.restored = True
    else:
        run.new[copy.sha256] = entry


def _keep(copy: drops.Copy, folder: Path, extension: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    copy.path.replace(folder / f"{copy.sha256}.{extension}")


def _commit(run: _Run, params: Params) -> list[Entry]:
    """Place the new images, write the quarantine's record and the manifest, and return all entries."""
    record_refusals(run.quarantine, run.refusals)
    known = list(run.known.values())
    if not run.new:
        return known
    placements = duplicates.place(
        known,
        [(entry.sha256, entry.phash) for entry in run.new.values()],
        distance=params.ingest.duplicate_distance,
        test_share=params.ingest.test_share,
    )
    placed = [_placed(entry, placement) for entry, placement in zip(run.new.values(), placements, strict=True)]
    fsync_directory(run.folder)  # the images' names must be durable before the manifest that holds them
    write_manifest(run.folder, [*known, *placed])
    return [*known, *placed]


def _placed(entry: Entry, placement: duplicates.Placement) -> Entry:
    flags = {*entry.flags, "bridges_split"} if placement.bridges else entry.flags
    changes = {"group": placement.group, "split": placement.split, "flags": tuple(sorted(flags))}
    return Entry(**{**asdict(entry), **changes})


def _delete_safe(run: _Run, move: bool) -> None:
    for drop, seen in run.safe if move else ():
        try:
            if drops.identity(drop.path) == seen:  # else something new has taken its name
                drop.path.unlink()
        except OSError:
            pass  # a folder that we may not change; the file is a duplicate the next time


def _nothing(run: _Run, source: Path) -> str:
    reasons = Counter(refusal.reason for refusal in run.refusals)
    said = ", ".join(f"{count} {code}" for code, count in sorted(reasons.items()))
    first = run.refusals[0] if run.refusals else None
    example = f"; for example {first.name!r}: {first.detail}" if first else ""
    what = "photograph" if run.collection == PHOTOS else f"artwork for the new style {run.collection!r}"
    return (
        f"no file of {source} can be taken as a{'n' if run.collection != PHOTOS else ''} {what}: "
        f"{len(run.refusals)} refused ({said or 'none'}), {len(run.left)} still arriving{example}"
    )


def _check_space(found: list[Drop], workspace: Workspace) -> None:
    size = 0
    for drop in found:
        try:
            size += drop.path.lstat().st_size
        except OSError:
            continue  # gone since; it is left out below as well
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


@contextmanager
def _only_one(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's ingest lock; the system lets go of it when the process ends, however it does."""
    path = workspace.var / "locks" / "ingest.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another ingest is under way in {workspace.root}; wait until it is finished") from error
        yield
