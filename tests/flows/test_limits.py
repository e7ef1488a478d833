"""A flow ends when its time is over, with all that it started; runs of deployments wait for their turn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.limits import in_turn, within
from flows.proc import Deadline, run
from pipeline.up.processes import FLOW_RUN
from pipeline.workspace import Workspace

HOLD = """
import sys, time
from pathlib import Path
from pipeline.process import exclusive
with exclusive(Path(sys.argv[1]), "a retrain"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_flow_whose_time_is_over_is_timed_out_and_its_child_is_gone(prefect_server: str, tmp_path: Path) -> None:
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(300)"

    @flow(name="too-long")
    def too_long() -> None:
        with within(0.1):
            run(
                [sys.executable, "-c", child],
                cwd=tmp_path,
                env={},
                deadline=Deadline(600),
                on_line=lambda _: None,
            )

    with temporary_settings({PREFECT_API_URL: prefect_server}):
        state = too_long(return_state=True)
    assert state.name == "TimedOut"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_a_person_is_told_at_once_and_a_run_of_a_deployment_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.var / "retrain.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        monkeypatch.delenv(FLOW_RUN, raising=False)
        with pytest.raises(ValueError, match=f"already running .process {holder.pid}"), in_turn(workspace):
            pass
        monkeypatch.setenv(FLOW_RUN, "a-run")
        waited: list[float] = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            assert holder.stdin is not None
            if len(waited) == 2:
                holder.communicate("\n")

        monkeypatch.setattr("flows.limits.time.sleep", wait)
        with in_turn(workspace):
            assert len(waited) == 2
    finally:
        holder.kill()
        holder.wait()
