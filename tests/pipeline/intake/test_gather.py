"""What becomes of archives, of copies, of what is known, and of a file that ends its worker."""

from __future__ import annotations

import hashlib
import io
import os
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import images, ingest
from pipeline.intake import executors
from pipeline.intake.copies import read_copies
from pipeline.intake.executors import Inline, WorkerLost
from pipeline.intake.inspection import Task
from pipeline.intake.quarantine import read_quarantine
from pipeline.intake.result import IngestResult
from pipeline.intake.tombstones import Tombstone, record
from pipeline.manifest import read_manifest
from pipeline.params import Params
from pipeline.workspace import Workspace
from tests.pipeline.pictures import encoded, fill, make_workspace, small_params, texture

INLINE = small_params(executor="inline")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws")


def take(
    workspace: Workspace, source: Path, collection: str = "monet", move: bool = False, params: Params = INLINE
) -> IngestResult:
    return ingest.ingest(workspace, source, collection, params, move=move, tracked=False)


def packed(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def age(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 60,) * 2)


def test_members_of_an_archive_are_taken_and_say_where_they_lay(workspace: Workspace) -> None:
    inbox = fill(workspace.inbox / "monet", range(2))
    pictures = {"water/lily.png": encoded(texture(10)), "haystack.jpg": encoded(texture(11), "JPEG")}
    (inbox / "Summer.ZIP").write_bytes(packed(pictures | {"again.png": encoded(texture(0)), "note.txt": b"hello"}))
    age(inbox)
    result = take(workspace, inbox, move=True)
    assert (result.accepted, result.duplicates, result.reasons) == (4, 1, {"not_image": 1})
    entries = {entry.name: entry for entry in read_manifest(workspace.collection("monet"))}
    assert entries["lily.png"].source == "monet/Summer.ZIP/water"
    assert entries["haystack.jpg"].source == "monet/Summer.ZIP"
    assert entries["lily.png"].sha256 == sha256(pictures["water/lily.png"])
    assert (workspace.quarantine("monet") / f"{sha256(b'hello')}.bin").read_bytes() == b"hello"
    assert list(inbox.iterdir()) == []


def test_an_archive_that_is_refused_is_kept_whole(workspace: Workspace) -> None:
    inbox = fill(workspace.inbox / "monet", range(2))
    content = packed({"a.png": encoded(texture(10))})[:-40]
    (inbox / "cut.zip").write_bytes(content)
    age(inbox)
    result = take(workspace, inbox, move=True)
    assert (result.accepted, result.refused) == (2, 1)
    assert (workspace.quarantine("monet") / f"{sha256(content)}.zip").read_bytes() == content
    assert list(inbox.iterdir()) == []


def test_a_member_that_cannot_be_unpacked_keeps_the_archive(workspace: Workspace) -> None:
    inbox = fill(workspace.inbox / "monet", range(2))
    content = packed({"../up.png": encoded(texture(10)), "/root.png": encoded(texture(11)), "b.png": b"no image"})
    (inbox / "climbing.zip").write_bytes(content)
    age(inbox)
    result = take(workspace, inbox, move=True)
    assert result.reasons == {"not_image": 1, "outside": 2}
    refusals = {refusal.name: refusal for refusal in read_quarantine(workspace.quarantine("monet"))}
    assert refusals["up.png"].sha256 == refusals["root.png"].sha256 == sha256(content)
    assert (workspace.quarantine("monet") / f"{sha256(content)}.zip").read_bytes() == content
    assert list(inbox.iterdir()) == []
    assert not list(workspace.root.rglob("up.png"))


def test_an_archive_beyond_its_limits_is_refused_before_anything_is_taken(workspace: Workspace) -> None:
    inbox = fill(workspace.inbox / "monet", range(2))
    (inbox / "many.zip").write_bytes(packed({f"{number}.png": encoded(texture(number)) for number in range(5, 9)}))
    age(inbox)
    settings = replace(INLINE.ingest, archives=replace(INLINE.ingest.archives, max_members=3))
    result = take(workspace, inbox, move=True, params=replace(INLINE, ingest=settings))
    assert (result.accepted, result.reasons) == (2, {"too_large": 1})


def test_copies_are_linked_to_the_image_that_was_first_in_order(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(3))
    (source / "0000 before.png").write_bytes(encoded(texture(2)))
    (source / "zz.png").write_bytes(encoded(texture(2)))
    result = take(workspace, source)
    assert (result.accepted, result.duplicates) == (3, 2)
    first = next(e for e in read_manifest(workspace.collection("monet")) if e.sha256 == sha256(encoded(texture(2))))
    assert first.name == "0000 before.png"
    copies = read_copies(workspace, "monet")
    assert [(copy.sha256, copy.name) for copy in copies] == [(first.sha256, "0002.png"), (first.sha256, "zz.png")]
    take(workspace, source)
    assert read_copies(workspace, "monet") == copies


