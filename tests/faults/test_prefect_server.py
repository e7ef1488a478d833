"""Fault 2: the Prefect server is killed in the middle of a run, or before it: work is done, or a sentence said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import registry, services
from pipeline.files import read_json
from pipeline.services import PREFECT
from pipeline.up import processes
from pipeline.workspace import Workspace
from tests.flows.studio import command, drop
from tests.flows.upping import atelier, ended, quiet, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def studio(new_workspace: Callable[[], Path]) -> Iterator[Path]:
    root = new_workspace()
    quiet(root)
    with ended(root):
        done = atelier(root, "up")
        assert done.returncode == 0, done.stdout + done.stderr
        # Dropped after `up`, whose sensor has looked already and looks again in a day.
        time.sleep(20)
        drop(root, "photos", 0, 12)
        drop(root, "ink", 0, 8)
        yield root


def kill_prefect(root: Path) -> None:
    server = services.read(Workspace(root))[PREFECT]
    for pid in list(processes.members(server.mark)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not server.alive, "it does not die")


def inside_training(root: Path) -> bool:
    return (root / "work" / "logs" / "ink.json").is_file()


def test_killed_in_the_middle_the_work_is_done_or_one_sentence_is_said_and_a_rerun_converges(studio: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_HOME"}
    with (studio / "out").open("w") as out, (studio / "err").open("w") as err:
        run = subprocess.Popen(
            [sys.executable, "-m", "flows", "retrain"],
            cwd=studio,
            env={**environment, "PYTHONPATH": str(studio)},
            stdout=out,
            stderr=err,
        )
        try:
            until(lambda: inside_training(studio) or run.poll() is not None, "it does not come to training")
            assert run.poll() is None, (studio / "err").read_text()
            kill_prefect(studio)
            code = run.wait(timeout=900)
        finally:
            run.kill()
            run.wait()
    told = (studio / "err").read_text()
    assert "Traceback" not in told, told
    if code == 0:
        assert read_json(studio / "var" / "last_retrain.json")["recipes"][0]["state"] == "refused"
    else:
        assert told.rstrip().splitlines()[-1].startswith("error: the Prefect server at "), told
    assert converged(studio)


def test_killed_before_it_the_next_run_needs_none(studio: Path) -> None:
    kill_prefect(studio)
    assert converged(studio)


def test_a_server_that_a_person_named_and_that_is_gone_is_said_in_one_sentence(studio: Path) -> None:
    gone = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    done = command(studio, "flows", "retrain", **gone)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: the Prefect server at http://127.0.0.1:9/api went away" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((studio / "inbox" / "ink").iterdir())  # nothing was lost


def converged(root: Path) -> bool:
    """Whether the next retrain, with whatever is up, ends with one version of the one recipe, and then is idle."""
    first = command(root, "flows", "retrain")
    assert first.returncode == 0, first.stdout + first.stderr
    assert registry.aliases_of(Workspace(root), "ink") == {"challenger": 1}
    assert atelier(root, "up").returncode == 0
    again = command(root, "flows", "retrain")
    assert again.returncode == 0, again.stdout + again.stderr
    assert read_json(root / "var" / "last_retrain.json")["recipes"][0]["version"] == 1
    return not list((root / "inbox" / "ink").iterdir())
