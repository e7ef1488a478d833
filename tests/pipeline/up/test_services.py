"""The record of what runs tells a process from another that got its number."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import services
from pipeline.services import MLFLOW, PREFECT, Service, identity
from pipeline.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def me(name: str, address: str) -> Service:
    return Service(name, os.getpid(), identity(os.getpid()) or "", "mark", address)


def test_addresses_are_those_of_what_runs(place: Workspace) -> None:
    assert services.prefect_url(place) is None
    running = me(PREFECT, "http://127.0.0.1:4200")
    services.write(place, [running, replace(me(MLFLOW, "http://127.0.0.1:5000"), identity="another boot:1")])
    assert services.read(place)[PREFECT] == running
    assert services.prefect_url(place) == "http://127.0.0.1:4200"
    assert services.mlflow_url(place) is None


def test_a_process_that_ended_is_none_even_before_its_parent_took_note() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}").exists()
    assert identity(child.pid) is None
    child.wait()
    assert identity(child.pid) is None


def test_a_damaged_record_is_named_and_gives_no_address(place: Workspace) -> None:
    services.write(place, [me(PREFECT, "http://127.0.0.1:4200")])
    path = services.services_file(place)
    path.write_text(path.read_text()[:40])
    assert services.prefect_url(place) is None
    with pytest.raises(ValueError, match=r"services\.json cannot be read .* delete the file"):
        services.read(place)
