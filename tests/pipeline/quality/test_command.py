"""`atelier report`: the score on the terminal, the page in a browser where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.manifest import write_manifest
from pipeline.workspace import Workspace
from tests.pipeline.pictures import ROOT, make_workspace
from tests.pipeline.quality.stock import entry, picture, store


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = make_workspace(tmp_path / "ws")
    (workspace.root / "pipeline").symlink_to(ROOT / "pipeline")
    text = workspace.params_file.read_text()
    workspace.params_file.write_text(text.replace("executor: processes", "executor: inline "))
    folder = workspace.collection("monet")
    folder.mkdir(parents=True)
    write_manifest(folder, [picture(workspace, number) for number in range(6)])
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    return workspace


def run(workspace: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["-C", str(workspace.root), "report", *arguments])
    return int(ended.value.code or 0)


def test_it_says_score_obstacle_and_improvements_and_writes_the_page(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(workspace, "--style", "monet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("monet: ")
    assert "of 100 (weak); 6 different artworks, 2 held out" in lines[0]
    assert lines[1] == "Training needs at least 8 artworks (ingest.min_artworks); there are 6."
    assert [line.split()[0][0] for line in lines[2:5]] == ["+", "+", "+"]
    assert lines[5] == f"report: {workspace.quality('monet')}"
    assert "no browser could be opened here" in lines[6]
    assert lines[7] == f"next: atelier -C {workspace.root} ingest FOLDER --style monet"
    assert workspace.quality("monet").read_text().startswith("<!doctype html>")


def test_photographs_have_a_report_too(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    store(workspace, "photos", [entry(number) for number in range(40)])
    assert run(workspace, "--photos", "--no-open") == 0
    text = capsys.readouterr().out
    assert "40 different photographs" in text
    assert "browser" not in text
    assert workspace.quality("photos").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say which one collection the report is on: --photos, or --style monet"),
        (["--photos", "--style", "monet"], "say which one collection"),
        (["--style", "manet"], "there is no style 'manet'; known: monet"),
        (["--style", "../monet"], "style name '../monet' will not do"),
        (["--photos"], "there are no photographs yet"),
    ],
)
def test_what_cannot_be_reported_on_is_one_sentence(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(workspace, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_the_page_is_opened_in_the_browser_that_is_named_and_in_none_for_terminals(
    workspace: Workspace, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("mine", "www-browser", "w3m"):
        (tools / name).write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/{name}\n')
        (tools / name).chmod(0o755)
    command = [sys.executable, "-m", "pipeline.cli", "-C", str(workspace.root), "report", "--style", "monet"]
    bare = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}

    def opened(*options: str, **environment: str) -> list[str]:
        run = subprocess.run([*command, *options], env=bare | environment, capture_output=True, text=True, check=True)
        assert ("opened in the browser" in run.stdout) == (not options and bool(environment))
        return sorted(path.name for path in tmp_path.iterdir() if path.is_file())

    assert opened() == []
    assert opened("--no-open", BROWSER=str(tools / "mine")) == []
    assert opened(BROWSER=str(tools / "mine")) == ["mine"]
    assert (tmp_path / "mine").read_text().strip() == workspace.quality("monet").as_uri()
