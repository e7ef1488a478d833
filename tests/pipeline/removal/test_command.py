"""`atelier remove` shows before it acts, asks, and says which versions are concerned and what to do about them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from pipeline import cli, registry
from pipeline.intake.tombstones import standing
from pipeline.manifest import read_manifest
from pipeline.removal import command
from pipeline.workspace import Workspace
from tests.pipeline.packages import write_package
from tests.pipeline.removal.studio import sha, snapshot, studio

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, mlflow_store: Callable[[Path], None]) -> Workspace:
    """A studio with DVC, and two models: of monet every version but the second knows `rose`, of manet none."""
    workspace = studio(tmp_path_factory.mktemp("first") / "ws")
    (workspace.root / "pipeline").symlink_to(ROOT / "pipeline")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=workspace.root, check=True)
    mlflow_store(workspace.root)
    for seed, names in enumerate((["rose", "lily"], ["lily"], ["rose"])):
        write_package(workspace, "monet", seed, {"photos": [sha("p2")], "monet": [sha(name) for name in names]})
        registry.register(workspace, "monet")
    write_package(workspace, "manet", 0)
    registry.register(workspace, "manet")
    return workspace


@pytest.fixture
def workspace(first: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it. Its registry's packages are still found where they were made."""
    subprocess.run(["cp", "-a", str(first.root), str(tmp_path / "ws")], check=True)
    return Workspace(tmp_path / "ws")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Sit at a terminal: what begins a question -> the answer; any other question is an error."""
    given: dict[str, bool] = {}

    def confirm(question: str, default: bool) -> bool:
        assert not default
        return next(answer for start, answer in given.items() if question.startswith(start))

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", confirm)
    return given


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run as a flow."""
    called: list[list[str]] = []

    def run_module(_workspace: object, module: str, arguments: list[str]) -> int:
        called.append([module, *arguments])
        return 3

    monkeypatch.setattr(command, "run_module", run_module)
    return called


def atelier(workspace: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["-C", str(workspace.root), "remove", *arguments])
    return int(ended.value.code or 0)


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def names(workspace: Workspace, collection: str = "monet") -> set[str]:
    return {each.name for each in read_manifest(workspace.collection(collection))}


def test_a_removal_is_shown_done_and_followed_to_the_models(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert atelier(workspace, "lily", "rose", "--reason", "A forgery.", "--yes") == 0
    text = plain(capsys.readouterr().out)
    assert f"monet {sha('lily')[:12]} in/sub/lily 80x60 1 train 1 near duplicate would stay" in text
    assert f"near duplicates that would stay: {sha('lily again')[:12]} (in/lily again)" in text
    assert "monet: 4 images left, 2 to train on, 2 held out" in text
    assert re.search(rf"monet 1 - ({sha('lily')[:12]}|{sha('rose')[:12]}), ", text)
    assert f"monet 2 - {sha('lily')[:12]}" in text
    assert f"monet 3 challenger {sha('rose')[:12]}" in text
    assert "manet: not recorded what these versions were trained on: 1 (challenger)" in text
    assert "retrain" in text
    assert names(workspace) == {"lily again", "shared", "pond", "bridge"}
    (stone,) = (stone for stone in standing(workspace, "monet").values() if stone.name == "rose")
    assert stone.reason == "A forgery."
    assert (workspace.root / "data" / "styles" / "monet.dvc").is_file()
    assert not (workspace.root / "data" / "styles" / "manet.dvc").exists()


def test_copies_of_another_source_are_told_before_they_go(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], answers: dict[str, bool]
) -> None:
    assert atelier(workspace, "dave", "--dry-run") == 0
    assert "also in dave/rosa.jpg; its own source is bob/x" in plain(capsys.readouterr().out)
    assert atelier(workspace, "dave", "rose", "--dry-run") == 0  # named in its own place too
    assert "also in" not in plain(capsys.readouterr().out)
    answers["Remove 1 image (1 of which lies there only as a copy"] = False
    assert atelier(workspace, "dave", "--reason", "Not ours.") == 2
    assert "rose" in names(workspace)


