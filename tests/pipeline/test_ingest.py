"""A folder becomes a collection: everything good, once; everything bad, aside; nothing lost."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import files, ingest
from pipeline.ingest import IngestResult
from pipeline.intake import drops
from pipeline.intake.quarantine import read_quarantine
from pipeline.manifest import Entry, read_manifest
from pipeline.process import exclusive
from pipeline.recipes import load_book
from pipeline.workspace import Workspace
from tests import fuzz
from tests.pipeline.pictures import encoded, fill, make_workspace, small_params, texture

PARAMS = small_params()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws")


def take(workspace: Workspace, source: Path, collection: str = "monet", move: bool = False) -> IngestResult:
    return ingest.ingest(workspace, source, collection, PARAMS, move=move, tracked=False)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def age(folder: Path, seconds: float = 60) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def test_images_are_stored_under_their_hash(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(6))
    (source / "sub").mkdir()
    photograph = encoded(texture(7, 120, 60), "JPEG")
    (source / "sub" / "a photo.PNG").write_bytes(photograph)
    seen: list[tuple[int, int]] = []
    result = ingest.ingest(workspace, source, "monet", PARAMS, progress=lambda *at: seen.append(at), tracked=False)
    folder = workspace.root / "data" / "styles" / "monet"
    entries = read_manifest(folder)
    assert (result.accepted, result.duplicates, result.refused, result.left) == (7, 0, 0, 0)
    assert result.changed
    assert seen[-1] == (7, 7)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*(e.file for e in entries), "manifest.jsonl"])
    for entry in entries:
        assert hashlib.sha256((folder / entry.file).read_bytes()).hexdigest() == entry.sha256
    last = entries[-1]
    assert (last.name, last.source, last.format) == ("a photo.PNG", "in/sub", "jpg")
    assert (last.width, last.height, last.bytes, last.flags) == (120, 60, len(photograph), ("misnamed",))
    assert {e.split for e in entries} == {"train", "test"}
    assert len(list(source.rglob("*.*"))) == 7  # the source stays
    assert result.totals["total"] == 7
    assert load_book(workspace).recipes["monet"].style == "monet"
    assert not (workspace.root / "data" / ".ingest.tmp").exists()


def test_present_folder_is_recorded_by_its_name(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fill(tmp_path / "in", range(2)))
    take(workspace, Path())
    assert {entry.source for entry in read_manifest(workspace.collection("monet"))} == {"in"}


def test_the_same_folder_again_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(5))
    (source / "letter.txt").write_text("about a painting")
    take(workspace, source)
    before = snapshot(workspace.root)
    result = take(workspace, source)
    assert snapshot(workspace.root) == before
    assert (result.accepted, result.duplicates, result.refused, result.changed) == (0, 5, 1, False)


def test_photographs_have_a_place_of_their_own_and_no_recipe(workspace: Workspace, tmp_path: Path) -> None:
    take(workspace, fill(tmp_path / "in", range(3)), "photos")
    assert len(read_manifest(workspace.root / "data" / "photos")) == 3
    assert not load_book(workspace).styles


def test_growing_keeps_every_earlier_line(workspace: Workspace, tmp_path: Path) -> None:
    take(workspace, fill(tmp_path / "one", range(6)))
    manifest = workspace.collection("monet") / "manifest.jsonl"
    before = manifest.read_text()
    take(workspace, fill(tmp_path / "two", range(3, 12)))
    assert manifest.read_text().startswith(before)
    assert len(read_manifest(manifest.parent)) == 12


def test_same_content_twice_is_stored_once(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(3))
    shutil.copy(source / "0001.png", source / "copy of it.png")
    result = take(workspace, source)
    assert (result.accepted, result.duplicates) == (3, 1)


def test_rescaled_copy_joins_the_group(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(5), width=256, height=192)
    (source / "z.jpg").write_bytes(encoded(texture(2, 256, 192).resize((160, 120)), "JPEG"))
    take(workspace, source)
    entries = read_manifest(workspace.collection("monet"))
    original = next(entry for entry in entries if entry.name == "0002.png")
    assert (entries[-1].group, entries[-1].split) == (original.sha256, original.split)
    assert len({entry.group for entry in entries}) == 5


def test_bad_files_cost_themselves_alone(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(4))
    bad = {
        "cut.jpg": (encoded(texture(9), "JPEG")[:-300], "truncated", ".jpg"),
        "page.png": (b"<!doctype html>", "not_image", ".bin"),
        "nothing.png": (b"", "not_image", ".bin"),
        "tiny.png": (encoded(texture(9, 20, 20)), "too_small", ".png"),
    }
    for name, (content, _, _) in bad.items():
        (source / name).write_bytes(content)
    os.mkfifo(source / "pipe.png")
    outside = tmp_path / "secret.png"
    outside.write_bytes(encoded(texture(99)))
    (source / "link.png").symlink_to(outside)
    (source / "to nothing.png").symlink_to(source / "gone.png")
    (source / "everything").symlink_to("/")
    (source / "loop.png").symlink_to("loop.png")
    result = take(workspace, source)
    assert result.accepted == 4
    assert result.refused == 9
    assert result.reasons["outside"] == 2
    assert result.reasons["not_regular"] == 1
    assert result.reasons["unreadable"] == 2
    folder = workspace.quarantine("monet")
    records = {record.name: record for record in read_quarantine(folder)}
    assert len(records) == 9
    for name, (content, code, extension) in bad.items():
        kept = folder / f"{hashlib.sha256(content).hexdigest()}{extension}"
        assert (records[name].reason, kept.read_bytes()) == (code, content)
    assert records["link.png"].sha256 is None
    assert len([path for path in folder.iterdir() if path.name != "quarantine.jsonl"]) == 4


def test_link_inside_the_folder_is_a_duplicate(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(3))
    (source / "z.png").symlink_to("0000.png")
    result = take(workspace, source)
    assert (result.accepted, result.duplicates, result.refused) == (3, 1, 0)


def test_difficult_names_survive(workspace: Workspace, tmp_path: Path) -> None:
    names = [
        b"caf\xe9.png",
        "été 画.png".encode(),
        b"two\nlines.png",
        b" spaces .png",
        b"A.png",
        b"a.png",
        b"-rf.png",
    ]
    source = tmp_path / "in"
    source.mkdir()
    for number, name in enumerate(names):
        (source / os.fsdecode(name)).write_bytes(encoded(texture(number)))
    take(workspace, source)
    entries = read_manifest(workspace.collection("monet"))
    assert {os.fsencode(entry.name) for entry in entries} == set(names)


def test_shown_names_can_be_printed(tmp_path: Path) -> None:
    drop = drops.Drop(tmp_path, os.fsdecode(b"caf\xe9\n.png"), "in")
    assert drop.shown.encode("ascii") == rb"in/caf\udce9\n.png"


def test_hidden_files_are_skipped(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(3))
    (source / ".DS_Store").write_text("x")
    fill(source / ".thumbnails", range(9, 12))
    assert (take(workspace, source).accepted, take(workspace, source).refused) == (3, 0)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_nothing_to_ingest_is_one_sentence(workspace: Workspace, tmp_path: Path, make: object) -> None:
    make(tmp_path / "in")  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"holds no files|is not a folder"):
        take(workspace, tmp_path / "in")
    assert not load_book(workspace).styles


def test_nothing_acceptable_for_a_new_style_says_why(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.txt").write_text("x")
    (source / "b.png").write_bytes(encoded(texture(1, 20, 20)))
    with pytest.raises(ValueError, match=r"2 refused \(1 not_image, 1 too_small\).*'a.txt'"):
        take(workspace, source)
    assert not load_book(workspace).styles
    assert not workspace.collection("monet").exists()


def test_wrong_style_name_is_refused_before_work(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"style name '\.\./monet'"):
        take(workspace, fill(tmp_path / "in", range(3)), "../monet")


def test_full_disk_is_refused_before_work(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match="free some space"):
        take(workspace, fill(tmp_path / "in", range(3)))
    assert not workspace.collection("monet").exists()


def test_images_not_pulled_yet_are_not_forgotten(workspace: Workspace, tmp_path: Path) -> None:
    pointer = workspace.root / "data" / "styles" / "monet.dvc"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("outs: []\n")
    with pytest.raises(ValueError, match="dvc pull"):
        take(workspace, fill(tmp_path / "in", range(3)))


def test_damaged_manifest_is_named(workspace: Workspace, tmp_path: Path) -> None:
    take(workspace, fill(tmp_path / "in", range(3)))
    manifest = workspace.collection("monet") / "manifest.jsonl"
    manifest.write_text(manifest.read_text()[:-40])
    with pytest.raises(ValueError, match="line 3 is damaged"):
        take(workspace, tmp_path / "in")


def test_lost_image_is_put_back(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(3))
    take(workspace, source)
    before = snapshot(workspace.collection("monet"))
    next(workspace.collection("monet").glob("*.png")).unlink()
    assert take(workspace, source).changed
    assert snapshot(workspace.collection("monet")) == before


def test_only_one_ingest_at_a_time(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(3))
    with (
        exclusive(workspace.var / "locks" / "ingest.lock", "it"),
        pytest.raises(ValueError, match=r"an ingest in .* is already running"),
    ):
        take(workspace, source)
    assert take(workspace, source).accepted == 3


def inbox(workspace: Workspace) -> dict[str, IngestResult]:
    return ingest.ingest_inbox(workspace, PARAMS, tracked=False)


def test_inbox_is_emptied_of_what_is_safe(workspace: Workspace) -> None:
    fill(workspace.inbox / "Van Gogh (1889)", range(4))
    fill(workspace.inbox / "photos", range(10, 13))
    (workspace.inbox / "photos" / "bad.jpg").write_text("no image")
    (workspace.inbox / "empty").mkdir()
    (workspace.inbox / ".hidden").mkdir()
    (workspace.inbox / "read me.txt").write_text("x")
    age(workspace.inbox)
    results = inbox(workspace)
    assert {name: result.accepted for name, result in results.items()} == {"van-gogh-1889": 4, "photos": 3}
    assert results["photos"].reasons == {"not_image": 1}
    left = [path.name for path in workspace.inbox.rglob("*") if path.is_file()]
    assert left == ["read me.txt"]
    assert len(read_quarantine(workspace.quarantine("photos"))) == 1
    assert inbox(workspace) == {}


def test_files_still_arriving_are_left(workspace: Workspace) -> None:
    folder = fill(workspace.inbox / "monet", range(4))
    age(folder)
    os.utime(folder / "0000.png")
    future = time.time() + 9999  # a camera with a wrong clock
    os.utime(folder / "0001.png", (future, future))
    result = inbox(workspace)["monet"]
    assert (result.accepted, result.left) == (2, 2)
    assert result.left_names == ("monet/0000.png", "monet/0001.png")
    assert sorted(path.name for path in folder.iterdir()) == ["0000.png", "0001.png"]


def test_file_from_a_wrong_clock_does_not_arrive_for_ever(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(workspace.inbox / "monet", range(3))
    age(folder)
    os.utime(folder / "0001.png", (time.time() + 9999,) * 2)
    later = time.time() + 60
    monkeypatch.setattr(drops.time, "time", lambda: later)
    assert inbox(workspace)["monet"].accepted == 3


def test_file_that_changes_while_read_is_left(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(workspace.inbox / "monet", range(3))
    age(folder)
    read, growing = drops._chunk, folder / "0001.png"
    size = growing.stat().st_size

    def overtaken(stream: io.BufferedReader) -> bytes:
        chunk = read(stream)
        if os.fstat(stream.fileno()).st_ino == growing.stat().st_ino and growing.stat().st_size == size:
            with growing.open("ab") as writer:
                writer.write(b"more")
        return chunk

    monkeypatch.setattr(drops, "_chunk", overtaken)
    result = ingest.ingest_inbox(workspace, small_params(executor="inline"), tracked=False)["monet"]
    assert (result.accepted, result.left) == (2, 1)
    assert [path.name for path in folder.iterdir()] == ["0001.png"]


def test_file_that_takes_a_name_over_is_not_deleted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(workspace.inbox / "monet", range(3))
    age(folder)
    commit = ingest._commit

    def replaced(*args: object) -> list[Entry]:
        (folder / "0001.png").write_bytes(b"something new")
        return commit(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "_commit", replaced)
    assert inbox(workspace)["monet"].accepted == 3
    assert [path.read_bytes() for path in folder.iterdir()] == [b"something new"]


def test_nothing_is_deleted_before_the_manifest_is_durable(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(workspace.inbox / "monet", range(3))
    (folder / "bad.png").write_text("x")
    age(folder)

    def failing(*args: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(ingest, "write_manifest", failing)
    with pytest.raises(OSError, match="disk gone"):
        inbox(workspace)
    assert len(list(folder.iterdir())) == 4
    monkeypatch.undo()
    assert inbox(workspace)["monet"].accepted == 3  # images without a manifest line are picked up
    assert list(folder.iterdir()) == []
    assert len(list(workspace.collection("monet").iterdir())) == 4


def test_refused_files_are_durable_before_they_leave_the_inbox(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workspace.inbox / "monet"
    folder.mkdir(parents=True)
    (folder / "bad.png").write_text("x")
    age(folder)

    def failing(*args: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(ingest, "sync_filesystem", failing)
    with pytest.raises(OSError, match="disk gone"):
        inbox(workspace)
    assert [path.name for path in folder.iterdir()] == ["bad.png"]
    assert read_quarantine(workspace.quarantine("monet")) == []
    monkeypatch.undo()
    assert inbox(workspace)["monet"].refused == 1
    assert list(folder.iterdir()) == []
    assert [refusal.name for refusal in read_quarantine(workspace.quarantine("monet"))] == ["bad.png"]


def test_junk_alone_in_the_inbox_makes_no_style(workspace: Workspace) -> None:
    folder = workspace.inbox / "monet"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("x")
    age(folder)
    assert inbox(workspace)["monet"].refused == 1
    assert not load_book(workspace).styles
    assert not workspace.collection("monet").exists()


def test_two_folders_of_one_style_are_one_result(workspace: Workspace) -> None:
    fill(workspace.inbox / "Monet", range(3))
    fill(workspace.inbox / "monet", range(2, 6))
    age(workspace.inbox)
    result = inbox(workspace)["monet"]
    assert (result.accepted, result.duplicates, result.totals["total"]) == (6, 1, 6)


def test_linked_inbox_folder_is_somebody_elses(workspace: Workspace, tmp_path: Path) -> None:
    archive = fill(tmp_path / "archive", range(3))
    age(archive)
    workspace.inbox.mkdir()
    (workspace.inbox / "monet").symlink_to(archive)
    assert inbox(workspace) == {}
    assert len(list(archive.iterdir())) == 3


def test_inbox_folder_without_a_legal_name_is_left_and_stops_no_other(workspace: Workspace) -> None:
    fill(workspace.inbox / "monet", range(3))
    fill(workspace.inbox / "画", range(3))
    age(workspace.inbox)
    assert {name: result.accepted for name, result in inbox(workspace).items()} == {"monet": 3}
    assert len(list((workspace.inbox / "画").iterdir())) == 3


def test_killed_ingest_is_finished_by_the_next(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", range(8))
    undisturbed = make_workspace(tmp_path / "other")
    take(undisturbed, source)
    code = (
        "import os, sys; from pathlib import Path; from pipeline import ingest;"
        "from pipeline.workspace import Workspace; from tests.pipeline.pictures import small_params\n"
        "def stop(done, total):\n    if done == 5: os.kill(os.getpid(), 9)\n"
        "ingest.ingest(Workspace(Path(sys.argv[1])), Path(sys.argv[2]), 'monet', small_params(), progress=stop)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(workspace.root), str(source)], check=False)
    assert killed.returncode == -9
    take(workspace, source)
    texts = [(one.collection("monet") / "manifest.jsonl").read_text() for one in (undisturbed, workspace)]
    records = [[json.loads(line) | {"added": ""} for line in text.splitlines()] for text in texts]
    assert records[0] == records[1]
    assert not (workspace.root / "data" / ".ingest.tmp").exists()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 5)), min_size=1, max_size=8))
def test_every_file_is_accounted_for(tmp_path: Path, contents: list[bytes | int]) -> None:
    root = tmp_path / hashlib.sha256(repr(contents).encode()).hexdigest()[:12]
    shutil.rmtree(root, ignore_errors=True)
    workspace, folder = make_workspace(root), root / "inbox" / "monet"
    folder.mkdir(parents=True)
    for number, content in enumerate(contents):
        data = encoded(texture(content)) if isinstance(content, int) else content
        (folder / f"{number}.png").write_bytes(data)
    age(folder)
    result = inbox(workspace)["monet"]
    assert result.accepted + result.duplicates + result.refused + result.left == len(contents)
    assert result.accepted == len({content for content in contents if isinstance(content, int)})
    kept = {path.stem for path in (root / "data").rglob("*") if path.suffix in (".png", ".bin")}
    assert kept == {hashlib.sha256(encoded(texture(c)) if isinstance(c, int) else c).hexdigest() for c in contents}
    assert list(folder.iterdir()) == []


def test_damaged_images_are_accounted_for_and_none_ends_the_ingest(workspace: Workspace) -> None:
    draw, whole = random.Random(7), fuzz.originals()
    contents = [fuzz.mutated(draw.choice(whole), whole, draw) for _ in range(150)]
    result = fuzz.batch(workspace, small_params(quiet_seconds=0.0, decode_seconds=20.0), contents)
    assert result.accepted > 10
    assert result.refused > 50
    assert (result.left, result.reasons.get("decoder_timeout", 0)) == (0, 0)


def test_dvc_tracks_the_collection_and_again_after_an_interruption(workspace: Workspace, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=workspace.root, check=True)
    ingest.ingest(workspace, fill(tmp_path / "in", range(3)), "monet", PARAMS)
    pointer = workspace.root / "data" / "styles" / "monet.dvc"
    first = pointer.read_text()
    take(workspace, fill(tmp_path / "more", range(3, 6)))  # stands for one that was killed before `dvc add`
    ingest.ingest(workspace, tmp_path / "more", "monet", PARAMS)
    assert "nfiles: 4" in first
    assert "nfiles: 7" in pointer.read_text()


def test_failing_dvc_is_one_sentence(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`dvc add data/styles/monet` failed .*not inside of a DVC repository"):
        ingest.ingest(workspace, fill(tmp_path / "in", range(3)), "monet", PARAMS)


def test_untouched_collection_is_not_tracked_again(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def track(workspace: Workspace, collection: str) -> None:
        calls.append(collection)
        (workspace.root / "data" / "styles" / "monet.dvc").touch()

    monkeypatch.setattr(ingest, "track", track)
    source = fill(tmp_path / "in", range(3))
    for _ in range(3):
        ingest.ingest(workspace, source, "monet", PARAMS)
    assert calls == ["monet"]


def test_result_reads_well() -> None:
    result = IngestResult("monet", 3, 1, 0, 2, True, totals={"total": 9})
    assert result.sentence() == "monet: 3 accepted, 1 already there, 2 still arriving; 9 images in all"
    assert json.dumps(result.to_dict())
    assert dataclasses.replace(result, accepted=1).then(result).accepted == 4