def test_the_same_painting_in_two_styles_is_reported(workspace: Workspace, tmp_path: Path) -> None:
    take(workspace, fill(tmp_path / "one", range(5), width=256, height=192))
    other = fill(tmp_path / "two", range(10, 14), width=256, height=192)
    (other / "same.png").write_bytes(encoded(texture(3, 256, 192)))
    (other / "smaller.jpg").write_bytes(encoded(texture(4, 256, 192).resize((160, 120)), "JPEG"))
    result = take(workspace, other, "manet")
    assert "same.png is in monet too" in result.remarks()
    found = {twin.name: twin for twin in result.twins}
    assert set(found) == {"same.png", "smaller.jpg"}
    assert (found["same.png"].collection, found["same.png"].exact) == ("monet", True)
    assert (found["smaller.jpg"].other_name, found["smaller.jpg"].exact) == ("0004.png", False)


def test_what_was_removed_does_not_come_back(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(4))
    unwanted = sha256(encoded(texture(2)))
    record(workspace, [Tombstone("monet", unwanted, "x", "y", "by another hand", "", "2026-01-02T00:00:00+00:00")])
    result = take(workspace, source)
    assert (result.accepted, result.reasons) == (3, {"removed": 1})
    assert "by another hand" in result.refusals[0].detail
    assert take(workspace, source, "manet").accepted == 4


