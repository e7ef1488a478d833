"""Commits hold a retrain's files and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import commit
from pipeline.workspace import Workspace
from tests.conftest import git


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "notes.txt").write_text("mine\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return Workspace(tmp_path)


def files_of(root: Path, commit_id: str) -> list[str]:
    return git(root, "show", "--name-only", "--format=", commit_id).splitlines()


def test_it_takes_what_is_ours_and_leaves_what_is_staged(place: Workspace) -> None:
    before = commit.head(place)
    assert commit.commit(place, "nothing") == before
    (place.root / "data" / "styles").mkdir(parents=True)
    pointers = ("data/photos.dvc", "data/styles/ink.dvc", "data/styles/.gitignore", "data/tombstones.jsonl")
    for name in ("dvc.lock", "recipes.yaml", "params.yaml", *pointers):
        (place.root / name).write_text("x\n")
    (place.root / "notes.txt").write_text("staged\n")
    git(place.root, "add", "notes.txt")
    (place.root / "stray.txt").write_text("stray\n")
    made = commit.commit(place, "Build ink")
    assert files_of(place.root, made) == [
        "data/photos.dvc", "data/styles/.gitignore", "data/styles/ink.dvc", "data/tombstones.jsonl", "dvc.lock",
        "params.yaml", "recipes.yaml",
    ]  # fmt: skip
    assert git(place.root, "status", "--porcelain") == "M  notes.txt\n?? stray.txt"
    assert commit.commit(place, "again") == made


def test_inputs_that_a_person_must_commit_are_named(place: Workspace) -> None:
    assert commit.uncommitted_inputs(place) == []
    (place.root / "dvc.yaml").write_text("stages: {}\n")
    (place.root / "pipeline").mkdir()
    (place.root / "pipeline" / "new.py").write_text("")
    assert commit.uncommitted_inputs(place) == ["dvc.yaml", "pipeline/"]


def test_a_hook_does_not_stop_it_and_a_tag_stays(place: Workspace) -> None:
    hook = place.root / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (place.root / "dvc.lock").write_text("x\n")
    first = commit.head(place)
    made = commit.commit(place, "Build ink")
    assert made != first
    commit.tag(place, "ink/v1", first)
    commit.tag(place, "ink/v1", made)
    assert git(place.root, "rev-parse", "ink/v1") == first


def test_git_refusing_is_said(tmp_path: Path) -> None:
    with pytest.raises(commit.GitError, match="git rev-parse"):
        commit.head(Workspace(tmp_path))
