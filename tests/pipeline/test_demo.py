"""The demo's workspace: a copy that follows the checkout, in a repository of its own; the checkout is not touched."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import demo
from pipeline.demo import Request, StepError, copy_checkout, listed_files, set_up
from pipeline.files import write_json
from pipeline.manifest import Entry, write_manifest
from pipeline.params import load_params, merge, parse, read_tree
from pipeline.presets import read_preset
from pipeline.workspace import Workspace

ROOT = Path(__file__).parents[2]
SAMPLES = Request(artworks=None, photos=None, sample_style="impasto", preset="smoke")


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "core.hooksPath=/dev/null"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    files = {
        ".gitignore": "/work/\n*.tmp\n",
        "params.yaml": (ROOT / "params.yaml").read_text(),
        "recipes.yaml": "styles: [mine]\n"
        "recipes: {mine: {method: cut, style: mine, warm_start: none, overrides: {}}}\n",
        "presets/smoke.yaml": (ROOT / "presets" / "smoke.yaml").read_text(),
        "dvc.yaml": "stages: {}\n",
        "dvc.lock": "schema: '2.0'\n",
        "data/photos.dvc": "outs: []\n",
        "pipeline/a.py": "a = 1\n",
        "pipeline/b.py": "b = 1\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "tool.sh").chmod(0o755)
    _git(tmp_path, "init", "-q", str(root))
    _git(root, "add", "-A")
    _git(root, "commit", "-q", "-m", "first")
    (root / "new.py").write_text("untracked = True\n")
    (root / "junk.tmp").write_text("ignored\n")
    return root


@pytest.fixture
def place(checkout: Path) -> Workspace:
    return Workspace(checkout / "work" / "demo")


def test_the_copy_has_the_code_and_none_of_the_studios_own_state(checkout: Path, place: Workspace) -> None:
    assert copy_checkout(checkout, place, "smoke")
    there = {path.relative_to(place.root).as_posix() for path in place.root.rglob("*") if path.is_file()}
    assert {"pipeline/a.py", "new.py", "dvc.yaml", ".gitignore", "params.yaml", "recipes.yaml"} <= there
    assert not {"junk.tmp", "dvc.lock", "data/photos.dvc"} & there
    assert read_tree(place.recipes_file) == {"styles": [], "recipes": {}}
    assert os.access(place.root / "tool.sh", os.X_OK)
    wanted = merge(read_tree(ROOT / "params.yaml"), read_preset(ROOT / "presets", "smoke"))
    assert load_params(place.params_file) == parse(wanted)


def test_a_second_copy_writes_only_what_changed(checkout: Path, place: Workspace) -> None:
    copy_checkout(checkout, place, "smoke")
    place.recipes_file.write_text("styles: [a]\nrecipes: {}\n")
    (place.root / "data").mkdir()
    (place.root / "data" / "mine.png").touch()
    before = {path: path.stat().st_mtime_ns for path in place.root.rglob("*.*") if path.suffix in (".py", ".yaml")}
    assert not copy_checkout(checkout, place, "smoke")
    assert before == {path: path.stat().st_mtime_ns for path in before}
    (checkout / "pipeline" / "a.py").write_text("a = 2\n")
    assert copy_checkout(checkout, place, "smoke")
    assert [path.name for path, then in before.items() if path.stat().st_mtime_ns != then] == ["a.py"]
    assert (place.root / "pipeline" / "a.py").read_text() == "a = 2\n"
    assert read_tree(place.recipes_file)["styles"] == ["a"]


def test_a_file_deleted_from_the_checkout_vanishes_and_the_demos_own_stay(checkout: Path, place: Workspace) -> None:
    copy_checkout(checkout, place, "smoke")
    (place.root / "painted.jpg").touch()
    (checkout / "pipeline" / "b.py").unlink()  # git still lists it
    assert copy_checkout(checkout, place, "smoke")
    assert not (place.root / "pipeline" / "b.py").exists()
    assert (place.root / "painted.jpg").exists()


def test_a_copy_that_was_cut_short_forgets_no_file(
    checkout: Path, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = demo._copy

    def fails(source: Path, target: Path) -> bool:
        copied: bool = real(source, target)
        if source.name == "b.py":
            raise OSError("disk full")
        return copied

    monkeypatch.setattr(demo, "_copy", fails)
    with pytest.raises(OSError, match="disk full"):
        copy_checkout(checkout, place, "smoke")
    monkeypatch.undo()
    (checkout / "pipeline" / "b.py").unlink()
    copy_checkout(checkout, place, "smoke")
    assert not (place.root / "pipeline" / "b.py").exists()


def test_the_demo_is_a_repository_of_its_own_and_the_checkout_stays_clean(checkout: Path, place: Workspace) -> None:
    status, head = _git(checkout, "status", "--porcelain"), _git(checkout, "rev-parse", "HEAD")
    set_up(place, copy_checkout(checkout, place, "smoke"))
    assert _git(place.root, "rev-parse", "--show-toplevel").strip() == str(place.root)
    assert _git(place.root, "log", "--format=%an") == "Style Atelier demo\n"
    assert _git(place.root, "status", "--porcelain") == ""
    settings = (place.root / ".dvc" / "config").read_text()
    assert "analytics = false" in settings
    assert "check_update = false" in settings
    commits = _git(place.root, "rev-list", "--count", "HEAD")
    set_up(place, copy_checkout(checkout, place, "smoke"))
    assert _git(place.root, "rev-list", "--count", "HEAD") == commits
    (checkout / "new.py").write_text("untracked = False\n")
    set_up(place, copy_checkout(checkout, place, "smoke"))
    assert int(_git(place.root, "rev-list", "--count", "HEAD")) == int(commits) + 1
    assert (_git(checkout, "status", "--porcelain"), _git(checkout, "rev-parse", "HEAD")) == (status, head)


def test_names_that_are_not_ascii_are_copied(checkout: Path, place: Workspace) -> None:
    (checkout / "docs é\n.md").write_text("x")
    assert "docs é\n.md" in listed_files(checkout)
    copy_checkout(checkout, place, "smoke")
    assert (place.root / "docs é\n.md").is_file()


def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="git cannot list the files"):
        listed_files(tmp_path)


def test_wrong_folders_are_told_before_anything_is_made(checkout: Path, place: Workspace) -> None:
    nowhere = checkout / "nowhere"
    for request in (
        Request(nowhere, None, "impasto", "smoke"),
        Request(None, nowhere, "impasto", "smoke"),
        Request(None, None, "unknown", "smoke"),
    ):
        with pytest.raises(ValueError, match=r"no such folder|no sample style"):
            demo.main(request, checkout, place)
    assert not place.root.exists()


def test_the_style_takes_the_folders_name(tmp_path: Path) -> None:
    folder = tmp_path / "Van Gogh"
    folder.mkdir()
    assert Request(folder, None, "impasto", "demo").style == "van-gogh"
    assert SAMPLES.style == "impasto"


def test_the_steps_are_the_commands_of_a_studio(
    checkout: Path, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []

    def run_module(_workspace: Workspace, module: str, arguments: tuple[str, ...]) -> int:
        called.append([module, *arguments])
        return 7 if module == "flows" else 0

    for name in ("artworks", "photos"):
        (checkout.parent / name).mkdir()
    monkeypatch.setenv("ATELIER_HINTS", "on")
    monkeypatch.setattr(demo, "run_module", run_module)
    monkeypatch.setattr(demo, "set_up", lambda *_arguments: None)
    request = Request(checkout.parent / "artworks", checkout.parent / "photos", "impasto", "smoke")
    with pytest.raises(StepError, match="7"):
        demo.main(request, checkout, place)
    assert called == [
        ["pipeline.cli", "ingest", str(checkout.parent / "photos"), "--photos"],
        ["pipeline.cli", "ingest", str(checkout.parent / "artworks"), "--style", "artworks"],
        ["flows", "retrain", "artworks"],
    ]


def test_the_last_verdict_and_its_report_are_shown(place: Workspace) -> None:
    assert demo.verdict_sentence(place, "ink") == "none was given"
    assert demo.report_file(place, "ink") == place.report("ink") / "report.html"
    write_json(place.var / "verdicts" / "ink.json", {"sentence": "Refused: too flat.", "package": "f" * 64})
    judged = place.var / "reports" / f"ink-{'f' * 12}.html"
    judged.parent.mkdir(parents=True)
    judged.touch()
    assert demo.verdict_sentence(place, "ink") == "Refused: too flat."
    assert demo.report_file(place, "ink") == judged


def test_a_photo_to_try_is_a_held_out_one_of_the_folder_given(place: Workspace, tmp_path: Path) -> None:
    entries = [
        Entry(digit * 64, f"{digit} .jpg", "", 9, 9, 9, "jpg", "0" * 16, digit * 64, split, (), "")
        for digit, split in (("a", "train"), ("b", "test"), ("c", "test"))
    ]
    stored = place.collection("photos")
    stored.mkdir(parents=True)
    write_manifest(stored, entries)
    for entry in entries:
        (stored / entry.file).touch()
    assert demo.a_photo(place, tmp_path) == stored / entries[1].file
    for entry in (entries[0], entries[2]):
        (tmp_path / entry.name).touch()
    assert demo.a_photo(place, tmp_path) == tmp_path / "c .jpg"


@pytest.mark.slow
def test_the_whole_demo_twice_and_the_commands_it_offers(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in listed_files(ROOT):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    _git(tmp_path, "init", "-q", str(checkout))
    _git(checkout, "add", "-A")
    _git(checkout, "commit", "-q", "-m", "first")

    def run(*command: str) -> str:
        words = [sys.executable, "-m", *command]
        done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    first = run("pipeline.demo", "--preset", "smoke")
    assert "verdict: " in first
    report = re.search(r"for a browser: (\S+)", first)
    assert report is not None
    assert (checkout / report[1]).is_file()
    started = time.monotonic()
    second = run("pipeline.demo", "--preset", "smoke")
    assert time.monotonic() - started < 60
    assert "train@impasto" not in second
    offered = re.findall(r"^  (\S+/(?:atelier|mlflow) .+)$", second, re.MULTILINE)
    assert len(offered) == 3
    for line in offered[:2]:
        run("pipeline.cli", *shlex.split(line)[1:])
    assert (checkout / "work" / "painted.jpg").is_file()
    assert _git(checkout, "status", "--porcelain") == ""


def test_photographs_of_another_folder_take_the_place_of_the_first_ones(place: Workspace, tmp_path: Path) -> None:
    stored = place.collection("photos") / "a.jpg"
    pointer = place.root / "data" / "photos.dvc"
    for folder, left in ((tmp_path / "one", True), (tmp_path / "one", True), (tmp_path / "two", False)):
        stored.parent.mkdir(parents=True, exist_ok=True)
        for path in (stored, pointer):
            path.touch()
        demo.forget_other_photos(place, folder)
        assert (stored.exists(), pointer.exists()) == (left, left)
