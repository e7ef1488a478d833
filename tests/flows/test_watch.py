"""The sensor as a process, and what it makes of a retrain's end. What it decides: tests/pipeline/test_sensor.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.watch import attempt, outcome_of
from pipeline.files import read_json
from pipeline.process import AlreadyRunningError, exclusive
from pipeline.sensor import Outcome
from pipeline.workspace import Workspace


def test_what_a_retrain_came_to() -> None:
    assert outcome_of(AlreadyRunningError("an ingest")) == Outcome(deferred=True)
    assert outcome_of(ValueError("no disk")) == Outcome(broke=True)
    assert outcome_of(None) == Outcome(broke=True)
    recipes = [
        {"recipe": "ink", "state": "failed", "why": "no disk"},
        {"recipe": "oil", "state": "refused", "why": "worse"},
        {"recipe": "pen", "state": "failed", "why": "3 artworks", "lacking": True},
    ]
    assert outcome_of({"recipes": recipes}) == Outcome(failed=("ink",))


def test_while_another_retrain_runs_it_starts_none(workspace: Path) -> None:
    place = Workspace(workspace)
    with exclusive(place.var / "retrain.lock", "a retrain"):
        assert attempt(place) == Outcome(deferred=True)
    assert not (place.var / "health.json").exists()


def test_a_retrain_that_cannot_begin_is_no_end_of_the_watch(
    workspace: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.chdir(workspace)
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        assert attempt(Workspace(workspace)) == Outcome(broke=True)
    account = read_json(workspace / "var" / "health.json")
    assert "there is no style yet" in account["failure"]


@contextmanager
def watching(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (root / "sensor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "watch"],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while "looked" not in (_duty(root) or {}):
            assert process.poll() is None, (root / "sensor.log").read_text()
            assert time.monotonic() < deadline, "it never looked"
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _duty(root: Path) -> dict[str, object] | None:
    path = root / "var" / "duty" / "sensor.json"
    return dict(read_json(path)) if path.exists() else None


@pytest.mark.slow
def test_stopped_it_leaves_its_duty_and_killed_it_is_missed(workspace: Path) -> None:
    (workspace / "inbox").mkdir(exist_ok=True)
    (workspace / "inbox" / "loose.png").write_bytes(b"x")
    with watching(workspace) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert _duty(workspace) is None
    assert (workspace / "sensor.log").read_text().count("loose.png in inbox/ itself") == 1
    with watching(workspace) as process:
        process.kill()
        process.wait()
    assert _duty(workspace) is not None


@pytest.mark.slow
def test_a_mistake_in_the_parameters_is_told_once_and_waited_out(workspace: Path) -> None:
    text = (workspace / "params.yaml").read_text()
    with watching(workspace) as process:
        (workspace / "params.yaml").write_text(text.replace("seed: 20", "sede: 20"))
        deadline = time.monotonic() + 60
        while "sede" not in (workspace / "sensor.log").read_text():
            assert time.monotonic() < deadline, "it said nothing"
            time.sleep(0.1)
        time.sleep(1)
        (workspace / "params.yaml").write_text(text)
        before = _duty(workspace)
        while _duty(workspace) == before:
            assert time.monotonic() < deadline, "it looks no more"
            time.sleep(0.1)
        assert process.poll() is None
    assert (workspace / "sensor.log").read_text().count("sede") == 1
