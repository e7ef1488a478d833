"""Fault 4: kill -9 of the flow, of dvc, of the trainer, each alone, while the trainer trains."""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial

import pytest

from tests.faults.studios import Studio, alive, ancestors, ended, maker, trainer_of, until, waiting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def gone(pid: int) -> bool:
    return not alive(pid)


def kill(studio: Studio, victim: str, since: float) -> str:
    """Start a retrain, hold its trainer in the middle of training, kill one of the three; return what was said."""
    with ended(studio.start(sys.executable, "-m", "flows", "retrain")) as flow:
        until(lambda: trainer_of(studio.workspace, since) or flow.poll() is not None, "no training began")
        trainer = trainer_of(studio.workspace, since)
        assert trainer, flow.communicate()[0]
        os.kill(trainer, signal.SIGSTOP)  # so that it is not done before it is killed
        dvc = [pid for pid, line in ancestors(trainer) if " -m dvc repro " in line and " -I -S " not in line]
        assert len(dvc) == 1
        pids = {"flow": flow.pid, "dvc": dvc[0], "trainer": trainer}
        os.kill(pids[victim], signal.SIGKILL)
        for pid in (pids["dvc"], trainer):
            until(partial(gone, pid), f"process {pid} outlived the {victim}", 60)
        said = flow.communicate(timeout=120)[0]
        assert flow.returncode == (-signal.SIGKILL if victim == "flow" else 1), said
    return said


def test_killed_alone_each_takes_the_others_along_and_the_next_retrain_goes_on(
    prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    studio = waiting(maker(tmp_path_factory), prefect_server)
    began = time.time()
    for victim in ("flow", "dvc", "trainer"):
        said = kill(studio, victim, began)
        if victim != "flow":
            assert "ink: failed: train@ink failed" in said or "ink: failed: dvc repro failed" in said, said
            assert "Traceback" not in said
        studio.assert_champion_loads()
        assert studio.aliases() == {"champion": 1, "anchor": 1}
    studio.assert_converged()
