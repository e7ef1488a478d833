"""With real DVC: a removal makes stale what is made from its collection, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.ingest import track
from pipeline.intake.tombstones import standing
from pipeline.manifest import read_manifest
from pipeline.plan import plan
from pipeline.recipes import add_style
from pipeline.removal.matches import find
from pipeline.removal.remove import remove
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.pipeline.removal.studio import NOW, PARAMS, entry, killed, sha, store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
STYLES = ("ink", "oil")


def dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(new_workspace: Callable[[], Path]) -> Workspace:
    """A studio with two styles in which everything counts as built: what stages make is there, of made-up content."""
    from dvc.repo import Repo  # type: ignore[import-untyped]

    workspace = Workspace(new_workspace())
    for collection in ("photos", *STYLES):
        store(workspace, collection, [entry(f"{collection}-{number}") for number in range(5)])
        if collection != "photos":
            add_style(workspace, collection)
        track(workspace, collection)
    for out in Repo(workspace.root).index.outs:
        path = Path(out.fs_path)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.suffix:
                path.mkdir()
                path /= "part"
            path.write_text(f"made up for {path.name}")
    dvc(workspace.root, "commit", "-f", "-q")
    git(workspace.root, "add", "-A")
    git(workspace.root, "commit", "-q", "-m", "built")
    return workspace


@pytest.fixture
def workspace(built: Workspace, tmp_path: Path) -> Workspace:
    subprocess.run(["cp", "-a", str(built.root), str(tmp_path / "studio")], check=True)
    return Workspace(tmp_path / "studio")


def stale(workspace: Workspace) -> dict[str, list[str]]:
    return {each.recipe: [stage.name for stage in each.stages if stage.reasons] for each in plan(workspace)}


def test_an_artwork_makes_its_style_stale_and_no_other(workspace: Workspace) -> None:
    assert stale(workspace) == {"ink": [], "oil": []}
    remove(workspace, find(workspace, "ink-3"), "r", PARAMS)
    assert stale(workspace) == {"ink": ["prepare@ink", "train@ink", "package@ink", "evaluate@ink"], "oil": []}
    assert sha("ink-3") not in dvc(workspace.root, "list", ".", "data/styles/ink")
    changed = git(workspace.root, "ls-files", "--modified", "--others", "--exclude-standard").split()
    assert sorted(changed) == ["data/styles/ink.dvc", "data/tombstones.jsonl"]


def test_a_photograph_makes_every_recipe_stale_but_no_style(workspace: Workspace) -> None:
    remove(workspace, find(workspace, "photos-0"), "r", PARAMS)
    found = stale(workspace)
    for style in STYLES:
        assert found[style] == ["prepare_photos", f"train@{style}", f"package@{style}", f"evaluate@{style}"]


def test_the_bytes_stay_in_the_cache_until_it_is_told_to_drop_them(workspace: Workspace) -> None:
    def cached() -> bool:
        found = (workspace.root / ".dvc" / "cache" / "files" / "md5").glob("??/*")
        return any(path.read_bytes() == b"the bytes of ink-3" for path in found)

    remove(workspace, find(workspace, "ink-3"), "r", PARAMS)
    assert cached()
    git(workspace.root, "commit", "-q", "-a", "-m", "removed")
    dvc(workspace.root, "gc", "--all-commits", "-f")
    assert cached()
    dvc(workspace.root, "gc", "--workspace", "-f")
    assert not cached()


def test_killed_before_dvc_knows_it_the_same_command_finishes(workspace: Workspace) -> None:
    def work() -> None:
        remove(workspace, find(workspace, "ink-3"), "r", PARAMS, now=NOW)

    assert killed(work, None)
    assert standing(workspace, "ink")
    assert len(read_manifest(workspace.collection("ink"))) == 4
    assert sha("ink-3") in dvc(workspace.root, "list", ".", "data/styles/ink")
    work()
    assert sha("ink-3") not in dvc(workspace.root, "list", ".", "data/styles/ink")


def test_a_busy_dvc_leaves_work_that_the_same_command_finishes(workspace: Workspace) -> None:
    from dvc.repo import Repo

    matches = find(workspace, "ink-3")
    with Repo(workspace.root).lock, pytest.raises(ValueError, match="run the same command again"):
        remove(workspace, matches, "r", PARAMS)
    remove(workspace, find(workspace, "ink-3"), "r", PARAMS)
    assert sha("ink-3") not in dvc(workspace.root, "list", ".", "data/styles/ink")
