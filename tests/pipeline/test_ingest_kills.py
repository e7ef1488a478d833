"""kill -9 at any point of an ingest, and again: as if nothing had happened, and nothing is lost."""

from __future__ import annotations

import hashlib
import io
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.intake.quarantine import read_quarantine
from pipeline.intake.tombstones import Tombstone, record
from pipeline.manifest import read_manifest
from pipeline.recipes import load_book
from pipeline.workspace import Workspace
from tests.pipeline.pictures import ROOT, encoded, fill, make_workspace, texture

DATA = ("styles", "photos", "quarantine")


def run(root: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.pipeline.killing", str(root), str(kill_at)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def studio(root: Path) -> Path:
    """A workspace with a style and an inbox: new, known, twice the same, bad, removed, and an archive of both."""
    workspace = make_workspace(root)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
    removed = hashlib.sha256(encoded(texture(3))).hexdigest()
    record(workspace, [Tombstone("monet", removed, "0003.png", "monet", "a copy", "", "2026-01-01T00:00:00+00:00")])
    fill(workspace.inbox / "monet", range(4))
    assert run(root, 0).returncode == 0
    inbox = fill(workspace.inbox / "monet", range(2, 8))
    (inbox / "again.png").write_bytes(encoded(texture(5)))
    (inbox / "page.png").write_bytes(b"<!doctype html>")
    (inbox / "cut.jpg").write_bytes(encoded(texture(9), "JPEG")[:-300])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in {"a.png": encoded(texture(20)), "b.png": encoded(texture(4)), "c.txt": b"x"}.items():
            archive.writestr(name, content)
    (inbox / "more.zip").write_bytes(packed.getvalue())
    fill(workspace.inbox / "photos", range(30, 33))
    return root


def state(root: Path) -> dict[str, object]:
    workspace = Workspace(root)
    kept = {
        name: sorted(path.name for path in workspace.collection(name).iterdir()) for name in ("monet", "photos")
    }
    pointers = {name: workspace.collection(name).with_name(f"{name}.dvc").read_text() for name in kept}
    refusals = {
        name: sorted(refusal.same for refusal in read_quarantine(workspace.quarantine(name))) for name in kept
    }
    aside = sorted(path.name for path in workspace.quarantine("monet").iterdir())
    copies = {name: workspace.copies(name).read_text() for name in ("monet",)}
    return {
        "manifests": {name: read_manifest(workspace.collection(name)) for name in kept},
        "kept": kept,
        "pointers": pointers,
        "refusals": refusals,
        "aside": aside,
        "copies": copies,
        "recipes": load_book(workspace).styles,
        "inbox": sorted(path.name for path in workspace.inbox.rglob("*") if path.is_file()),
        "half written": sorted((root / "data").rglob("*.tmp")),
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_ingest_killed_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    first = studio(tmp_path / "first")
    undisturbed = Path(shutil.copytree(first, tmp_path / "undisturbed", symlinks=True))
    whole = run(undisturbed, 0)
    assert whole.returncode == 0, whole.stderr
    changes, expected = int(whole.stdout), state(undisturbed)
    assert expected["inbox"] == []
    assert changes >= 40
    points = sorted({1 + (changes - 1) * at // 29 for at in range(30)})
    assert len(points) >= 20
    for point in points:
        root = Path(shutil.copytree(first, tmp_path / "killed", symlinks=True))
        assert run(root, point).returncode == -signal.SIGKILL, f"change {point} of {changes} was not reached"
        assert nothing_is_lost(first, root), f"killed at change {point} of {changes}"
        again = run(root, 0)
        assert again.returncode == 0, f"killed at change {point} of {changes}: {again.stderr}"
        assert state(root) == expected, f"killed at change {point} of {changes}"
        shutil.rmtree(root)


def nothing_is_lost(before: Path, after: Path) -> bool:
    """Whether the bytes of every file of the inbox are still somewhere in the workspace: there, or in its data."""
    there = hashes(after / "inbox").union(*(hashes(after / "data" / name) for name in DATA))
    archive = hashlib.sha256((before / "inbox" / "monet" / "more.zip").read_bytes()).hexdigest()
    members = {hashlib.sha256(encoded(texture(seed))).hexdigest() for seed in (20, 4)}
    members.add(hashlib.sha256(b"x").hexdigest())
    wanted = hashes(before / "inbox")
    return wanted - {archive} <= there and (archive in there or members <= there)


def hashes(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
