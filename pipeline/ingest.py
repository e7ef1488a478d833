"""A folder or the inbox -> content-addressed images, manifest, quarantine, DVC.

The order makes every interruption harmless: images first, then the manifest that names them, then DVC, and only then
deletion of what the inbox no longer has to hold. What an interrupted ingest had decoded is in its journal.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from pipeline import images
from pipeline.dvc import dvc
from pipeline.files import digest_json, require_free_space, scratch_folder, sync_filesystem
from pipeline.intake import drops, duplicates, tombstones
from pipeline.intake.copies import record_copies
from pipeline.intake.drops import Drop
from pipeline.intake.gather import Gathering, Identities
from pipeline.intake.inbox import survey
from pipeline.intake.journal import Journal
from pipeline.intake.known import Known
from pipeline.intake.ledger import Ledger
from pipeline.intake.quarantine import Refusal, read_quarantine, record_refusals
from pipeline.intake.records import utc_now
from pipeline.intake.result import IngestResult, Twin
from pipeline.manifest import FILE as MANIFEST
from pipeline.manifest import Entry, counts, read_manifest, write_manifest
from pipeline.params import Ingest, Params
from pipeline.process import exclusive
from pipeline.recipes import add_style
from pipeline.workspace import PHOTOS, Workspace, check_name

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
_WHILE = 0.5  # seconds between two looks at the inbox, at most


def ingest(
    workspace: Workspace,
    source: Path,
    collection: str,
    params: Params,
    *,
    move: bool = False,
    progress: Progress | None = None,
    tracked: bool = True,
    before: Identities | None = None,
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
        before: files as they were a while ago: one that has changed since, or was not there, is still arriving.

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
        ledger = _begin(workspace, collection, params.ingest)
        _check_space(found, ledger.known, workspace, params.ingest)
        quiet = params.ingest.quiet_seconds if move else 0
        # Beside the data and not in work/, which may be another disk: files are moved out of it.
        with (
            scratch_folder(workspace.root / "data" / ".ingest.tmp") as staging,
            Gathering(source, staging, quiet, params.ingest, ledger.known, before) as gathering,
        ):
            for done, judged in enumerate(gathering.judged(found), 1):
                ledger.take(judged)
                if progress:
                    progress(done, gathering.total)
            entries = _commit(ledger, workspace, collection, params.ingest)
        if not entries and not move:
            raise ValueError(_nothing(ledger, collection, source))
        if entries and collection != PHOTOS:
            add_style(workspace, collection, warm_start=params.ingest.warm_start)
        if entries and tracked:
            _track_if_needed(workspace, collection)
        if move:
            _delete_safe(ledger)
        return _result(ledger, collection, entries, _twins(ledger, workspace, collection, params.ingest))


def ingest_inbox(
    workspace: Workspace, params: Params, *, progress: Progress | None = None, tracked: bool = True
) -> dict[str, IngestResult]:
    """Ingest every folder of the inbox that holds something, and empty it of what is safe.

    `inbox/photos/` goes to the photographs; the name of any other folder, simplified, is its style.

    A folder whose name gives no style, or that cannot be read, is left where it is; `inbox.survey` tells of it.

    Raises:
        ValueError: see `ingest`.
    """
    folders = survey(workspace.inbox).folders
    before = _after_a_while(folders, params.ingest.quiet_seconds)
    results: dict[str, IngestResult] = {}
    for folder, name in folders.items():
        result = ingest(workspace, folder, name, params, move=True, progress=progress, tracked=tracked, before=before)
        results[name] = results[name].then(result) if name in results else result
    return results


def track(workspace: Workspace, collection: str) -> None:
    """Let DVC track a collection's folder, in its present state.

    Raises:
        ValueError: `dvc add` failed; the message ends with what it said.
    """
    relative = workspace.collection(collection).relative_to(workspace.root).as_posix()
    run = subprocess.run(
        dvc(workspace, "add", relative),  # -q would keep the reason to itself
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


def _begin(workspace: Workspace, collection: str, settings: Ingest) -> Ledger:
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
    return Ledger(
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


def _rules(settings: Ingest) -> str:
    """Return a digest of what decides how a file is judged and described."""
    limits = asdict(images.Limits.of(settings))
    return digest_json({"limits": limits, "hash": duplicates.SCHEME, "pillow": version("pillow")})


def _commit(ledger: Ledger, workspace: Workspace, collection: str, settings: Ingest) -> list[Entry]:
    """Place the new images, write every record and the manifest, and return all entries."""
    entries, found = list(ledger.entries.values()), ledger.new
    refusals = [*ledger.refusals, *ledger.set_strays_aside()]
    if ledger.changed or refusals:  # files must be durable before the records that name them
        sync_filesystem(workspace.root / "data")
    record_refusals(ledger.quarantine, refusals)
    record_copies(workspace, collection, ledger.copies())
    if found:
        placements = duplicates.place(
            entries,
            [(entry.sha256, entry.phash) for entry in found],
            distance=settings.duplicate_distance,
            test_share=settings.test_share,
        )
        entries += [_placed(entry, placement) for entry, placement in zip(found, placements, strict=True)]
        write_manifest(ledger.folder, entries)
    ledger.journal.finish()
    return entries


def _placed(entry: Entry, placement: duplicates.Placement) -> Entry:
    flags = {*entry.flags, "bridges_split"} if placement.bridges else set(entry.flags)
    return replace(entry, group=placement.group, split=placement.split, flags=tuple(sorted(flags)))


def _twins(ledger: Ledger, workspace: Workspace, collection: str, settings: Ingest) -> tuple[Twin, ...]:
    """Return the new images that another collection holds too, or one that looks alike."""
    if not ledger.new:
        return ()
    twins = []
    for name in workspace.collections():
        if name != collection:
            others = read_manifest(workspace.collection(name))
            nearest: dict[str, tuple[bool, int, Twin]] = {}
            for one, other, bits in duplicates.near_pairs(ledger.new, others, settings.duplicate_distance):
                exact = one.sha256 == other.sha256
                found = (not exact, bits, Twin(one.name, name, other.name, exact))
                nearest[one.sha256] = min(found, nearest.get(one.sha256, found), key=lambda each: each[:2])
            twins += [twin for _, _, twin in nearest.values()]
    return tuple(twins)


def _result(ledger: Ledger, collection: str, entries: Sequence[Entry], twins: tuple[Twin, ...]) -> IngestResult:
    return IngestResult(
        collection=collection,
        accepted=len(ledger.new),
        duplicates=ledger.met,
        refused=len(ledger.refusals),
        left=len(ledger.left),
        changed=ledger.changed,
        refusals=tuple(ledger.refusals),
        left_names=tuple(drop.shown for drop in ledger.left),
        totals=counts(entries),
        twins=twins,
    )


def _delete_safe(ledger: Ledger) -> None:
    for path, seen in ledger.safe.items():
        try:
            if drops.identity(path) == seen:  # else something new has taken its name
                path.unlink()
        except OSError:
            pass  # a folder that we may not change; the file is a duplicate the next time


def _nothing(ledger: Ledger, collection: str, source: Path) -> str:
    refusals = ledger.refusals
    reasons = Counter(refusal.reason for refusal in refusals)
    said = ", ".join(f"{count} {code}" for code, count in sorted(reasons.items()))
    example = f"; for example {refusals[0].name!r}: {refusals[0].detail}" if refusals else ""
    what = "a photograph" if collection == PHOTOS else f"an artwork for the new style {collection!r}"
    return (
        f"no file of {source} can be taken as {what}: {len(refusals)} refused ({said or 'none'}), "
        f"{len(ledger.left)} still arriving{example}"
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
    """Track a collection that changed since its `.dvc` file was made: also after an ingest that was interrupted.

    The file then bears the folder's own time. Which of two is later a clock that was set back would not tell.
    """
    folder = workspace.collection(collection)
    pointer = folder.with_name(f"{folder.name}.dvc")
    changed = folder.stat().st_mtime_ns
    if pointer.exists() and pointer.stat().st_mtime_ns == changed:
        return
    track(workspace, collection)
    os.utime(pointer, ns=(changed, changed))

def _after_a_while(folders: Iterable[Path], quiet: float) -> Identities | None:
    """Return the files of some folders as they were a while ago: times alone cannot be trusted, clocks are set."""
    if not quiet:
        return None
    before: dict[Path, tuple[int, int, int]] = {}
    for folder in folders:
        for drop in drops.find_drops(folder):
            with contextlib.suppress(OSError):  # gone since
                before[drop.path] = drops.identity(drop.path)
    if before:
        time.sleep(min(quiet, _WHILE))
    return before
