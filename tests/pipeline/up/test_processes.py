"""Stopping ends all that was started, wherever it went, and never a stranger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.services import Service, identity
from pipeline.up import processes

SLEEP = "import time; time.sleep(120)"
# Starts a child in a session of its own, says so, and sleeps.
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=True)
open("child", "w").write(str(child.pid))
{SLEEP}
"""
STUBBORN = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("ready", "w").close()
{SLEEP}
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Service]]:
    found: list[Service] = []
    yield found
    for one in found:
        for pid in processes.members(one.mark):
            os.kill(pid, signal.SIGKILL)


def start(place: Path, code: str, started: list[Service], **env: str) -> Service:
    service = processes.start(
        "some", [sys.executable, "-c", code], cwd=place, env={**os.environ, **env}, log=place / "logs" / "some.log"
    )
    started.append(service)
    return service


def await_file(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not (path.is_file() and (path.read_text() or path.name == "ready")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path.read_text()


def test_all_that_it_started_ends(tmp_path: Path, started: list[Service]) -> None:
    service = start(tmp_path, PARENT, started)
    child = int(await_file(tmp_path / "child"))
    assert set(processes.members(service.mark)) == {service.pid, child}
    assert processes.stop(service, 10)
    assert identity(child) is None
    assert not service.alive
    assert not processes.stop(service, 10)


def test_what_outlived_its_parent_ends_too(tmp_path: Path, started: list[Service]) -> None:
    service = start(tmp_path, PARENT, started)
    child = int(await_file(tmp_path / "child"))
    os.kill(service.pid, signal.SIGKILL)
    processes.wait(lambda: not service.alive, 10)
    assert processes.stop(service, 10)
    assert identity(child) is None


def test_a_flow_run_that_outlived_what_serves_it_can_be_spared(tmp_path: Path, started: list[Service]) -> None:
    service = start(tmp_path, PARENT, started, PREFECT__FLOW_RUN_ID="a-run")
    child = int(await_file(tmp_path / "child"))
    assert "a-run" in processes.flow_runs()
    assert list(processes.members(service.mark, flows_too=False)) == []
    os.kill(service.pid, signal.SIGKILL)
    processes.wait(lambda: not service.alive, 10)
    processes.stop(service, 1, flows_too=False)
    assert identity(child) is not None


def test_one_that_does_not_listen_is_killed(tmp_path: Path, started: list[Service]) -> None:
    service = start(tmp_path, STUBBORN, started)
    await_file(tmp_path / "ready")
    assert processes.stop(service, 0.5)
    assert not service.alive


def test_a_stranger_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        recorded = Service("some", stranger.pid, identity(stranger.pid) or "", "a mark that nobody bears", "")
        assert recorded.alive
        boot, _, ticks = recorded.identity.rpartition(":")
        before = replace(recorded, identity=f"{boot}:{int(ticks) - 1}")
        assert not before.alive
        assert not processes.stop(before, 1)
        processes.ask(before, signal.SIGKILL)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