def counting(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    decoded: list[Path] = []
    decode = images.decode

    def counted(path: Path, limits: images.Limits) -> images.Decoded:
        decoded.append(path)
        return decode(path, limits)

    monkeypatch.setattr(images, "decode", counted)
    return decoded


def test_what_is_known_is_not_decoded_again(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", range(4))
    (source / "page.png").write_bytes(b"<!doctype html>")
    decoded = counting(monkeypatch)
    take(workspace, source)
    assert len(decoded) == 5
    assert take(workspace, source).reasons == {"not_image": 1}
    assert len(decoded) == 5
    assert take(workspace, source, params=small_params(executor="inline", min_side=64)).refused == 1
    assert len(decoded) == 6  # by other limits what was refused is looked at again


def test_what_an_interrupted_ingest_decoded_is_not_decoded_again(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", range(6))
    decoded = counting(monkeypatch)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest.ingest(workspace, source, "monet", INLINE, progress=stop, tracked=False)
    assert not read_manifest(workspace.collection("monet"))
    damaged = workspace.collection("monet") / f"{sha256(encoded(texture(1)))}.png"
    damaged.write_bytes(damaged.read_bytes()[:-1])  # as a power cut may leave it
    before = len(decoded)
    gone = encoded(texture(3))
    (source / "0003.png").unlink()  # its bytes were stored
    assert take(workspace, source).totals["total"] == 5
    assert len(decoded) - before == 3  # two that were not reached, and the damaged one
    entries = read_manifest(workspace.collection("monet"))
    assert [sha256((workspace.collection("monet") / entry.file).read_bytes()) for entry in entries] == [
        entry.sha256 for entry in entries
    ]
    names = {path.name for path in workspace.collection("monet").iterdir()}
    assert names == {"manifest.jsonl", *(entry.file for entry in entries)}
    (refusal,) = read_quarantine(workspace.quarantine("monet"))
    assert (refusal.name, refusal.reason) == ("0003.png", "interrupted")
    assert (workspace.quarantine("monet") / f"{sha256(gone)}.png").read_bytes() == gone


def test_an_interrupted_ingest_of_another_folder_leaves_nothing_behind(workspace: Workspace, tmp_path: Path) -> None:
    wrong, right = fill(tmp_path / "wrong", range(6)), fill(tmp_path / "right", range(10, 13))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest.ingest(workspace, wrong, "monet", INLINE, progress=stop, tracked=False)
    result = take(workspace, right, params=small_params(executor="inline", min_side=40))
    assert (result.accepted, result.totals["total"]) == (3, 3)
    assert len(list(workspace.collection("monet").iterdir())) == 4
    assert {refusal.reason for refusal in read_quarantine(workspace.quarantine("monet"))} == {"interrupted"}
    assert take(workspace, wrong).accepted == 6


def test_a_refused_file_whose_copy_has_gone_is_kept_again(workspace: Workspace) -> None:
    inbox = fill(workspace.inbox / "monet", range(2))
    for _ in range(2):
        (inbox / "note.txt").write_bytes(b"hello")
        age(inbox)
        take(workspace, inbox, move=True)
        kept = workspace.quarantine("monet") / f"{sha256(b'hello')}.bin"
        assert kept.read_bytes() == b"hello"
        kept.unlink()


def test_what_an_archive_hides_or_is_not_is_not_lost(workspace: Workspace) -> None:
    inbox = fill(workspace.inbox / "monet", range(2))
    (inbox / "hidden.zip").write_bytes(packed({".a.png": encoded(texture(10)), "__MACOSX/._b.png": b"x"}))
    (inbox / "nothing.zip").write_bytes(packed({}))
    (inbox / "lie.zip").write_bytes(encoded(texture(11), "JPEG"))
    before = encoded(texture(12), "JPEG") + packed({"c.png": encoded(texture(13))})
    (inbox / "both.zip").write_bytes(before)
    age(inbox)
    result = take(workspace, inbox, move=True)
    assert (result.accepted, result.reasons) == (4, {"empty": 1, "unreadable": 1})
    names = {entry.name: entry for entry in read_manifest(workspace.collection("monet"))}
    assert {".a.png", "lie.zip"} <= set(names)
    assert "misnamed" in names["lie.zip"].flags
    assert (workspace.quarantine("monet") / f"{sha256(before)}.zip").read_bytes() == before
    assert list(inbox.iterdir()) == []


def test_a_huge_file_is_refused_where_it_lies_and_stops_nothing(workspace: Workspace) -> None:
    inbox = fill(workspace.inbox / "monet", range(3))
    for name in ("scan.tif", "scans.zip"):
        (inbox / name).touch()
        os.truncate(inbox / name, 10**12)  # sparse: more than it may be, and than most disks hold
    age(inbox)
    result = take(workspace, inbox, move=True)
    assert (result.accepted, result.reasons) == (3, {"too_large": 2})
    assert sorted(path.name for path in inbox.iterdir()) == ["scan.tif", "scans.zip"]


@pytest.mark.parametrize(("min_side", "bordered"), [(64, True), (120, False)])
def test_borders_are_left_out_unless_too_little_would_be_left(
    workspace: Workspace, tmp_path: Path, min_side: int, bordered: bool
) -> None:
    sheet = Image.new("RGB", (200, 180), "white")
    sheet.paste(Image.fromarray(np.random.default_rng(3).integers(0, 200, (100, 120, 3), dtype=np.uint8)), (40, 40))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.png").write_bytes(encoded(sheet))
    take(workspace, tmp_path / "in", params=small_params(executor="inline", min_side=min_side))
    (entry,) = read_manifest(workspace.collection("monet"))
    assert (entry.box is not None, "border" in entry.flags) == (bordered, bordered)
    assert (entry.width < 125) == bordered


class Fragile(Inline):
    """A cluster's executor, as far as ingestion is concerned; two files are its undoing."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        (task,) = args
        assert isinstance(task, Task)
        return super().submit(_unlucky, fn, task)


def _unlucky(fn: Callable[[Task], Any], task: Task) -> Any:
    found = fn(task)
    if task.path.name == "0001.png":
        raise WorkerLost("SIGSEGV")
    if task.path.name == "0002.png":
        raise TimeoutError
    return found


def test_another_executor_fits_in_and_a_lost_worker_costs_one_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Executor] = []

    def fragile(settings: object, seconds: float) -> Executor:
        opened.append(Fragile())
        return opened[-1]

    monkeypatch.setitem(executors.EXECUTORS, "processes", fragile)
    inbox = fill(workspace.inbox / "monet", range(5))
    age(inbox)
    result = take(workspace, inbox, move=True, params=small_params())
    assert len(opened) == 1
    assert result.accepted == 3
    assert result.reasons == {"decoder_crash": 1, "decoder_timeout": 1}
    for seed in (1, 2):
        content = encoded(texture(seed))
        assert (workspace.quarantine("monet") / f"{sha256(content)}.bin").read_bytes() == content
    assert list(inbox.iterdir()) == []
    monkeypatch.undo()
    assert take(workspace, fill(inbox, range(1, 3)), params=small_params()).accepted == 2  # no lasting reason


def test_a_file_too_slow_or_too_large_for_a_real_worker_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(3))
    side = 12_000
    large = Image.frombytes("1", (side, side), np.random.default_rng(0).bytes(side * side // 8))
    (source / "slow.png").write_bytes(encoded(large, compress_level=1))
    quick = take(workspace, source, params=small_params(decode_seconds=0.5, workers=2))
    assert quick.reasons == {"decoder_timeout": 1}
    lean = take(workspace, source, params=small_params(decoder_memory_mb=256, workers=1))
    assert lean.reasons == {"decoder_crash": 1}
    assert "decoder_memory_mb" in lean.refusals[0].detail
    assert take(workspace, source, params=small_params(workers=1)).accepted == 1
