"""One folder of every kind of file, ingested once: each must end as its format and the rules say."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import images
from pipeline.ingest import IngestResult, ingest_inbox
from pipeline.intake import tombstones
from pipeline.intake.copies import Copy, read_copies
from pipeline.intake.quarantine import Refusal, read_quarantine
from pipeline.manifest import Entry, read_manifest
from pipeline.workspace import Workspace
from tests.pipeline.intake.kinds import HEIGHT, KINDS, LIMITS, PATCH, WIDTH, zipped
from tests.pipeline.pictures import make_workspace, small_params

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # remarks on damaged metadata
POSSIBLE = [name for name, kind in KINDS.items() if not kind.needs()]
NO_CONTENT = {"not_regular", "outside"}  # and links and files that cannot be read: there is nothing to keep


@dataclass(frozen=True)
class Outcome:
    """What became of the folder, by the files' names."""

    workspace: Workspace
    result: IngestResult
    entries: dict[bytes, Entry]
    refusals: dict[bytes, Refusal]
    copies: dict[bytes, Copy]
    left: set[bytes]  # in the inbox, afterwards


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    workspace = make_workspace(tmp_path_factory.mktemp("kinds") / "studio")
    folder = workspace.inbox / "every-kind"
    folder.mkdir(parents=True)
    for name in POSSIBLE:
        KINDS[name].make(folder / os.fsdecode(name))
    (folder / "archive.zip").write_bytes(zipped())
    (folder / ".hidden.png").write_bytes(b"x")
    _age(folder)
    (folder / "arriving.png").touch()
    removed = hashlib.sha256((folder / "removed.png").read_bytes()).hexdigest()
    stone = tombstones.Tombstone("every-kind", removed, "removed.png", "every-kind", "a copyist's", "", "2026-01-01")
    tombstones.record(workspace, [stone])
    with _growing(folder / "growing.png"):
        result = ingest_inbox(workspace, small_params(**LIMITS), tracked=False)["every-kind"]
    collection = workspace.collection("every-kind")
    return Outcome(
        workspace,
        result,
        {os.fsencode(entry.name): entry for entry in read_manifest(collection)},
        {os.fsencode(refusal.name): refusal for refusal in read_quarantine(workspace.quarantine("every-kind"))},
        {os.fsencode(copy.name): copy for copy in read_copies(workspace, "every-kind")},
        {os.fsencode(path.name) for path in folder.iterdir()},
    )


def _age(folder: Path) -> None:
    hour_ago = time.time() - 3600
    for path in folder.iterdir():
        os.utime(path, (hour_ago, hour_ago), follow_symlinks=False)


@contextmanager
def _growing(path: Path) -> Iterator[None]:
    """Let a file grow all the time, by a program that keeps its time of change old: only reading it twice tells."""
    done = threading.Event()

    def grow() -> None:
        while not done.is_set():
            with path.open("ab") as stream:
                stream.write(b"more")
            os.utime(path, (1e9, 1e9))

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def of(outcome: str) -> list[Any]:
    """Return the names of an outcome's files as parameters; those that cannot be made here are skipped."""
    found = []
    for name, kind in KINDS.items():
        if outcome == (kind.outcome if kind.outcome in ("accepted", "copy", "left") else "refused"):
            marks = [pytest.mark.skip(reason=why)] if (why := kind.needs()) else []
            found.append(pytest.param(name, id=ascii(os.fsdecode(name)), marks=marks))
    return found


def test_every_kind_is_there() -> None:
    assert len(KINDS) >= 100


@pytest.mark.parametrize("name", of("accepted"))
def test_good_file_is_taken_as_what_it_is(outcome: Outcome, name: bytes) -> None:
    kind = KINDS[name]
    assert name in outcome.entries, outcome.refusals.get(name, "left")
    entry = outcome.entries[name]
    assert entry.format == kind.format
    assert set(entry.flags) - {"bridges_split"} == kind.flags
    if kind.box:
        assert entry.box is not None
        assert np.abs(np.subtract(entry.box, kind.box)).max() <= 2
    else:
        assert entry.box is None
    if kind.seen is not None:
        assert (entry.width, entry.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("name", [one for one in of("accepted") if KINDS[one.values[0]].seen is not None])
def test_stored_file_shows_the_colours_that_its_format_means(outcome: Outcome, name: bytes) -> None:
    kind = KINDS[name]
    assert kind.seen is not None
    stored = outcome.workspace.collection("every-kind") / outcome.entries[name].file
    pixels = np.asarray(images.decode(stored, images.ACCEPTED).image).astype(float)
    middles = pixels[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]
    assert np.abs(middles - kind.seen).max() <= kind.tolerance + 0.5  # half a level of rounding


@pytest.mark.parametrize("name", of("refused"))
def test_bad_file_is_refused_with_its_reason(outcome: Outcome, name: bytes) -> None:
    kind = KINDS[name]
    assert name in outcome.refusals, outcome.entries.get(name, "left")
    refusal = outcome.refusals[name]
    assert refusal.reason == kind.outcome, refusal.detail
    assert refusal.detail
    kept = list(outcome.workspace.quarantine("every-kind").glob(f"{refusal.sha256}.*"))
    if refusal.sha256 is None:
        assert kind.outcome in {*NO_CONTENT, "unreadable"} or refusal.name == "too many bytes.png"
        assert name in outcome.left
    elif kind.outcome != "removed":
        assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in kept] == [refusal.sha256]
        assert name not in outcome.left


@pytest.mark.parametrize("name", of("copy"))
def test_copy_is_linked_and_not_stored_again(outcome: Outcome, name: bytes) -> None:
    assert outcome.copies[name].sha256 == outcome.entries[b"plain.png"].sha256
    assert name not in outcome.left


@pytest.mark.parametrize("name", of("left"))
def test_file_that_is_still_written_stays(outcome: Outcome, name: bytes) -> None:
    assert name in outcome.left
    assert name not in outcome.entries
    assert name not in outcome.refusals
    assert f"every-kind/{name.decode()}" in outcome.result.left_names


def test_archive_gives_its_members(outcome: Outcome) -> None:
    assert outcome.entries[b"inside.png"].source == "every-kind/archive.zip/sub"
    assert outcome.refusals[b"letter inside.txt"].reason == "not_image"
    assert b"archive.zip" not in outcome.left


def test_every_file_is_counted_once(outcome: Outcome) -> None:
    result, inside = outcome.result, 2  # members of the archive instead of it
    assert result.accepted + result.duplicates + result.refused + result.left == len(POSSIBLE) + inside
    assert result.accepted == len(outcome.entries)
    assert result.left == sum(KINDS[name].outcome == "left" for name in POSSIBLE)
    no_content = {name for name, refusal in outcome.refusals.items() if refusal.sha256 is None}
    assert outcome.left == no_content | {b"arriving.png", b"growing.png", b".hidden.png"}


def test_stored_names_are_hashes_whatever_the_files_were_called(outcome: Outcome) -> None:
    collection = outcome.workspace.collection("every-kind")
    for entry in outcome.entries.values():
        data = (collection / entry.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
    names = {path.name for path in collection.iterdir()} - {"manifest.jsonl"}
    assert names == {entry.file for entry in outcome.entries.values()}
