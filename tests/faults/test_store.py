"""Faults 3, 13 and 14: MLflow down, a champion's version deleted by hand, the registry's database truncated."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request

import pytest

from pipeline import registry
from tests.faults.studios import Studio, built, ended, forget_connections, maker, one_sentence, settled, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
# The flow, with what happens to MLflow at the moment that it registers: its server is killed, and something holds
# its database, which is what the flow itself writes to.
AT_REGISTRATION = """
import os, signal, sqlite3, sys
from pipeline import registry
real = registry.register
def register(*arguments):
    os.kill({server}, signal.SIGKILL)
    held = sqlite3.connect("var/mlflow.db", isolation_level=None, check_same_thread=False)
    held.execute({statement!r})
    try:
        return real(*arguments)
    finally:
        held.rollback()
        held.close()
registry.register = register
from pipeline.entry import run_stage
from flows.__main__ import main
sys.argv = ["flows", "retrain"]
run_stage(main)
"""
HOLD = """
import sqlite3, sys
held = sqlite3.connect("var/mlflow.db", isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def make(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    return tmp_path_factory


def serving(studio: Studio) -> tuple[subprocess.Popen[str], str]:
    """Start an MLflow server on the studio's database; return it and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = studio.start(
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", studio.workspace.tracking_uri,
        "--default-artifact-root", str(studio.workspace.artifacts),
    )  # fmt: skip

    def answers() -> bool:
        assert server.poll() is None, server.communicate()[0]
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return True
        except OSError:
            return False

    until(answers, "the MLflow server did not start")
    return server, url


@pytest.mark.parametrize("statement", ["SELECT 1", "BEGIN EXCLUSIVE"], ids=["server", "server and database"])
def test_mlflow_is_down_at_registration(statement: str, prefect_server: str, make: pytest.TempPathFactory) -> None:
    studio = built(maker(make), prefect_server)
    server, url = serving(studio)
    with ended(server):
        script = AT_REGISTRATION.format(server=server.pid, statement=statement)
        environment = {**studio.environment(), "MLFLOW_TRACKING_URI": url, "MLFLOW_REGISTRY_URI": url}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=studio.root, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    if statement == "SELECT 1":  # only who looks at MLflow needs its server
        assert done.returncode == 0, done.stdout + done.stderr
        assert studio.aliases() == {"champion": 1, "anchor": 1, "challenger": 2}
    else:
        assert done.returncode == 1, done.stdout + done.stderr
        assert "mlflow.db does not answer (" in done.stdout
        assert "database is locked" in done.stdout
        assert "Traceback" not in done.stderr
        assert studio.aliases() == {"champion": 1, "anchor": 1}
    studio.assert_champion_loads()
    studio.assert_converged()


def test_mlflow_is_down_at_promotion(prefect_server: str, make: pytest.TempPathFactory) -> None:
    studio = built(maker(make), prefect_server)
    done = studio.retrain()
    assert done.returncode == 0, done.stderr
    forget_connections()
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, cwd=studio.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        said = one_sentence(studio.run("pipeline.cli", "promote", "ink", "2", "--reason", "better"))
        assert "mlflow.db does not answer (" in said
        assert "run the same command again" in said
        studio.assert_champion_loads()  # while it is down, too
        holder.stdin.close()
    studio.assert_champion_loads()
    again = studio.run("pipeline.cli", "promote", "ink", "2", "--reason", "better")
    assert again.returncode == 0, again.stderr
    assert studio.aliases() == {"champion": 2, "previous": 1, "anchor": 2}
    found = registry.champion(studio.workspace, "ink")
    assert found is not None
    assert found.package == studio.coming
    assert studio.retrain().returncode == 0
    assert studio.aliases() == {"champion": 2, "previous": 1, "anchor": 2}


BY_HAND = "import sys, mlflow; mlflow.MlflowClient(registry_uri=sys.argv[1]).delete_model_version('ink', '1')"


def test_the_champions_version_is_deleted_by_hand(prefect_server: str, make: pytest.TempPathFactory) -> None:
    studio = settled(maker(make), prefect_server)
    command = [sys.executable, "-c", BY_HAND, studio.workspace.tracking_uri]
    subprocess.run(command, cwd=studio.root, check=True, capture_output=True)
    told = studio.run("pipeline.cli", "doctor")
    assert told.returncode != 0
    assert "ink version 1, the champion and anchor, was deleted" in " ".join(told.stdout.split())
    studio.assert_champion_loads()
    done = studio.retrain()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ink: nothing new; version 2 stays champion" in done.stdout
    assert studio.aliases() == {"champion": 2, "anchor": 2}
    studio.assert_champion_loads()
    assert studio.retrain().returncode == 0
    assert studio.aliases() == {"champion": 2, "anchor": 2}
    assert "was deleted" not in studio.run("pipeline.cli", "doctor").stdout


@pytest.mark.parametrize("cure", ["rebuild", "restore"])
def test_the_database_is_truncated(cure: str, prefect_server: str, make: pytest.TempPathFactory) -> None:
    studio = built(maker(make), prefect_server)
    safe = studio.root.parent / "safe"
    made = studio.run("pipeline.cli", "backup", str(safe))
    assert made.returncode == 0, made.stderr
    forget_connections()
    database = studio.workspace.var / "mlflow.db"
    os.truncate(database, database.stat().st_size // 2)
    for work in (("flows", "retrain",), ("pipeline.cli", "promote", "ink", "1", "--reason", "r")):
        said = one_sentence(studio.run(*work))
        assert "is cut off at" in said
        assert "`atelier registry rebuild`" in said
    studio.assert_champion_loads()
    told = studio.run("pipeline.cli", "doctor")
    assert told.returncode != 0
    assert "is cut off at" in " ".join(told.stdout.split())
    cured = ["registry", "rebuild"] if cure == "rebuild" else ["restore", str(safe), "--force"]
    mended = studio.run("pipeline.cli", *cured)
    assert mended.returncode == 0, mended.stderr
    assert studio.aliases() == {"champion": 1, "anchor": 1}
    studio.assert_champion_loads()
    studio.assert_converged()
