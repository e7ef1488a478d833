"""What lies in the inbox: collections, and what is told of the rest."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.intake.inbox import begin, built, commit, fingerprint, ledger, survey
from pipeline.workspace import Workspace


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_folders_are_collections_and_the_rest_is_told(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    assert survey(inbox).folders == {}
    for name in ("photos/a.jpg", "Van Gogh (1889)/b.jpg", "画/c.jpg", "loose.jpg", ".hidden/d.jpg", ".e"):
        put(inbox / name)
    (inbox / "empty").mkdir()
    (inbox / "link").symlink_to(inbox / "photos")
    found = survey(inbox)
    assert {path.name: name for path, name in found.folders.items()} == {
        "photos": "photos", "Van Gogh (1889)": "van-gogh-1889",
    }  # fmt: skip
    illegal, loose = found.remarks
    assert "'画' gives no style's name; rename it" in illegal
    assert loose.startswith("loose.jpg in inbox/ itself")


def test_the_fingerprint_tells_a_file_by_path_size_and_time(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    path = put(inbox / "ink" / "sub" / "a\nb.png")
    os.utime(path, ns=(1, 5))
    (entry,) = fingerprint(survey(inbox).folders)
    assert entry == "ink/sub/a\\nb.png:1:5"
    os.utime(path, ns=(1, 6))
    assert entry not in fingerprint(survey(inbox).folders)


def test_the_ledger_keeps_what_an_ingest_dealt_with_and_that_lies_there_still(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert begin(workspace) == {}
    assert not ledger(workspace).pending
    stuck, arriving, taken = (put(workspace.inbox / "ink" / f"{name}.png") for name in ("stuck", "arriving", "taken"))
    before = begin(workspace)
    assert ledger(workspace).pending
    taken.unlink()
    put(workspace.inbox / "ink" / "later.png")
    commit(workspace, before, {f"ink/{arriving.name}"})
    assert {entry.partition(":")[0] for entry in ledger(workspace).taken} == {f"ink/{stuck.name}"}
    assert ledger(workspace).pending
    built(workspace)
    assert not ledger(workspace).pending
    assert len(ledger(workspace).taken) == 1
