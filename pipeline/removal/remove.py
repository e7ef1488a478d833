"""Take images out of their collections.

The order makes every interruption harmless: tombstones first, then the manifest, then the files, then DVC. Doing it
again finishes what was begun.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import fsync_directory, write_atomic
from pipeline.intake import tombstones
from pipeline.intake.records import utc_now
from pipeline.intake.tombstones import Tombstone
from pipeline.manifest import FILE as MANIFEST
from pipeline.manifest import Entry, counts, read_manifest
from pipeline.params import Ingest, Params
from pipeline.process import exclusive
from pipeline.removal.matches import Match
from pipeline.workspace import PHOTOS, Workspace


@dataclass(frozen=True)
class Removal:
    """What was removed; totals counts each collection that was touched, see `manifest.counts`."""

    removed: tuple[Match, ...]
    totals: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...]


def remove(
    workspace: Workspace,
    matches: Sequence[Match],
    reason: str,
    params: Params,
    *,
    by: str = "",
    now: str | None = None,
    tracked: bool = True,
) -> Removal:
    """Take images out of their collections, and let no ingest take them in again.

    Nothing else changes: every other line of a manifest stays to the letter, with its group and split. What DVC has
    stored of the images stays in its cache, for the versions that were made from them.

    Args:
        workspace: what to change.
        matches: see `matches.find`; of those that are out already, what is left is cleared away.
        reason: a sentence for the record.
        params: `ingest` says how many images a collection needs.
        by: who removes them.
        now: ISO-8601 UTC; without, the present time.
        tracked: run `dvc add` at the end.

    Raises:
        ValueError: no reason, an ingest or a retrain under way, a damaged record; or `dvc add` failed, and the same
            call again goes on from there.
    """
    if not reason.strip():
        raise ValueError('say why with --reason "...": it stands in the record of removals')
    gone = by_collection(matches)
    with alone(workspace):
        when = now or utc_now()
        data = workspace.root / "data"
        _delete(data.glob(f".{tombstones.FILE}.*.tmp"), data)  # of one that was killed; nobody else is at work here
        tombstones.record(
            workspace,
            (Tombstone(m.collection, m.sha256, m.name, m.source, reason.strip(), by, when) for m in matches),
        )
        for collection, sha256s in gone.items():
            folder = workspace.collection(collection)
            if not folder.is_dir():
                continue
            _delete(folder.glob(".*.tmp"), folder)
            _drop_lines(folder, sha256s)
            _delete((path for path in folder.iterdir() if path.name.partition(".")[0] in sha256s), folder)
            _forget(workspace, collection, sha256s)
            if tracked:
                _track(workspace, collection)
        left = {collection: read_manifest(workspace.collection(collection)) for collection in gone}
    return Removal(
        removed=tuple(matches),
        totals={collection: counts(entries) for collection, entries in left.items()},
        warnings=tuple(said for each in left.items() if (said := _shortfall(*each, params.ingest))),
    )


def by_collection(matches: Sequence[Match]) -> dict[str, set[str]]:
    """Return collection -> sha256s."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for match in matches:
        found[match.collection].add(match.sha256)
    return dict(found)


@contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Keep retrains and ingests away during the block: a version's commit must hold the images it was made from.

    Raises:
        ValueError: one is under way.
    """
    with (
        exclusive(workspace.var / "retrain.lock", f"a retrain of {workspace.root}"),
        exclusive(workspace.var / "locks" / "ingest.lock", f"an ingest in {workspace.root}"),
    ):
        yield


def _drop_lines(folder: Path, sha256s: Collection[str]) -> None:
    entries = read_manifest(folder)
    if not any(entry.sha256 in sha256s for entry in entries):
        return
    lines = (folder / MANIFEST).read_bytes().splitlines(keepends=True)
    kept = [line for line, entry in zip(lines, entries, strict=True) if entry.sha256 not in sha256s]
    # Empty in the end: a manifest that is missing means another thing.
    write_atomic(folder / MANIFEST, b"".join(kept))


def _delete(paths: Iterator[Path], folder: Path) -> None:
    """Delete files of a folder, durably."""
    for path in list(paths):
        path.unlink()
    if folder.is_dir():
        fsync_directory(folder)


def _forget(workspace: Workspace, collection: str, sha256s: Collection[str]) -> None:
    """Delete what else shows the images: remembered crops and sheets, and the pages on quality.

    Of those every collection's: a page also shows what another collection has in common with its own.
    """
    cache = workspace.work / "cache"
    crops = cache / "prepared" / collection
    _delete((path for path in crops.glob("*") if path.name.partition("-")[0] in sha256s), crops)
    sheets = cache / "sheets"
    sheet = re.compile(rf"{re.escape(collection)}-[0-9a-f]{{64}}\.jpg")
    _delete((path for path in sheets.glob("*.jpg") if sheet.fullmatch(path.name)), sheets)
    pages = workspace.quality(collection).parent
    _delete(pages.glob("*.html"), pages)


def _track(workspace: Workspace, collection: str) -> None:
    from pipeline.ingest import track  # here: it brings the decoders, which nothing else of this needs

    try:
        track(workspace, collection)
    except ValueError as error:
        raise ValueError(
            f"the images are out of {collection!r}, but DVC does not know it yet: {error}; run the same command again"
        ) from error


def _shortfall(collection: str, entries: Sequence[Entry], settings: Ingest) -> str:
    """Return what a collection lacks now, and what to do about it; empty if nothing."""
    if collection == PHOTOS:
        what, least, key, option = "the photographs", settings.min_photos, "ingest.min_photos", "--photos"
    else:
        what, least, key = f"style {collection!r}", settings.min_artworks, "ingest.min_artworks"
        option = f"--style {collection}"
    splits = Counter[str](entry.split for entry in entries if entry.split != "excluded")
    add = f"add others with `atelier ingest FOLDER {option}`"
    if not entries and collection != PHOTOS:
        return f"{what}: no image is left, so it cannot be built; {add}, or take it out of recipes.yaml"
    if splits.total() < least:
        return f"{what}: {splits.total()} left, fewer than {key} ({least}), so nothing can be built; {add}"
    for split, purpose in (("train", "to train on"), ("test", "held out to evaluate on")):
        if not splits[split]:
            return f"{what}: none is left {purpose}, so nothing can be built; {add}"
    return ""
