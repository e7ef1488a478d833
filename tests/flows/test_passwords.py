"""Servers that other machines reach: they ask for passwords, flows run through them, and no secret shows anywhere."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from pipeline import services
from pipeline.presets import apply_changes
from pipeline.up.credentials import MLFLOW_PASSWORD, PREFECT_AUTH
from pipeline.workspace import Workspace
from tests.flows.studio import drop
from tests.flows.upping import atelier, ended, quiet, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
NAME = "studio.example.org"  # under which browsers reach it


def own_address() -> str:
    """Return an address of this machine that others can reach, if it has one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def status(url: str, user: str = "", body: dict[str, Any] | None = None, host: str = "") -> int:
    """Return the status of an answer."""
    try:
        fetch(url, user, body, host)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def fetch(url: str, user: str = "", body: dict[str, Any] | None = None, host: str = "") -> bytes:
    """Return an answer; `user` is USER:PASSWORD."""
    headers = {"Content-Type": "application/json"}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    if host:
        headers["Host"] = host
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return bytes(answer.read())


class Studio:
    """A workspace whose servers other machines reach."""

    def __init__(self, root: Path, host: str) -> None:
        self.root, self.place = root, Workspace(root)
        self.prefect_user = f"painter:{secrets.token_urlsafe(24)}"
        self.password = secrets.token_urlsafe(24)
        self.told: list[str] = []
        quiet(root)
        apply_changes(root / "params.yaml", {"up": {"host": host, "allowed_hosts": [NAME]}})

    @property
    def mlflow_user(self) -> str:
        return f"admin:{self.password}"

    def by_environment(self) -> dict[str, str]:
        return {PREFECT_AUTH: self.prefect_user, MLFLOW_PASSWORD: self.password}

    def by_files(self, folder: Path) -> dict[str, str]:
        folder.mkdir(exist_ok=True)
        (folder / "prefect").write_text(f"{self.prefect_user}\n")
        (folder / "mlflow").write_text(f"{self.password}\n")
        return {
            f"{PREFECT_AUTH}_FILE": str(folder / "prefect"),
            f"{MLFLOW_PASSWORD}_FILE": str(folder / "mlflow"),
        }

    def atelier(self, *line: str, **given: str) -> subprocess.CompletedProcess[str]:
        done = atelier(self.root, *line, **given)
        self.told += [done.stdout, done.stderr]
        return done

    def look(self) -> None:
        """Take down what `ps` shows to everyone."""
        lines = subprocess.run(["ps", "-eo", "args", "ww"], capture_output=True, text=True, check=True).stdout
        self.told.append(lines)

    def addresses(self, at: str = "") -> tuple[str, str]:
        prefect, mlflow = services.prefect_url(self.place), services.mlflow_url(self.place)
        assert prefect is not None
        assert mlflow is not None
        if at:
            prefect, mlflow = (f"http://{at}:{url.rpartition(':')[2]}" for url in (prefect, mlflow))
        return prefect, mlflow

    def assert_they_ask(self, at: str = "") -> None:
        """Every way in but the health checks asks for a password, and a wrong one is none."""
        prefect, mlflow = self.addresses(at)
        host = mlflow.removeprefix("http://") if not at else f"{NAME}:{mlflow.rpartition(':')[2]}"
        for user in ("", "painter:wrong", "admin:wrong-wrong-wrong", "admin:password1234"):
            for path in ("/deployments/filter", "/flow_runs/filter", "/block_documents/filter"):
                assert status(f"{prefect}/api{path}", user, {}) == 401, path
            assert status(f"{prefect}/api/admin/settings", user) == 401
            models = "/api/2.0/mlflow/registered-models/search"
            for path in ("/", "/graphql", models, "/get-artifact?path=a&run_id=b"):
                assert status(f"{mlflow}{path}", user, host=host) in (401, 403), path
            new = {"username": "eve", "password": "eves-own-password"}
            assert status(f"{mlflow}/api/2.0/mlflow/users/create", user, new, host) in (401, 403)
            search = {"experiment_ids": ["0"]}
            assert status(f"{mlflow}/api/2.0/mlflow/runs/search", user, search, host) in (401, 403)

    def assert_they_let_in(self, at: str = "") -> None:
        prefect, mlflow = self.addresses(at)
        port = mlflow.rpartition(":")[2]
        assert status(f"{prefect}/api/deployments/filter", self.prefect_user, {}) == 200
        path = f"{mlflow}/api/2.0/mlflow/registered-models/search"
        assert status(path, self.mlflow_user, host=f"{NAME}:{port}") == 200
        # A page of another name that leads here (DNS rebinding) is refused, password or not.
        assert status(path, self.mlflow_user, host=f"evil.example.net:{port}") == 403

    def assert_nothing_shows(self, *more: str) -> None:
        users = [self.prefect_user, self.mlflow_user]
        parts = [self.prefect_user.partition(":")[2], self.password, *more]
        sought = [*parts, *(base64.b64encode(user.encode()).decode() for user in users)]
        for secret in sought:
            assert not [text for text in self.told if secret in text]
        looked = 0
        for path in self.root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                looked += 1
                text = path.read_bytes()
                assert not [secret for secret in sought if secret.encode() in text], path
        assert looked > 500
        assert (self.place.var / "mlflow-auth.db").is_file()  # with a hash of MLflow's


