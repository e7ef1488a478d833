"""What cannot work is refused in one sentence, before anything is started, trained or changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import git
from tests.flows.studio import command

RECIPES = "styles: [ink]\nrecipes:\n  ink: {method: cut, style: ink, warm_start: none, overrides: {}}\n"
FULL_DISK = """
import collections, runpy, shutil, sys
shutil.disk_usage = lambda path: collections.namedtuple("usage", "total used free")(10**10, 10**10 - 10**6, 10**6)
sys.argv = ["flows", "retrain"]
runpy.run_module("flows", run_name="__main__", alter_sys=False)
"""


def collect(workspace: Path, folder: str, count: int) -> None:
    """Write a manifest of `count` images; preflight reads nothing else."""
    place = workspace / "data" / folder
    place.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        sha256 = f"{number:064x}"
        entry = {"sha256": sha256, "name": "n", "source": "s", "width": 64, "height": 64, "bytes": 9, "format": "png"}
        entry |= {"phash": f"{number:016x}", "group": sha256, "split": "train", "flags": [], "added": "2026-01-01"}
        lines.append(json.dumps(entry) + "\n")
    (place / "manifest.jsonl").write_text("".join(lines))


def healthy(workspace: Path) -> None:
    """Make a workspace that has all that a retrain of one style needs."""
    collect(workspace, "photos", 20)
    collect(workspace, "styles/ink", 10)
    (workspace / "recipes.yaml").write_text(RECIPES)


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(workspace: Path) -> None:
        text = (workspace / name).read_text()
        assert old in text
        (workspace / name).write_text(text.replace(old, new))

    return change


CASES: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "unknown key": (edit("params.yaml", "seed: 20", "seed: 20\nsede: 1"), [], "unknown key 'sede'"),
    "missing key": (edit("params.yaml", "seed: 20", ""), [], "missing: 'seed'"),
    "wrong value": (edit("params.yaml", "decay_from: 0.5", "decay_from: 1.5"), [], "'train.decay_from' is 1.5"),
    "wrong type": (edit("params.yaml", "decay_from: 0.5", "decay_from: half"), [], "'train.decay_from'"),
    "unknown transform": (
        edit("params.yaml", "{name: HorizontalFlip, args: {p: 0.5}}", "{name: Mirror, args: {}}"),
        [],
        r"prepare.augment.paintings\[1\]: unknown transform 'Mirror'; choose one of .*HorizontalFlip",
    ),
    "wrong argument of a transform": (
        edit("params.yaml", "ratio: [0.9, 1.1]", "ratio: [0.9, 1.1], scle: 1"),
        [],
        r"prepare.augment.photos\[0\]: RandomResizedCrop has no argument 'scle'",
    ),
    "value of a transform out of range": (
        edit("params.yaml", "scale: [0.25, 1.0]", "scale: [0.25, 1.5]"),
        [],
        r"prepare.augment.paintings\[0\]: RandomResizedCrop refuses its arguments: scale",
    ),
    "no style": (edit("recipes.yaml", "styles: [ink]", "styles: []"), [], "'ink' is not in recipes.yaml's"),
    "nothing at all": (
        edit("recipes.yaml", RECIPES, "styles: []\nrecipes: {}\n"),
        [],
        "no style yet",
    ),
    "empty style": (lambda w: shutil.rmtree(w / "data/styles/ink"), [], "style 'ink' has no artworks"),
    "few artworks": (lambda w: collect(w, "styles/ink", 2), ["ink"], "style 'ink' has 2 artworks, fewer than"),
    "few photographs": (lambda w: collect(w, "photos", 3), [], "3 photographs, fewer than .* take the samples"),
    "no photographs": (lambda w: shutil.rmtree(w / "data/photos"), [], "0 photographs, fewer than .* samples"),
    "unknown recipe": (lambda w: None, ["monet"], "no recipe named 'monet'; known: ink"),
    "unknown method": (
        edit("recipes.yaml", "method: cut", "method: magic"),
        [],
        "unknown method 'magic'; choose one of",
    ),
    "unknown override": (
        edit("recipes.yaml", "overrides: {}", "overrides: {train: {stepz: 3}}"),
        [],
        "unknown key 'train.stepz'",
    ),
}


@pytest.fixture(scope="module")
def first(new_workspace: Callable[[], Path]) -> Path:
    workspace = new_workspace()
    healthy(workspace)
    git(workspace, "add", "-A", "--force", "data", "recipes.yaml")
    git(workspace, "commit", "-q", "-m", "healthy")
    return workspace


@pytest.fixture
def place(first: Path) -> Path:
    git(first, "reset", "-q", "--hard")
    git(first, "clean", "-q", "-f", "-d", "-x")
    return first


def assert_refused(workspace: Path, done: subprocess.CompletedProcess[str], says: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert re.search(says, done.stderr), done.stderr
    for made in ("runs", "models", "dvc.lock", "var/prefect", "var/mlflow.db", "data/prepared"):
        assert not (workspace / made).exists(), f"{made} was made"


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_one_sentence(place: Path, case: str) -> None:
    change, arguments, says = CASES[case]
    change(place)
    assert_refused(place, command(place, "flows", "retrain", *arguments), says)


def test_a_disk_too_full_is_refused(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(place, done, "0.00 GB free, fewer than the 2.00 GB needed for a retrain")


def test_a_second_retrain_is_refused_and_says_who_has_the_lock(place: Path) -> None:
    from pipeline.process import exclusive

    with exclusive(place / "var" / "retrain.lock", "a retrain"):
        assert_refused(place, command(place, "flows", "retrain"), f"is already running .process {os.getpid()}")


def test_debug_shows_the_traceback(place: Path) -> None:
    done = command(place, "flows", "retrain", "monet", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_what_waits_in_the_inbox_counts(place: Path) -> None:
    from flows.preflight import preflight
    from pipeline.workspace import Workspace

    shutil.rmtree(place / "data")
    (place / "recipes.yaml").write_text("styles: []\nrecipes: {}\n")
    for folder, count in (("photos", 8), ("oil", 4)):
        (place / "inbox" / folder).mkdir(parents=True)
        for number in range(count):
            (place / "inbox" / folder / f"{number}.png").write_bytes(b"x")
    preflight(Workspace(place), None)
    preflight(Workspace(place), ["oil"])
    with pytest.raises(ValueError, match="no recipe named 'ink'"):
        preflight(Workspace(place), ["ink"])


def test_one_small_style_does_not_keep_the_others_back(place: Path) -> None:
    from flows.preflight import preflight, ready
    from pipeline.workspace import Workspace

    collect(place, "styles/oil", 1)
    entry = "{method: cut, style: STYLE, warm_start: none, overrides: {}}"
    recipes = "{" + ", ".join(f"{style}: {entry.replace('STYLE', style)}" for style in ("ink", "oil")) + "}"
    (place / "recipes.yaml").write_text(f"styles: [ink, oil]\nrecipes: {recipes}\n")
    preflight(Workspace(place), None)
    chosen, lacking = ready(Workspace(place), None)
    assert [recipe.name for recipe in chosen] == ["ink"]
    assert "1 artworks" in lacking["oil"]
    with pytest.raises(ValueError, match="'oil' has 1 artworks"):
        preflight(Workspace(place), ["oil"])
