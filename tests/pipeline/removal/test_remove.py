"""Images leave, stay away, and nothing else changes: whatever interrupts it."""

from __future__ import annotations

from functools import partial
from itertools import count
from pathlib import Path

import pytest

from pipeline import ingest
from pipeline.intake.quarantine import read_quarantine
from pipeline.intake.tombstones import read_tombstones, standing, tombstones_file
from pipeline.manifest import read_manifest
from pipeline.process import exclusive
from pipeline.removal.matches import find
from pipeline.removal.remove import Removal, remove
from pipeline.workspace import Workspace
from tests.pipeline.pictures import fill, make_workspace, small_params
from tests.pipeline.removal.studio import NOW, PARAMS, copied, killed, sha, snapshot, studio


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return studio(tmp_path / "ws")


def take_out(workspace: Workspace, what: str, collection: str | None = None, reason: str = "not ours") -> Removal:
    matches = find(workspace, what, collection)
    return remove(workspace, matches, reason, PARAMS, by="ana", now=NOW, tracked=False)


def test_what_is_removed_is_gone_and_everything_else_is_as_it_was(workspace: Workspace) -> None:
    before = snapshot(workspace.root)
    lines = before["data/styles/monet/manifest.jsonl"].splitlines(keepends=True)
    done = take_out(workspace, "bob")
    after = snapshot(workspace.root)
    assert after["data/styles/monet/manifest.jsonl"] == b"".join(lines[:2] + lines[4:])
    gone = {sha("shared"), sha("rose")}
    expected = {
        name: data
        for name, data in before.items()
        if not (
            name.startswith(("data/styles/monet/", "work/cache/prepared/monet/")) and Path(name).name[:64] in gone
        )
    }
    changed = ("data/styles/monet/manifest.jsonl", "data/tombstones.jsonl")
    for shows_them in (f"cache/sheets/monet-{'a' * 64}.jpg", "quality/monet.html", "quality/manet.html"):
        del expected[f"work/{shows_them}"]
    del expected["work/quality/photos.html"]
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in expected.items() if k not in changed
    }
    assert done.totals["monet"]["total"] == 4
    assert [
        (stone.sha256, stone.name, stone.source, stone.reason, stone.by, stone.when)
        for stone in standing(workspace, "monet").values()
    ] == [
        (sha("shared"), "shared", "bob", "not ours", "ana", NOW),
        (sha("rose"), "rose", "bob/x", "not ours", "ana", NOW),
    ]
    assert standing(workspace, "manet") == {}


def test_a_group_keeps_its_id_and_its_side_when_its_founder_goes(workspace: Workspace) -> None:
    (again,) = [each for each in read_manifest(workspace.collection("monet")) if each.name == "lily again"]
    take_out(workspace, "lily")
    (after,) = [each for each in read_manifest(workspace.collection("monet")) if each.name == "lily again"]
    assert after == again
    assert after.group == sha("lily")


def test_removing_twice_is_removing_once(workspace: Workspace) -> None:
    take_out(workspace, "bob")
    before = snapshot(workspace.root)
    take_out(workspace, "bob", reason="said again")
    assert snapshot(workspace.root) == before
    assert {stone.reason for stone in read_tombstones(workspace)} == {"not ours"}


def test_the_last_images_may_go_and_what_follows_is_said(workspace: Workspace) -> None:
    def removed(*names: str, collection: str = "monet") -> tuple[str, ...]:
        matches = [each for name in names for each in find(workspace, name, collection)]
        return remove(workspace, matches, "r", PARAMS, tracked=False).warnings

    assert removed("p0", collection="photos") == ()
    (warning,) = removed("pond", "bridge")
    assert "'monet': none is left held out" in warning
    (warning,) = removed("lily")
    assert "3 left, fewer than ingest.min_artworks (4)" in warning
    assert "--style monet" in warning
    (warning,) = removed("lily again", "shared", "rose")
    assert "no image is left" in warning
    assert (workspace.collection("monet") / "manifest.jsonl").read_bytes() == b""
    (warning,) = removed("p1", "p2", collection="photos")
    assert "the photographs: 3 left, fewer than ingest.min_photos (4)" in warning
    assert "--photos" in warning


