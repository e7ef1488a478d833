"""The first stage refuses wrong declarations, and pays for looking at transforms once a declaration."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import augment, check
from pipeline.workspace import Workspace
from tests.pipeline.pictures import ROOT, make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = make_workspace(tmp_path / "ws")
    entry = "{method: cut, style: ink, warm_start: none, overrides: {}}"
    workspace.recipes_file.write_text(f"styles: [ink]\nrecipes:\n  ink: {entry}\n")
    return workspace


def declare(workspace: Workspace, old: str, new: str) -> None:
    text = workspace.params_file.read_text()
    assert old in text
    workspace.params_file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: HorizontalFlip", "name: Flip", r"prepare.augment.paintings\[1\]: unknown transform 'Flip'"),
        ("ratio: [0.9, 1.1]", "rate: 1", r"prepare.augment.photos\[0\]: RandomResizedCrop has no argument 'rate'"),
        ("p: 0.5", "p: 2026-01-01", r"prepare.augment.paintings\[1\]: an argument of HorizontalFlip is no plain"),
        ("p: 0.5", "p: .nan", r"prepare.augment.paintings\[1\]: an argument of HorizontalFlip is no plain"),
    ],
)
def test_a_wrong_transform_is_named_with_its_place(workspace: Workspace, old: str, new: str, message: str) -> None:
    declare(workspace, old, new)
    for _ in range(2):  # what was refused is not remembered as right
        with pytest.raises(ValueError, match=message):
            check.main(workspace)


def test_a_declaration_is_looked_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(augment, "check", lambda *declared: looked.append(declared))
    for _ in range(2):
        check.main(workspace)
    assert len(looked) == 1
    declare(workspace, "crop: 256 ", "crop: 240 ")
    check.main(workspace)
    declare(workspace, "scale: [0.25, 1.0], ratio: [0.9, 1.1]", "scale: [0.5, 1.0], ratio: [0.9, 1.1]")
    check.main(workspace)
    monkeypatch.setattr(check, "version", lambda name: "3.0")
    check.main(workspace)
    assert len(looked) == 4


def test_a_workspace_without_a_style_is_told_how_to_begin(workspace: Workspace) -> None:
    workspace.recipes_file.write_text("styles: []\nrecipes: {}\n")
    with pytest.raises(ValueError, match="atelier ingest FOLDER --style NAME"):
        check.main(workspace)


def test_the_stage_ends_in_one_sentence(workspace: Workspace) -> None:
    declare(workspace, "scale: [0.25, 1.0], ratio: [1.0, 1.0]", "scale: [3.0, 4.0], ratio: [1.0, 1.0]")
    command = [sys.executable, "-m", "pipeline.check"]
    run = subprocess.run(
        command, cwd=workspace.root, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert re.fullmatch(r"error: prepare.augment.paintings\[0\]: RandomResizedCrop refuses .*\n", run.stderr)
