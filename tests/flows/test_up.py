"""`atelier up` for real: two servers and the deployments start, are mended one by one, and are stopped alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import services
from pipeline.params import load_params
from pipeline.services import MLFLOW, PREFECT, SERVE
from pipeline.up import processes
from pipeline.up.credentials import MLFLOW_PASSWORD, PREFECT_AUTH
from pipeline.up.slots import DEPLOYMENTS
from pipeline.workspace import Workspace
from tests.flows.studio import command
from tests.flows.upping import ask, atelier, begin, deployments, ended, quiet, state, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
SECRET = "painter:the-secret-under-the-easel"
PASSWORD = "another-secret-behind-the-canvas"


@pytest.fixture(scope="module")
def studio(new_workspace: Callable[[], Path]) -> Iterator[Path]:
    root = new_workspace()
    quiet(root)
    with ended(root):
        done = atelier(root, "up")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the schedule is up\n" in done.stdout
        yield root


def test_servers_answer_and_every_deployment_is_served(studio: Path) -> None:
    place = Workspace(studio)
    with urllib.request.urlopen(f"{services.prefect_url(place)}/api/health", timeout=60) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{services.mlflow_url(place)}/health", timeout=60) as answer:
        assert answer.status == 200
    served = deployments(studio)
    assert set(served) == set(DEPLOYMENTS)
    params = load_params(place.params_file)
    crons = {name: [one["schedule"].get("cron") for one in each["schedules"]] for name, each in served.items()}
    assert crons["retrain"] == [params.retrain.cron]
    assert crons["evaluate-champion"] == [params.up.evaluate_cron]
    assert crons["prune"] == [params.up.prune_cron]
    status = atelier(studio, "status").stdout
    assert f"prefect: {services.prefect_url(place)}, process" in status
    assert (place.var / "prefect" / "prefect.db").is_file()
    assert not (place.root / "mlflow.db").exists()


def test_a_second_up_changes_nothing(studio: Path) -> None:
    before = services.read(Workspace(studio))
    done = atelier(studio, "up")
    assert (done.returncode, services.read(Workspace(studio))) == (0, before), done.stderr
    assert "the schedule is up already; nothing was changed" in done.stdout


def test_a_run_of_a_deployment_is_kept_as_json_and_its_parameters_are_checked(studio: Path) -> None:
    run = begin(studio, "prune", apply=False)
    until(lambda: state(studio, run) in ("COMPLETED", "FAILED", "CRASHED"), "the run does not end")
    assert state(studio, run) == "COMPLETED"
    results = [path.read_text() for path in (studio / "var" / "prefect" / "storage").iterdir() if path.is_file()]
    assert any('"applied"' in text or "applied" in text for text in results)
    with pytest.raises(urllib.error.HTTPError, match=r"409|422"):
        begin(studio, "promote", name="Not a name!", version=0)


@pytest.mark.parametrize("name", [SERVE, MLFLOW, PREFECT])
def test_what_was_killed_is_mended_and_the_rest_left_alone(studio: Path, name: str) -> None:
    before = services.read(Workspace(studio))
    os.kill(before[name].pid, signal.SIGKILL)
    until(lambda: not before[name].alive, "it does not die")
    assert f"{name}: ended" in atelier(studio, "status").stdout
    done = atelier(studio, "up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name} had ended, and was started again" in done.stdout
    after = services.read(Workspace(studio))
    assert all(one.alive for one in after.values())
    assert after[name].address == before[name].address  # a bookmark stays good
    others = {PREFECT, MLFLOW} - {name}
    assert all(after[other] == before[other] for other in others)
    assert set(deployments(studio)) == set(DEPLOYMENTS)


def test_down_stops_that_and_nothing_else(studio: Path) -> None:
    started = services.read(Workspace(studio))
    port = started[PREFECT].address
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", "prefect server start"])
    try:
        done = atelier(studio, "down")
        assert done.returncode == 0, done.stderr
        assert "stopped: serve, prefect, mlflow" in done.stdout
        for one in started.values():
            assert not one.alive
            assert list(processes.members(one.mark)) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{port}/api/health", timeout=5)
    assert "nothing was up" in atelier(studio, "down").stdout
    assert services.prefect_url(Workspace(studio)) is None


def test_in_the_foreground_it_mends_by_itself_and_stops_all_when_asked(studio: Path) -> None:
    place = Workspace(studio)
    with ended(studio), (studio / "keeper.log").open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "up", "--foreground"],
            cwd=studio,
            env={**{k: v for k, v in os.environ.items() if k != "PREFECT_HOME"}, "PYTHONPATH": str(studio)},
            stdout=log,
            stderr=log,
        )
        try:
            until(lambda: "keeper" in services.read(place), "it does not come up")
            first = services.read(place)
            os.kill(first[MLFLOW].pid, signal.SIGKILL)
            until(lambda: services.read(place)[MLFLOW].pid != first[MLFLOW].pid, "it does not mend")
            until(lambda: "keeper" in services.read(place) and services.read(place)[MLFLOW].alive, "it is not mended")
            keeper.terminate()
            assert keeper.wait(timeout=180) == 0, (studio / "keeper.log").read_text()
        finally:
            keeper.kill()
            keeper.wait()
        assert not any(one.alive for one in first.values())
        assert not services.services_file(place).exists()


def test_planted_secrets_stand_in_nothing_that_is_written_or_shown(
    new_workspace: Callable[[], Path], tmp_path: Path
) -> None:
    """On loopback too a password may be asked for; MLflow's needs Flask-WTF, and is left out where that is not."""
    import importlib.util

    root = new_workspace()
    quiet(root)
    (tmp_path / "auth").write_text(f"{SECRET}\n")
    given = {f"{PREFECT_AUTH}_FILE": str(tmp_path / "auth")}
    if importlib.util.find_spec("flask_wtf"):
        (tmp_path / "password").write_text(PASSWORD)
        given[f"{MLFLOW_PASSWORD}_FILE"] = str(tmp_path / "password")
    with ended(root):
        done = atelier(root, "up", **given)
        assert done.returncode == 0, done.stdout + done.stderr
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(root, "/deployments/filter", {})
        if len(given) > 1:
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(
                    f"{services.mlflow_url(Workspace(root))}/api/2.0/mlflow/registered-models/search", timeout=60
                )
        said = [done.stdout, done.stderr]
        said += [atelier(root, *line, **given).stdout for line in (["up"], ["status"], ["status", "--json"])]
        # A flow of the command line shows the password too, and a wrong one is not shown.
        told = command(root, "flows", "promote", "ink", "1", "--reason", "no such model", **given)
        assert "no registered model named 'ink'" in told.stderr
        lines = subprocess.run(["ps", "-eo", "args", "ww"], capture_output=True, text=True, check=True).stdout
        assert str(root) in lines  # the servers' command lines are among them
        said += [told.stdout, told.stderr, lines, atelier(root, "down", **given).stdout]
    for secret in (SECRET, SECRET.partition(":")[2], PASSWORD):
        assert not [text for text in said if secret in text]
        holding = [path for path in root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert not [path for path in holding if path.name != "test_up.py"]
