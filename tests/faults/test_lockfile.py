"""Fault 8: dvc.lock in conflict, truncated, empty. One sentence says what to do; a rerun trains nothing anew."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import registry
from pipeline.files import read_json
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.flows.studio import command
from tests.flows.team import dvc

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def cut(root: Path, share: float, at_line: bool = False) -> None:
    text = (root / "dvc.lock").read_text()
    end = int(len(text) * share)
    (root / "dvc.lock").write_text(text[: text.index("\n", end) + 1] if at_line else text[:end])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda root: (root / "dvc.lock").write_text(""), "is empty"),
    "cut within a line": (lambda root: cut(root, 0.5), "is cut off"),
    "cut behind a line": (lambda root: cut(root, 0.4, at_line=True), "is cut off"),
    "conflict": (lambda root: conflict(root), "is in conflict"),
}


def conflict(root: Path) -> None:
    """Merge a branch in which somebody else's build changed the same lines."""
    text = (root / "dvc.lock").read_text()
    for branch, size in (("other", "size: 11"), ("main", "size: 22")):
        git(root, "checkout", "-q", "-B", branch, "main" if branch == "other" else "HEAD~0")
        if branch == "main":
            git(root, "checkout", "-q", "-B", "main", "other~1")
        (root / "dvc.lock").write_text(re.sub(r"size: \d+", size, text, count=1))
        git(root, "commit", "-q", "-a", "-m", f"A build on {branch}")
    merged = subprocess.run(["git", "merge", "-q", "other"], cwd=root, capture_output=True, text=True, check=False)
    assert "<<<<<<<" in (root / "dvc.lock").read_text(), merged.stdout + merged.stderr


@pytest.mark.parametrize("name", DAMAGES)
def test_a_lock_file_that_is_not_whole(studio: Path, name: str) -> None:
    harm, says = DAMAGES[name]
    harm(studio)
    package = read_json(studio / "models" / "ink" / "manifest.json")["package"]
    harmed = (studio / "dvc.lock").read_bytes()
    for module, arguments in (("flows", ("retrain",)), ("pipeline.cli", ("plan",))):
        done = command(studio, module, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert says in done.stderr
    assert (studio / "dvc.lock").read_bytes() == harmed  # a person's to mend, and nothing was begun

    advice = re.findall(r"`(git [^`]+dvc\.lock)`", done.stderr)
    for line in advice[:2] if name == "conflict" else advice[:1]:
        git(studio, *line.split()[1:])
    if name == "conflict":
        git(studio, "commit", "-q", "--no-edit")
    done = command(studio, "flows", "retrain")
    assert done.returncode == 0, done.stderr
    result = read_json(studio / "var" / "last_retrain.json")["recipes"][0]
    assert result["package"] == package
    ran = {row["stage"] for row in result["stages"] if row["state"] == "done"}
    assert not ran & {"train@ink", "package@ink"}, ran
    assert registry.aliases_of(Workspace(studio), "ink") == {"challenger": 1}
    assert command(studio, "pipeline.cli", "plan").stdout.count("stale") == 0


def test_what_was_built_since_the_last_commit_comes_out_of_the_cache(studio: Path) -> None:
    text = (studio / "params.yaml").read_text()
    (studio / "params.yaml").write_text(text.replace("bootstrap: 30", "bootstrap: 29", 1))
    dvc(studio, "repro", "evaluate@ink")
    whole = (studio / "dvc.lock").read_text()
    cut(studio, 0.7)
    git(studio, "checkout", "HEAD", "--", "dvc.lock")
    done = dvc(studio, "repro", "evaluate@ink")
    assert "Stage 'evaluate@ink' is cached - skipping run" in done.stdout
    assert (studio / "dvc.lock").read_text() == whole
