"""Fault 5: a run that is cancelled in Prefect ends its trainer, and the next retrain goes on."""

from __future__ import annotations

import sys
import time
from uuid import UUID

import pytest

from tests.faults.studios import Studio, alive, ended, maker, settled, trainer_of, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
WITHIN = 15.0  # seconds from the request until the trainer has ended, as is promised


def ask(server: str, work: str, run: UUID | None = None) -> object:
    """Talk to the Prefect API as its UI does: start a run of the deployment, cancel it, or say how it stands."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Cancelling

    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        if work == "start":
            deployment = client.read_deployment_by_name("retrain/retrain")
            return client.create_flow_run_from_deployment(deployment.id).id
        assert run is not None
        if work == "cancel":
            client.set_flow_run_state(run, Cancelling())
        state = client.read_flow_run(run).state
        return state.name if state else "none"


def lengthened(studio: Studio) -> str:
    """Let trainings be long; return params.yaml as it was."""
    params = studio.root / "params.yaml"
    before = params.read_text()
    assert "\n  steps: 6 " in before
    params.write_text(before.replace("\n  steps: 6 ", "\n  steps: 100000 "))
    return before


def test_a_cancelled_run_ends_its_trainer(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Other parameters are what makes it train: an artwork in the inbox would wake the sensor that is served too.
    studio = settled(maker(tmp_path_factory), prefect_server)
    params, began = lengthened(studio), time.time()
    with ended(studio.start(sys.executable, "-m", "flows", "serve")) as served:
        until(lambda: deployed(prefect_server) or served.poll() is not None, "nothing was served")
        run = ask(prefect_server, "start")
        assert isinstance(run, UUID)
        until(lambda: trainer_of(studio.workspace, began) or served.poll() is not None, "no training began")
        trainer = trainer_of(studio.workspace, began)
        assert trainer
        ask(prefect_server, "cancel", run)
        asked = time.monotonic()
        until(lambda: not alive(trainer), f"the trainer lives {WITHIN:g} s after its run was cancelled", WITHIN)
        print(f"the trainer ended {time.monotonic() - asked:.1f} s after the request")
        until(lambda: ask(prefect_server, "state", run) == "Cancelled", "the run is not cancelled", 60)
    studio.assert_champion_loads()
    assert studio.aliases() == {"champion": 1, "anchor": 1}
    (studio.root / "params.yaml").write_text(params)
    done = studio.retrain()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ink: nothing new; version 1 stays champion" in done.stdout
    studio.assert_champion_loads()


def deployed(server: str) -> bool:
    """Return whether the deployment is known to the server."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name("retrain/retrain")
        except ObjectNotFound:
            return False
    return True
