"""Two dependency versions silently break scheduling: so a cron deployment is served to a really started server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.up.slots import DEPLOYMENTS
from tests.flows.studio import command

ROOT = Path(__file__).resolve().parents[2]


def post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def deployed(api: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in post(f"{api}/deployments/filter", {})}


def scheduled(api: str) -> list[dict[str, Any]]:
    wanted = {
        "deployments": {"name": {"any_": ["retrain"]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    return list(post(f"{api}/flow_runs/filter", wanted))


def test_the_served_cron_deployment_gets_scheduled_runs(workspace: Path, prefect_server: str) -> None:
    environment = {**os.environ, "PREFECT_API_URL": prefect_server, "PYTHONPATH": str(workspace)}
    with (workspace / "serve.log").open("w") as log:
        served = subprocess.Popen(
            [sys.executable, "-m", "flows", "serve"],
            cwd=workspace,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deployments: dict[str, dict[str, Any]] = {}
    try:
        deadline = time.monotonic() + 120
        # One deployment comes after the other, and the scheduler does not wait for the last.
        while not (runs := scheduled(prefect_server)) or set(deployments) < set(DEPLOYMENTS):
            deployments = deployed(prefect_server)
            assert served.poll() is None, (workspace / "serve.log").read_text()
            assert time.monotonic() < deadline, "no run was scheduled, or a deployment is missing"
            time.sleep(0.5)
    finally:
        os.killpg(served.pid, signal.SIGKILL)
        served.wait()
    assert all("T03:00:00" in run["expected_start_time"] for run in runs)  # the cron of params.yaml
    assert set(deployments) == set(DEPLOYMENTS)
    for each in deployments.values():
        assert each["enforce_parameter_schema"]
        assert each["description"]
        assert each["tags"] == ["style-atelier"]
    options = deployments["retrain"]["concurrency_options"]
    assert (deployments["retrain"]["global_concurrency_limit"]["limit"], options["collision_strategy"]) == (
        1,
        "ENQUEUE",
    )


def test_without_a_server_it_says_how_to_start_one(workspace: Path) -> None:
    done = command(workspace, "flows", "serve")
    assert done.returncode == 2
    assert done.stderr.startswith("error: PREFECT_API_URL is not set")
    assert done.stderr.count("\n") == 1


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.__main__ import _await_server

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9/api.*prefect server start"):
        _await_server(patience=0.1)


@pytest.mark.slow
def test_the_work_pool_variant_is_taken_by_a_server(workspace: Path, prefect_server: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_API_URL": prefect_server,
        "PYTHONPATH": str(workspace),
        "ATELIER_WORKSPACE": str(workspace),
    }
    for line in ("work-pool create atelier --type process", "--no-prompt deploy --all"):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *line.split()],
            cwd=workspace,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    found = post(f"{prefect_server}/deployments/filter", {})
    pooled = {each["name"]: each for each in found if each["work_pool_name"] == "atelier"}
    assert set(pooled) == set(DEPLOYMENTS)
    assert {name for name, each in pooled.items() if each["schedules"]} == {
        "retrain",
        "watch",
        "evaluate-champion",
        "prune",
    }


def test_the_work_pool_variant_names_flows_that_exist() -> None:
    from prefect import Flow
    from prefect.flows import load_flow_from_entrypoint

    described = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for deployment in described["deployments"]:
        flow: Flow[Any, Any] = load_flow_from_entrypoint(str(ROOT / deployment["entrypoint"]))
        assert flow.name == deployment["name"]
