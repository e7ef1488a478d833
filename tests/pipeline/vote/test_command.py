"""`atelier vote`: what its words mean in a real registry, a vote over HTTP until Ctrl-C, and the tally after it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pipeline import cli, registry
from pipeline.vote.sides import find_pair
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.vote.studio import hold_out

ROOT = Path(__file__).parents[3]


@pytest.fixture
def place(mlflow_store: Callable[[Path], None], tmp_path: Path) -> Workspace:
    """A workspace of this checkout's code whose model `ink` has three versions."""
    workspace = empty_workspace(tmp_path / "studio")
    (workspace.root / "pipeline").symlink_to(ROOT / "pipeline")
    mlflow_store(workspace.root)
    for seed in range(3):
        write_package(workspace, "ink", seed)
        registry.register(workspace, "ink")
    return workspace


def _means(workspace: Workspace, name: str, against: str | None = None) -> tuple[str, str]:
    pair = find_pair(workspace, name, against)
    return pair.model.label, pair.rival.label


def _refusal(workspace: Workspace, name: str, against: str | None = None) -> str:
    with pytest.raises(ValueError, match=r"\w") as refused:
        find_pair(workspace, name, against)
    return str(refused.value)


def test_a_name_means_its_challenger_against_the_champion_or_else_lab_transfer(place: Workspace) -> None:
    assert _means(place, "ink") == ("ink version 3", "Lab transfer")
    registry.promote(place, "ink", 1, "first", by="ana")
    assert _means(place, "ink") == ("ink version 3", "ink version 1")
    registry.promote(place, "ink", 3, "better", by="ana")
    assert _means(place, "ink") == ("ink version 3", "Lab transfer")  # it is the champion itself
    assert _means(place, "ink@2") == ("ink version 2", "ink version 3")
    assert _means(place, "ink@previous", "ink@2") == ("ink version 1", "ink version 2")
    assert _means(place, "ink@champion", "photograph") == ("ink version 3", "the untouched photograph")
    pair = find_pair(place, "ink@previous", "ink@2")
    assert pair.digest == find_pair(place, "ink@2", "ink@1").digest
    assert pair.digest != find_pair(place, "ink@2", "ink@3").digest


def test_a_packages_folder_will_do(place: Workspace) -> None:
    digest = write_package(place, "ink", seed=7)
    folder = str(place.package("ink"))
    assert _means(place, folder) == (f"ink (package {digest[:12]})", "Lab transfer")
    registry.promote(place, "ink", 1, "first", by="ana")
    assert _means(place, folder) == (f"ink (package {digest[:12]})", "ink version 1")
    assert _means(place, "ink@1", folder)[1] == f"ink (package {digest[:12]})"
    assert find_pair(place, folder, None).model.key == digest
    (place.package("ink") / "config.json").write_text("{}")
    assert "does not match" in _refusal(place, folder)


def test_what_is_not_there_is_named_with_what_is(place: Workspace) -> None:
    assert "package folder named 'oil'" in _refusal(place, "oil")
    assert "package folder named 'models/oil'" in _refusal(place, "models/oil")
    assert "try ink@challenger" in _refusal(place, "ink@champion")
    assert "has no version 9" in _refusal(place, "ink@9")
    assert "'sketch'; champions: none yet" in _refusal(place, "ink", "sketch")
    assert "; controls: photograph, lab_transfer" in _refusal(place, "ink", "sketch")
    assert "same package" in _refusal(place, "ink", "ink@3")
    assert "--against lab_transfer" in _refusal(place, "lab_transfer")
    write_package(place, "oil")
    assert str(place.package("oil")) in _refusal(place, "oil")


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_a_vote_until_ctrl_c_and_its_tally(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    hold_out(place, 3)
    said = _vote(place, choice="left")
    assert "ink version 3 against Lab transfer: 2 pairs to vote on" in said
    last = said.splitlines()[-2]
    assert re.match(r"2 votes added on ink version 3. Painters preferred it to Lab transfer in [012] of 2", last)
    [kept] = (place.var / "votes").glob("*.jsonl")
    assert last.endswith(f"All votes lie in {kept.relative_to(place.root.parent)}")
    assert len(kept.read_bytes().splitlines()) == 2
    assert _run("-C", place.root, "vote", "ink", "--tally") == 0
    text = capsys.readouterr().out
    assert "ink version 3:" in text
    assert re.search(r"  Painters preferred it to Lab transfer in [012] of 2 decided votes: ", text)


def _vote(place: Workspace, choice: str) -> str:
    """Run the command as a person does, vote on two pairs, press Ctrl-C, and return what it printed."""
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "-C",
        str(place.root),
        "vote",
        "ink",
        "--count",
        "2",
        "--no-open",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=place.root.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    said = ""
    try:
        while "Ctrl-C ends" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        [address] = re.findall(r"voting page: (http://127\.0\.0\.1:\d+/)", said)
        with httpx.Client(base_url=address, timeout=60) as page:  # keeps its connection, as browsers do
            [token] = re.findall(r'<meta name="atelier-token" content="([^"]+)">', page.get("/").text)
            page.headers["X-Atelier-Token"] = token
            state = page.post("/visits", json={"voter": "Ana"}).json()
            while state["ballot"]:
                body = {"ballot": state["ballot"]["id"], "choice": choice}
                state = page.post(f"/visits/{state['visit']}/votes", json=body).json()
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    return said + rest


def test_a_tally_without_votes_says_how_to_begin(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("-C", place.root, "vote", "ink", "--tally") == 0
    text = capsys.readouterr().out
    assert "ink version 3: nobody has voted on it yet" in text
    assert f"next: atelier -C {place.root} vote ink" in text


def test_mistakes_are_one_sentence(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("-C", place.root, "vote", "ink", "--no-open") == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert _run("-C", place.root, "vote", "oil") == 2
    assert "package folder named 'oil'" in capsys.readouterr().err
    assert not (place.var / "votes").exists()
