"""What was removed may come back: tombstones are lifted, and files wait in the inbox where a copy is left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from pipeline import ingest
from pipeline.intake.tombstones import read_tombstones, standing
from pipeline.manifest import read_manifest, write_manifest
from pipeline.process import exclusive
from pipeline.removal.matches import find
from pipeline.removal.remove import remove
from pipeline.removal.undo import undo
from pipeline.workspace import Workspace
from tests.pipeline.pictures import fill, make_workspace, small_params
from tests.pipeline.removal.studio import NOW, PARAMS, content, copied, entry, killed, sha, snapshot, store, studio


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return studio(tmp_path / "ws")


def take_out(workspace: Workspace, what: str, collection: str | None = None) -> None:
    remove(workspace, find(workspace, what, collection), "not ours", PARAMS, now=NOW, tracked=False)


def set_aside(workspace: Workspace, collection: str, *names: str) -> None:
    """Keep files as an ingest does that refuses them."""
    for name in names:
        folder = workspace.quarantine(collection)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{sha(name)}.png").write_bytes(content(name))


def bring_back(workspace: Workspace, what: str, collection: str | None = None) -> dict[str, Path | None]:
    return {each.match.name: each.waiting for each in undo(workspace, find(workspace, what, collection), now="later")}


def test_a_file_of_the_quarantine_waits_in_the_inbox_under_its_own_name(workspace: Workspace) -> None:
    take_out(workspace, "bob")
    set_aside(workspace, "monet", "rose")
    target = workspace.inbox / "monet" / "rose"
    assert bring_back(workspace, "bob") == {"rose": target, "shared": None}
    assert target.read_bytes() == content("rose")
    assert standing(workspace, "monet") == {}
    assert {stone.lifted for stone in read_tombstones(workspace)} == {"later"}


def test_only_what_was_meant_comes_back(workspace: Workspace) -> None:
    take_out(workspace, sha("shared"))
    bring_back(workspace, sha("shared"), "manet")
    assert set(standing(workspace, "monet")) == {sha("shared")}
    assert standing(workspace, "manet") == {}
    assert bring_back(workspace, "lily") == {}  # it was never removed


def test_a_copy_that_is_not_whole_is_no_copy(workspace: Workspace) -> None:
    take_out(workspace, "rose")
    set_aside(workspace, "monet", "rose")
    (workspace.quarantine("monet") / f"{sha('rose')}.png").write_bytes(b"rotten")
    assert bring_back(workspace, "rose") == {"rose": None}
    assert not workspace.inbox.exists()


@pytest.mark.parametrize("name", [".hidden", "a/b", "x" * 250, "", "\udcff", "\ud800.png", "two"])
def test_a_name_that_cannot_be_used_or_is_taken_gives_way_to_the_hash(workspace: Workspace, name: str) -> None:
    store(workspace, "monet", [entry(name)])
    take_out(workspace, sha(name))
    set_aside(workspace, "monet", name)
    (workspace.inbox / "monet").mkdir(parents=True)
    (workspace.inbox / "monet" / "two").write_bytes(b"another file")
    waiting = bring_back(workspace, sha(name))[name]
    assert waiting is not None
    assert waiting.parent == workspace.inbox / "monet"
    assert waiting.read_bytes() == content(name)
    assert waiting.name == (name if name == "\udcff" else f"{sha(name)}.png")  # bytes that are no UTF-8 are a name
    assert (workspace.inbox / "monet" / "two").read_bytes() == b"another file"


def test_an_image_whose_removal_was_cut_short_is_still_there(workspace: Workspace) -> None:
    entries = read_manifest(workspace.collection("monet"))
    take_out(workspace, "rose")
    write_manifest(workspace.collection("monet"), entries)
    waiting = bring_back(workspace, "rose")["rose"]
    assert waiting == workspace.collection("monet") / f"{sha('rose')}.png"
    assert standing(workspace, "monet") == {}
    assert not workspace.inbox.exists()


@pytest.mark.slow
def test_a_damaged_list_of_dvcs_is_named_and_the_others_are_read(workspace: Workspace) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=workspace.root, check=True)
    take_out(workspace, "rose")
    objects = workspace.root / ".dvc" / "cache" / "files" / "md5"
    good = json.dumps([{"md5": "cd" + "0" * 30, "relpath": f"{sha('rose')}.png"}]).encode()
    damage = [b"{", b"[{}]", b"7", b"\xff", b'[{"md5": 1, "relpath": "x"}]', b'[{"md5": "ab", "relpath": 3}]', b"[7]"]
    for number, content_ in enumerate([*damage, good]):
        path = objects / "ab" / f"{number}.dir"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_)
    (objects / "cd").mkdir()
    (objects / "cd" / ("0" * 30)).write_bytes(content("rose"))
    said: list[str] = []
    (done,) = undo(workspace, find(workspace, "rose"), say=said.append)
    assert done.waiting == workspace.inbox / "monet" / "rose"
    assert len(said) == len(damage)
    for number, sentence in enumerate(said):
        assert f"ab/{number}.dir is damaged and was passed over" in sentence


def test_nothing_comes_back_beside_a_retrain(workspace: Workspace) -> None:
    take_out(workspace, "rose")
    with exclusive(workspace.var / "retrain.lock", "a test"), pytest.raises(ValueError, match="already running"):
        bring_back(workspace, "rose")
    assert standing(workspace, "monet")


def test_killed_at_any_change_and_done_again_it_ends_the_same(tmp_path: Path) -> None:
    before = studio(tmp_path / "before")
    take_out(before, "bob")
    set_aside(before, "monet", "rose", "shared")
    bring_back(undisturbed := copied(before, tmp_path / "undisturbed"), "bob")
    expected = snapshot(undisturbed.root)
    for point in count(1):
        place = copied(before, tmp_path / "killed")
        if not killed(lambda place=place: bring_back(place, "bob"), point):  # type: ignore[misc]
            break
        if standing(place, "monet"):
            bring_back(place, "bob")
        after = {name: data for name, data in snapshot(place.root).items() if not name.endswith(".tmp")}
        assert after == expected, f"killed at change {point}"
    assert point > 8


@pytest.mark.slow
def test_what_dvc_has_stored_comes_back_as_it_was(tmp_path: Path) -> None:
    workspace, source = make_workspace(tmp_path / "ws"), fill(tmp_path / "in", range(6))
    (source / "0001.png").rename(source / "n\udcff.png")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=workspace.root, check=True)
    params = small_params(quiet_seconds=60.0)
    ingest.ingest(workspace, source, "monet", params)
    before = {each.sha256: each for each in read_manifest(workspace.collection("monet"))}
    remove(workspace, find(workspace, "n*"), "a mistake", params)
    shutil.rmtree(source)
    waiting = bring_back(workspace, "n*")["n\udcff.png"]
    assert waiting == workspace.inbox / "monet" / "n\udcff.png"
    result = ingest.ingest_inbox(workspace, params)["monet"]
    assert (result.accepted, result.left) == (1, 0)
    after = {each.sha256: each for each in read_manifest(workspace.collection("monet"))}
    assert after.keys() == before.keys()
    assert {(each.name, each.group) for each in after.values()} == {
        (each.name, each.group) for each in before.values()
    }
