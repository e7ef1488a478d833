"""Every command that README and docs show: that it exists, and (slow) that it runs, in order, in a real workspace."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.main import get_command

from flows.schedule import next_due
from pipeline.cli import app
from pipeline.params import load_params
from tests.conftest import copy_checkout

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/operations.md", "docs/serving.md", "docs/using.md")
# Run by other tests or by whoever runs these: the demo by tests/pipeline/test_demo.py, `make test` by CI.
# The calls of docs/serving.md: by tests/pipeline/serve/test_command.py, against a server that runs.
# Trainings of another machine: by tests/pipeline/sharing/test_adoption.py.
ELSEWHERE = ("make demo", "make test", "curl ", "rsync ", "ssh ", "atelier adopt ")
# These serve until they are stopped.
SERVERS = ("python -m flows serve", "mlflow ui", "prefect worker start", "atelier vote monet --against",
           "atelier serve", "atelier studio", "mlflow models serve")  # fmt: skip
STAND_INS = {
    "path/to/other-photographs": "samples/photos",
    "path/to/other-monets": "samples/styles/ink",
    "path/to/monet": "samples/styles/ink",
    "path/to/safe": "../safe",
    "path/to/studio.git": "../studio.git",
    "path/to/store": "../store",
    "path/to/photographs": "samples/photos",
    "path/to/photo.jpg": "samples/photos/photo-000.jpg",
    "3fa8c1d0": "ink",
    '"bob/*" IMG_0042.jpg': "ink-003.png --yes",
}
# What a reader's history holds by the time the page speaks of it.
BEFORE = {
    "atelier ingest path/to/monet --style monet": [
        "atelier preset smoke",
        "atelier samples samples --photos 24 --artworks 14 --side 64 --style ink",
    ],
    "atelier stylize path": ["atelier promote monet 1 --reason 'smoke training cannot pass the gate'"],
    "atelier hold monet": ["sed -i 's/^seed: .*/seed: 21/' params.yaml", "atelier retrain monet"],
    "atelier accept-code monet": ["echo '# a comment' >> pipeline/train.py"],
    "atelier rollback monet": ["atelier promote monet 2 --reason 'another seed'"],
    "atelier registry delete monet": [
        "sed -i 's/^seed: .*/seed: 22/' params.yaml",
        "atelier retrain monet",
        "atelier promote monet 3 --reason 'so that nothing names version 2 any more'",
    ],
}


def _commands(page: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


ALL = [command for page in PAGES for command in _commands(page)]


def test_the_pages_show_the_two_commands_and_more() -> None:
    assert _commands("README.md")[:2] == ["make demo", "make test"]
    assert len(ALL) > 15


@pytest.mark.parametrize("command", [c for c in ALL if c.startswith("atelier ")])
def test_an_atelier_command_is_one_with_these_options(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    sub = get_command(app).commands[name]  # type: ignore[attr-defined]
    sub.make_context(name, arguments, resilient_parsing=False)


@pytest.mark.parametrize("command", [c for c in ALL if c.startswith("make ")])
def test_a_make_command_is_a_target_that_takes_these_variables(command: str) -> None:
    _, target, *variables = shlex.split(command)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)
    for variable in variables:
        assert f"$({variable.partition('=')[0]})" in makefile


@pytest.mark.parametrize("command", [c for c in ALL if c.startswith("python -m ")])
def test_a_module_command_is_a_module_of_this_checkout(command: str) -> None:
    module = shlex.split(command)[2]
    assert ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file()


def test_the_walk_of_an_operator_names_only_commands_that_run() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    walk = page.partition("## From install to a restored registry\n")[2].partition("\n## ")[0]
    told = re.findall(r"`(atelier [^`]+|make [^`]+|dvc [^`]+)`", walk)
    assert len(told) > 12
    # `make setup`: tests/test_setup.py. `dvc push`: tests/pipeline/sharing/test_remotes.py.
    assert [command for command in told if command not in {*ALL, "make setup", "dvc push"}] == []
    [cron] = re.findall(r'`retrain\.cron` to `"([^"]+)"`', walk)
    retrain = replace(load_params(ROOT / "params.yaml").retrain, cron=cron)
    due = next_due(retrain, 0.0)
    assert due is not None
    assert datetime.fromtimestamp(due, ZoneInfo(retrain.timezone)).strftime("%A %H:%M") == "Sunday 03:00"


def test_the_line_for_cron_prints_only_when_something_is_wrong(tmp_path: Path) -> None:
    page = (ROOT / "docs/operations.md").read_text()
    [line] = re.findall(r"^\*/30 \* \* \* \* (.*)$", page, re.MULTILINE)
    tools = tmp_path / "style-atelier" / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "activate").write_text(f"PATH={tools}:$PATH\n")
    for code, printed in ((0, ""), (1, "overdue\n")):
        # A stand-in for `atelier status --check`, whose exit codes tests/pipeline/test_health.py tries.
        (tools / "atelier").write_text(f'#!/bin/sh\necho overdue\nexit {code}\n')
        (tools / "atelier").chmod(0o755)
        home = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(["/bin/sh", "-c", line], env=home, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == (printed, "")


def _script() -> str:
    lines = ["set -ex", "trap 'prefect server stop; atelier down' EXIT"]
    for command in dict.fromkeys(ALL):
        if command.startswith(ELSEWHERE) or command.startswith(". .venv"):
            continue
        for start, before in BEFORE.items():
            if command.startswith(start):
                lines += before
        for shown, there in STAND_INS.items():
            command = command.replace(shown, there)
        if command.startswith(SERVERS):
            command = f"{{ timeout -s INT 40 {command} || test $? = 124; }}"
        lines.append(command)
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_of_the_pages_runs_in_order(tmp_path: Path) -> None:
    workspace = tmp_path / "studio"
    copy_checkout(workspace)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PREFECT_API")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PYTHONPATH": str(workspace),
    }
    done = subprocess.run(
        ["bash", "-c", _script()], cwd=workspace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert (workspace / "painted.jpg").is_file()
    assert (workspace / "scores.json").is_file()