def test_a_dry_run_tells_and_changes_nothing(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(workspace.root / "data")
    assert atelier(workspace, "shared", "rose", "--style", "monet", "--dry-run") == 0
    text = plain(capsys.readouterr().out)
    assert "bob/shared" in text
    assert "carol/shared" not in text
    assert f"monet 3 challenger {sha('rose')[:12]}" in text
    assert "nothing was changed" in text
    assert snapshot(workspace.root / "data") == before


def test_without_a_terminal_it_wants_to_be_told_yes(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(workspace.root / "data")
    assert atelier(workspace, "rose", "--reason", "r") == 2
    assert "say --yes" in capsys.readouterr().err
    assert atelier(workspace, "rose", "--yes") == 2
    assert "say why with --reason" in capsys.readouterr().err
    assert atelier(workspace, "rose", "--style", "monet", "--photos", "--yes", "--reason", "r") == 2
    assert "exclude each other" in capsys.readouterr().err
    assert snapshot(workspace.root / "data") == before


def test_no_is_no(workspace: Workspace, answers: dict[str, bool], capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(workspace.root / "data")
    answers["Remove 1 image?"] = False
    assert atelier(workspace, "rose", "--reason", "r") == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert snapshot(workspace.root / "data") == before


def test_the_champion_before_is_offered_back(
    workspace: Workspace, answers: dict[str, bool], flows: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    registry.promote(workspace, "monet", 2, "first", by=registry.GATE)
    registry.promote(workspace, "monet", 3, "better", by=registry.GATE)
    answers |= {"Remove 1 image?": True, "Make version 2 the champion": True}
    assert atelier(workspace, "rose", "--reason", "It's stolen.") == 3  # as the flow ended
    why = "trained on images that were removed: It's stolen."
    assert flows == [["flows", "promote", "monet", "--rollback", "--reason", why]]
    text = plain(capsys.readouterr().out)
    assert "monet: its champion was trained on them; version 2 was not" in text
    assert f"rollback monet --reason {shlex.quote(why)}" in text


def test_a_version_that_was_no_champion_is_offered_for_promotion(
    workspace: Workspace, answers: dict[str, bool], flows: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    registry.promote(workspace, "monet", 3, "first", by=registry.GATE)
    answers |= {"Remove 1 image?": True, "Make version 2 the champion": False}
    assert atelier(workspace, "rose", "--reason", "stolen") == 0
    assert flows == []
    assert "promote monet 2 --reason 'trained on images that were removed: stolen'" in plain(capsys.readouterr().out)


def test_where_no_version_is_clean_a_new_one_must_be_built(
    workspace: Workspace, flows: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    registry.promote(workspace, "monet", 3, "first", by=registry.GATE)
    assert atelier(workspace, "p2", "--photos", "--reason", "r", "--yes") == 0
    text = plain(capsys.readouterr().out)
    assert "its champion was trained on them, and every other version was or may have been" in text
    assert text.strip().endswith("retrain")
    assert flows == []


def test_what_was_removed_can_be_undone(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert atelier(workspace, "rose", "--undo", "--yes") == 2
    assert "nothing to undo" in capsys.readouterr().err
    assert atelier(workspace, "rose", "--reason", "r", "--yes") == 0
    assert atelier(workspace, "rose", "--reason", "again", "--yes") == 0
    assert "they were removed before" in plain(capsys.readouterr().out)
    assert atelier(workspace, "rose", "--undo", "--dry-run") == 0
    assert standing(workspace, "monet")
    assert atelier(workspace, "rose", "--undo", "--yes") == 0
    assert "no copy is left here" in plain(capsys.readouterr().out)  # DVC had never tracked it
    assert standing(workspace, "monet") == {}


def test_names_that_no_terminal_can_print_are_shown_all_the_same(workspace: Workspace) -> None:
    from pipeline.manifest import write_manifest
    from tests.pipeline.removal.studio import entry

    folder = workspace.collection("monet")
    write_manifest(folder, [*read_manifest(folder), entry("r\udcff\x1b[31m\n", "[bold]s")])
    child = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "-C", str(workspace.root), "remove", "[[]bold]s", "--dry-run"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert "[bold]s/r\\udcff\\x1b[31m\\n" in child.stdout