def test_secrets_from_the_environment_and_a_retrain_through_the_servers(studio: Path) -> None:
    here = Studio(studio, "0.0.0.0")
    given = here.by_environment()
    for lacking, says in (({}, PREFECT_AUTH), ({PREFECT_AUTH: here.prefect_user}, MLFLOW_PASSWORD)):
        done = here.atelier("up", **lacking)
        assert (done.returncode, done.stderr.count("\n"), says in done.stderr) == (2, 1, True), done.stderr
    done = here.atelier("up", **{**given, MLFLOW_PASSWORD: "short"})
    assert (done.returncode, done.stderr.count("\n"), "12 characters" in done.stderr) == (2, 1, True), done.stderr
    assert services.read(here.place) == {}
    with ended(studio):
        done = here.atelier("up", **given)
        assert done.returncode == 0, done.stdout + done.stderr
        here.assert_they_ask()
        here.assert_they_ask(own_address())
        here.assert_they_let_in(own_address())
        here.look()
        drop(studio, "ink", 100, 4)
        prefect, mlflow = here.addresses()

        def ask(path: str, body: dict[str, Any]) -> Any:
            return json.loads(fetch(f"{prefect}/api{path}", here.prefect_user, body))

        deployments = {one["name"]: one["id"] for one in ask("/deployments/filter", {})}
        made = ask(f"/deployments/{deployments['retrain']}/create_flow_run", {"parameters": {"recipes": ["ink"]}})
        wanted = {"flow_runs": {"id": {"any_": [made["id"]]}}}

        def over() -> str:
            here.look()
            [found] = ask("/flow_runs/filter", wanted)
            told = str(found["state_type"])
            return told if told in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else ""

        assert until(over, "the retrain does not end", 900) == "COMPLETED", (
            here.place.var / "logs" / "serve.log"
        ).read_text()[-3000:]
        assert str(studio) in "".join(here.told[-2:])  # the servers' command lines are among them
        assert ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [made["id"]]}}})
        # MLflow's server, asked with its password, tells of the version and of its training.
        api = f"{mlflow}/api/2.0/mlflow"
        version = json.loads(fetch(f"{api}/model-versions/get?name=ink&version=2", here.mlflow_user))["model_version"]
        run = json.loads(fetch(f"{api}/runs/get?run_id={version['run_id']}", here.mlflow_user))["run"]["data"]
        curves = [one["key"] for one in run["metrics"] if not one["key"].startswith("evaluation/")]
        asked = f"{api}/metrics/get-history?run_id={version['run_id']}&metric_key="
        points = [len(json.loads(fetch(asked + key, here.mlflow_user))["metrics"]) for key in curves]
        assert max(points) > 1, dict(zip(curves, points, strict=True))
        # By hand: through the same server, which wants the password of whoever asks too.
        done = here.atelier("promote", "ink", "2", "--reason", "The sky is calmer.", **given)
        assert done.returncode == 0, done.stderr
        for line in (["status"], ["status", "--json"], ["doctor"], ["doctor", "--debug"], ["plan"]):
            here.atelier(*line, **given)
            without = here.atelier(*line)
            assert "Traceback" not in without.stdout + without.stderr or "--debug" in line, without.stderr
        done = here.atelier("up")  # and `up` itself, run again without them, says what it lacks and stops nothing
        assert (done.returncode, PREFECT_AUTH in done.stderr) == (2, True)
        here.assert_they_let_in()
        assert here.atelier("backup", "backups/safe").returncode == 0
        assert here.atelier("down").returncode == 0
    here.assert_nothing_shows()


def test_secrets_from_files_and_a_password_that_is_changed(studio: Path, tmp_path: Path) -> None:
    here = Studio(studio, own_address())
    given = here.by_files(tmp_path / "safe")
    first = here.password
    with ended(studio):
        done = here.atelier("up", **given)
        assert done.returncode == 0, done.stdout + done.stderr
        here.assert_they_ask()
        here.assert_they_let_in()
        _, mlflow = here.addresses()
        anna = {"username": "anna", "password": "annas-own-password"}
        assert status(f"{mlflow}/api/2.0/mlflow/users/create", here.mlflow_user, anna) == 200
        assert here.atelier("down").returncode == 0
        here.password = secrets.token_urlsafe(24)
        here.by_files(tmp_path / "safe")
        done = here.atelier("up", **given)
        assert done.returncode == 0, done.stdout + done.stderr
        here.look()
        here.assert_they_let_in()
        _, mlflow = here.addresses()
        path = f"{mlflow}/api/2.0/mlflow/registered-models/search"
        assert status(path, f"admin:{first}") == 401  # one that leaked is worth nothing any more
        assert status(path, "anna:annas-own-password") == 200
        assert here.atelier("promote", "ink", "1", "--reason", "by hand", **given).returncode == 0
        assert here.atelier("down").returncode == 0
    here.assert_nothing_shows(first)
