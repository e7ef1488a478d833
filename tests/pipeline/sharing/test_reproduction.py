"""A version is trained again from its tag: for real, beside the workspace, and with an honest verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline import tracking
from pipeline.sharing import conditions
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.flows.studio import command
from tests.flows.team import dvc, team_of

TAGS = {conditions.DEVICE: "cpu", conditions.LOCK: "abc"}


def files_of(root: Path, *folders: str) -> dict[str, int]:
    """Return every file of some folders with when it was changed."""
    found = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in found}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_version_is_trained_again_to_the_same_bytes_and_nothing_of_the_workspace_changes(studio: Path) -> None:
    theirs = (".dvc/cache", "models", "runs", "data", "work/checkpoints")
    before = files_of(studio, *theirs), git(studio, "status")
    done = command(studio, "pipeline.cli", "reproduce", "ink", "1")
    assert done.returncode == 0, done.stderr
    assert "trained 6 steps anew in " in done.stdout
    assert "ink version 1: reproduced, byte for byte" in done.stdout
    assert "Running stage 'train@ink'" in done.stderr
    assert (files_of(studio, *theirs), git(studio, "status")) == before
    assert not (studio / "work" / "reproduce" / "ink-v1").exists()
    assert git(studio, "worktree", "list").count("\n") == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_version_that_its_commit_does_not_make_is_told_and_data_comes_from_the_remote(studio: Path) -> None:
    team = team_of(studio)
    dvc(studio, "push")
    shutil.rmtree(studio / ".dvc" / "cache")
    text = (studio / "params.yaml").read_text()
    (studio / "params.yaml").write_text(text.replace("seed: 20", "seed: 21", 1))
    git(studio, "commit", "-q", "-a", "-m", "What was never built")
    git(studio, "tag", "--force", "ink/v1")
    done = command(studio, "pipeline.cli", "reproduce", "ink", "1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the tag ink/v1 names commit" in done.stderr

    store = tracking.client(Workspace(studio))
    store.set_model_version_tag("ink", "1", "git_commit", git(studio, "rev-parse", "HEAD"))
    done = command(studio, "pipeline.cli", "reproduce", "ink", "1", "--keep")
    assert done.returncode == 1, done.stderr
    assert "ink version 1: NOT reproduced: the same bytes were due, and " in done.stdout
    assert "generator.safetensors" in done.stdout
    kept = studio / "work" / "reproduce" / "ink-v1"
    assert json.loads((kept / "models" / "ink" / "config.json").read_text())["seed"] == 21
    assert team.store.is_dir()

    # Trained elsewhere, other bytes are no proof: then the metrics decide.
    store.set_model_version_tag("ink", "1", conditions.DEVICE, "cuda")
    done = command(studio, "pipeline.cli", "reproduce", "ink", "1")
    assert "style/patch_swd: " in done.stdout
    assert "it was trained on cuda" in done.stdout
    beyond = ": beyond " in done.stdout
    assert done.returncode == (1 if beyond else 0), done.stderr
    assert ("NOT reproduced" in done.stdout) == beyond
    assert not kept.exists()


@pytest.mark.slow
def test_a_version_that_is_not_there_is_said(workspace: Path) -> None:
    done = command(workspace, "pipeline.cli", "reproduce", "ink", "1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_bytes_are_due_only_under_the_same_conditions() -> None:
    here = TAGS | {conditions.CPU: conditions.instruction_set()}
    assert conditions.obstacles(here, "abc") == []
    assert "not recorded" in conditions.obstacles({}, "abc")[0]
    assert "trained on cuda" in conditions.obstacles(here | {conditions.DEVICE: "cuda"}, "abc")[0]
    assert "requirements.lock" in conditions.obstacles(here, "abd")[0]
    assert "its CPU used OTHER" in conditions.obstacles(here | {conditions.CPU: "OTHER"}, "abc")[0]
