"""What `up` finds before it starts anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import services
from pipeline.services import MLFLOW, PREFECT, Service, identity
from pipeline.up import run
from pipeline.up.credentials import MLFLOW_PASSWORD, NAMES, PREFECT_AUTH
from pipeline.workspace import Workspace
from tests.conftest import ROOT

FIRST, SECOND = "painter:the-first-of-two", "painter:the-second-of-two"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dvc.yaml").touch()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return Workspace(tmp_path)


@pytest.fixture(params=[(PREFECT, PREFECT_AUTH), (MLFLOW, MLFLOW_PASSWORD)], ids=["prefect", "mlflow"])
def running(request: pytest.FixtureRequest, place: Workspace) -> Iterator[str]:
    """A server that was started with the first password, as far as `up` can see; yields what names that."""
    name, variable = request.param
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, variable: FIRST},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    services.write(place, [Service(name, process.pid, identity(process.pid) or "", "", "")])
    yield variable
    process.kill()
    process.wait()


@pytest.mark.parametrize("given", [SECOND, None])
def test_a_password_that_is_not_the_running_servers_is_refused_and_not_shown(
    running: str, place: Workspace, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("flask_wtf")
    if given:
        monkeypatch.setenv(running, given)
    before = services.read(place)
    with pytest.raises(ValueError, match=rf"another {running} .*`atelier down`, then `atelier up`") as refused:
        run.up(place)
    assert "of-two" not in str(refused.value)
    assert services.read(place) == before
    assert all(one.alive for one in before.values())
