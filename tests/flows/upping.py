"""A workspace's `atelier`, and an end of all that it started, whatever became of the test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline import services
from pipeline.up import processes
from pipeline.up.credentials import Credentials
from pipeline.up.slots import Api
from pipeline.workspace import Workspace
from tests.flows.studio import command


def atelier(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a workspace."""
    return command(root, "pipeline.cli", *arguments, **environment)


@contextlib.contextmanager
def ended(root: Path) -> Iterator[None]:
    """End, behind the block, whatever `up` had started in a workspace."""
    marks: set[str] = set()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            marks |= {one.mark for one in services.read(Workspace(root)).values()}
        for mark in marks:
            for pid in processes.members(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def until(true: Callable[[], Any], what: str, seconds: float = 240.0) -> Any:
    """Return the first true answer, or fail."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.3)
    return answer


def ask(root: Path, path: str, body: dict[str, Any]) -> Any:
    """Return what the workspace's Prefect server answers."""
    address = services.prefect_url(Workspace(root))
    assert address is not None
    return Api(address, Credentials.find({})).call(path, body)


def deployments(root: Path) -> dict[str, dict[str, Any]]:
    """Return the deployments by name."""
    return {one["name"]: one for one in ask(root, "/deployments/filter", {})}


def begin(root: Path, deployment: str, **parameters: Any) -> str:
    """Ask for a run of a deployment and return its id."""
    there = deployments(root)[deployment]
    made = ask(root, f"/deployments/{there['id']}/create_flow_run", {"parameters": parameters})
    return str(made["id"])


def state(root: Path, run: str) -> str:
    """Return a run's state type."""
    [found] = ask(root, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return str(found["state_type"])


def quiet(root: Path) -> None:
    """Keep the sensor from starting runs of its own while a test looks: a day between two looks."""
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("poll_seconds: 0.2", "poll_seconds: 86400.0"))
