"""Fault 15: a flow run that was killed with all around it held the one slot; the next does not wait for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import services
from pipeline.services import PREFECT, SERVE
from pipeline.up import processes
from pipeline.workspace import Workspace
from tests.flows.upping import ask, atelier, begin, deployments, ended, quiet, state, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def studio(new_workspace: Callable[[], Path]) -> Iterator[Path]:
    root = new_workspace()
    quiet(root)
    # A run that holds its slot as long as a test likes: the first thing a retrain does is to wait here.
    flow = root / "flows" / "retrain.py"
    flow.write_text(flow.read_text().replace("    workspace = here()\n    minutes", WAIT + "    minutes", 1))
    with ended(root):
        done = atelier(root, "up")
        assert done.returncode == 0, done.stdout + done.stderr
        yield root


WAIT = """    workspace = here()
    while (workspace.root / "hold").exists():
        time.sleep(0.2)
"""


def slots(root: Path) -> int:
    limit: dict[str, Any] = deployments(root)["retrain"]["global_concurrency_limit"]
    return int(limit["active_slots"])


def test_the_slot_of_a_run_that_was_killed_with_its_servers_is_given_back(studio: Path) -> None:
    (studio / "hold").touch()
    first = begin(studio, "retrain")
    until(lambda: first in processes.flow_runs() and state(studio, first) == "RUNNING", "the run does not begin")
    assert slots(studio) == 1
    before = services.read(Workspace(studio))
    # All at once, as the power goes: the run, the process that serves it, and the server with the leases.
    for name in (SERVE, PREFECT):
        for pid in list(processes.members(before[name].mark)):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not before[SERVE].alive and not before[PREFECT].alive, "they do not die")
    (studio / "hold").unlink()

    done = atelier(studio, "up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "put right: retrain: 1 run(s) without a process, 1 slot(s)" in done.stdout
    assert state(studio, first) == "CRASHED"
    assert slots(studio) == 0
    second = begin(studio, "retrain")
    until(lambda: state(studio, second) in ("COMPLETED", "FAILED"), "the next retrain still waits")


def test_the_slot_of_a_run_that_was_killed_alone_is_given_back_and_one_in_use_is_not(studio: Path) -> None:
    (studio / "hold").touch()
    first = begin(studio, "retrain")
    until(lambda: first in processes.flow_runs() and state(studio, first) == "RUNNING", "the run does not begin")
    done = atelier(studio, "up")
    assert "put right" not in done.stdout  # it is in use
    assert state(studio, first) == "RUNNING"
    mark = services.read(Workspace(studio))[SERVE].mark
    flow_runs = set(processes.members(mark)) - set(processes.members(mark, flows_too=False))
    for pid in flow_runs:
        os.kill(pid, signal.SIGKILL)
    until(lambda: state(studio, first) == "CRASHED", "nobody notices")
    until(lambda: slots(studio) == 0, "its slot stays taken")


def test_the_doctor_tells_of_a_slot_that_was_lost_with_its_lease(studio: Path) -> None:
    limit = deployments(studio)["retrain"]["global_concurrency_limit"]
    import json
    import urllib.request

    request = urllib.request.Request(
        f"{services.prefect_url(Workspace(studio))}/api/v2/concurrency_limits/{limit['id']}",
        json.dumps({"active_slots": 1}).encode(),
        {"Content-Type": "application/json"},
        method="PATCH",
    )
    urllib.request.urlopen(request, timeout=60).close()
    assert slots(studio) == 1
    told = atelier(studio, "doctor").stdout
    assert "retrain: 0 run(s) without a process, 1 slot(s) taken that nobody uses" in told
    done = atelier(studio, "up")
    assert "put right: retrain: 0 run(s)" in done.stdout
    assert slots(studio) == 0
    assert ask(studio, "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["CRASHED"]}}}}) == []