def test_an_image_removed_from_one_collection_stays_in_the_other(workspace: Workspace) -> None:
    take_out(workspace, sha("shared"), "monet")
    assert sha("shared") in {each.sha256 for each in read_manifest(workspace.collection("manet"))}
    done = take_out(workspace, sha("shared"))  # both now: the second half
    assert set(done.totals) == {"monet", "manet"}
    assert set(standing(workspace, "manet")) == {sha("shared")}


def test_nothing_happens_without_a_reason(workspace: Workspace) -> None:
    before = snapshot(workspace.root)
    with pytest.raises(ValueError, match="--reason"):
        take_out(workspace, "lily", reason=" ")
    assert snapshot(workspace.root) == before


@pytest.mark.parametrize(("lock", "says"), [("retrain.lock", "a retrain"), ("locks/ingest.lock", "an ingest")])
def test_nothing_happens_beside_a_retrain_or_an_ingest(workspace: Workspace, lock: str, says: str) -> None:
    before = snapshot(workspace.root)
    with exclusive(workspace.var / lock, "a test"), pytest.raises(ValueError, match=f"{says}.*already running"):
        take_out(workspace, "lily")
    assert snapshot(workspace.root) == before


def test_a_damaged_record_stops_it_before_anything_is_changed(workspace: Workspace) -> None:
    matches = find(workspace, "lily")
    tombstones_file(workspace).write_text("{}\n")
    before = snapshot(workspace.root)
    with pytest.raises(ValueError, match="line 1 is damaged"):
        remove(workspace, matches, "r", PARAMS, tracked=False)
    assert snapshot(workspace.root) == before


def test_killed_at_any_change_and_done_again_it_ends_the_same(tmp_path: Path) -> None:
    before = studio(tmp_path / "before")

    def work(place: Workspace) -> None:
        take_out(place, sha("shared"))
        take_out(place, "bob")

    work(undisturbed := copied(before, tmp_path / "undisturbed"))
    expected = snapshot(undisturbed.root)
    for point in count(1):
        place = copied(before, tmp_path / "killed")
        if not killed(partial(work, place), point):
            break
        left = {path.name[:64] for path in place.collection("monet").glob("*.png")}
        if not {sha("rose"), sha("shared")} <= left:
            assert standing(place, "monet"), f"killed at change {point}: a file is gone and nothing says why"
        for name in ("monet", "manet"):  # no manifest names a file that is gone
            entries = read_manifest(place.collection(name))
            assert all((place.collection(name) / each.file).is_file() for each in entries), f"change {point}"
        work(place)
        assert snapshot(place.root) == expected, f"killed at change {point}"
    assert point > 25


@pytest.fixture
def taken(tmp_path: Path) -> tuple[Workspace, Path]:
    """A workspace with real pictures that were ingested from a folder, which is still there."""
    workspace, source = make_workspace(tmp_path / "real"), fill(tmp_path / "in", range(8))
    for collection in ("monet", "manet"):
        ingest.ingest(workspace, source, collection, small_params(), tracked=False)
    return workspace, source


def test_removed_bytes_do_not_come_back_but_may_hang_elsewhere(taken: tuple[Workspace, Path]) -> None:
    workspace, source = taken
    take_out(workspace, "0003.png", "monet")
    (source / "under another name.png").write_bytes((source / "0003.png").read_bytes())
    again = ingest.ingest(workspace, source, "monet", small_params(), tracked=False)
    assert (again.accepted, again.duplicates, again.reasons) == (0, 7, {"removed": 2})
    details = {refusal.detail for refusal in read_quarantine(workspace.quarantine("monet"))}
    assert details == {f"it was removed on {NOW[:10]}: not ours"}
    assert len(read_manifest(workspace.collection("monet"))) == 7
    elsewhere = ingest.ingest(workspace, source, "manet", small_params(), tracked=False)
    assert (elsewhere.refused, elsewhere.duplicates) == (0, 9)


def test_a_removed_image_changes_no_group_of_what_comes_after(taken: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace, _ = taken
    before = {each.sha256: (each.group, each.split) for each in read_manifest(workspace.collection("monet"))}
    take_out(workspace, "000[0-3].png", "monet")
    ingest.ingest(workspace, fill(tmp_path / "more", range(20, 26)), "monet", small_params(), tracked=False)
    after = {each.sha256: (each.group, each.split) for each in read_manifest(workspace.collection("monet"))}
    assert len(after) == 10
    assert all(before[sha256] == placed for sha256, placed in after.items() if sha256 in before)
