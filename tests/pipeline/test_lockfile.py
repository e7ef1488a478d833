"""A dvc.lock that is not whole is told from one that is, wherever it was cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.lockfile import check_lock, damage
from pipeline.workspace import Workspace
from tests.conftest import git

LOCK = """schema: '2.0'
stages:
  prepare@ink:
    cmd: python -m pipeline.prepare ink
    deps:
    - path: data/styles/ink
      hash: md5
      md5: 1f.dir
      size: 12
    outs:
    - path: data/prepared/ink
      hash: md5
      md5: 2f.dir
      size: 34
    - path: data/prepared/ink.once
      hash: md5
      md5: 3f
      size: 5
  train@ink:
    cmd: python -m pipeline.train ink
    deps:
    - path: data/prepared/ink
      hash: md5
      md5: 2f.dir
      size: 34
    outs:
    - path: runs/ink/networks.npz
      hash: md5
      md5: 4f
      size: 6
"""


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    recipe = "{method: cut, style: ink, warm_start: none, overrides: {}}"
    recipes = f"styles: [ink]\nrecipes: {{ink: {recipe}}}\n"
    files = {"dvc.lock": LOCK, "dvc.yaml": "stages: {}\n", "recipes.yaml": recipes}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return Workspace(tmp_path)


def test_a_whole_one_is_whole(place: Workspace) -> None:
    assert damage(LOCK) is None
    check_lock(place)
    (place.root / "dvc.lock").write_text(LOCK + LOCK.partition("stages:\n")[2].replace("@ink", "@oil"))
    check_lock(place)


def test_cut_off_anywhere_it_is_found_out(place: Workspace) -> None:
    within = [*range(0, len(LOCK) - 1, 37), len(LOCK) - 1]
    behind_lines = [number + 1 for number, letter in enumerate(LOCK[:-1]) if letter == "\n"]
    for length in (*within, *behind_lines):
        # Behind the last output's hash nothing is lost that DVC would not see.
        if length in behind_lines and LOCK.index("4f\n") < length:
            continue
        (place.root / "dvc.lock").write_text(LOCK[:length])
        with pytest.raises(ValueError, match=r"^dvc\.lock is (empty|cut off).*`git checkout HEAD -- dvc\.lock`"):
            check_lock(place)


def test_without_a_commit_of_it_the_way_out_is_another(place: Workspace) -> None:
    git(place.root, "rm", "-q", "--cached", "dvc.lock")
    git(place.root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "none")
    (place.root / "dvc.lock").write_text("")
    with pytest.raises(ValueError, match=r"is empty; `mv dvc.lock dvc.lock.damaged`"):
        check_lock(place)
    (place.root / "dvc.lock").unlink()
    check_lock(place)


def test_one_that_is_gone_and_one_with_markers(place: Workspace) -> None:
    (place.root / "dvc.lock").unlink()
    with pytest.raises(ValueError, match="missing, and the last commit has one"):
        check_lock(place)
    (place.root / "dvc.lock").write_text(f"<<<<<<< HEAD\n{LOCK}=======\n{LOCK}>>>>>>> other\n")
    with pytest.raises(ValueError, match=r"in conflict.*`git checkout HEAD -- dvc.lock`"):
        check_lock(place)


def test_a_recipe_that_was_given_up_may_go(place: Workspace) -> None:
    (place.root / "dvc.lock").write_text(LOCK.partition("  train@ink:")[0])
    with pytest.raises(ValueError, match="lacks what the last commit has of train@ink"):
        check_lock(place)
    (place.root / "recipes.yaml").write_text("styles: [ink]\nrecipes: {}\n")
    check_lock(place)
