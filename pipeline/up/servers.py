"""The servers' command lines and environments. No secret is on a command line: `ps` shows those to everyone."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.params import Up
from pipeline.services import MLFLOW, PREFECT, SERVE, Service
from pipeline.terminal import child_environment
from pipeline.up import passwords, processes
from pipeline.up.binding import Binding
from pipeline.up.credentials import Credentials, without_secrets
from pipeline.up.schema import mlflow_users
from pipeline.workspace import Workspace

HEALTH: Mapping[str, str] = {PREFECT: "/api/health", MLFLOW: "/health"}
_GLANCE = 20.0  # seconds for the answer of a server that is up; a busy machine is slow


def log_file(workspace: Workspace, name: str) -> Path:
    """Return where a service writes its output."""
    return workspace.var / "logs" / f"{name}.log"


def prefect_settings(workspace: Workspace) -> dict[str, str]:
    """Return Prefect's settings, for its server and for flows: the workspace's own state, no telemetry."""
    return {
        "PREFECT_HOME": str(workspace.var / "prefect"),  # nothing is written into the user's home
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",  # DVC knows what is done; a second memory would lie
        "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "false",  # also within flows whose results are kept
        # In memory, its leases would be lost with the server, and the slots that they hold never be freed.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


def start_prefect(workspace: Workspace, binding: Binding, port: int, credentials: Credentials) -> Service:
    """Start the Prefect server, its database under var/prefect/."""
    home = workspace.var / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **_environment(workspace),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_UI_API_URL": "/api",  # by whatever name the page was reached
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(binding.origins(port)),  # not any page that is open
        **credentials.for_prefect(),
    }
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE"):
        environment.pop(name, None)
    command = [*_module("prefect"), "server", "start", "--host", binding.host, "--port", str(port)]
    return _start(workspace, PREFECT, command, environment, binding.address(port))


def start_mlflow(
    workspace: Workspace, binding: Binding, port: int, credentials: Credentials, settings: Up
) -> Service:
    """Start the MLflow server over var/mlflow.db; with a password of its own if there is one."""
    environment = {
        **_environment(workspace),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nothing here needs its background jobs
        **credentials.for_mlflow(),
    }
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        environment.pop(name, None)
    command = [
        *_module("mlflow"), "server", "--host", binding.host, "--port", str(port),
        "--backend-store-uri", workspace.tracking_uri, "--default-artifact-root", workspace.artifacts.as_uri(),
        "--no-serve-artifacts", "--workers", str(settings.mlflow_workers),
    ]  # fmt: skip
    if hosts := binding.hosts(port):
        command += ["--allowed-hosts", ",".join(hosts)]
        command += ["--cors-allowed-origins", ",".join(binding.origins(port))]
    if credentials.mlflow is not None:
        # What MLflow was given at its first start it keeps; one that was changed since must count.
        passwords.settle(mlflow_users(workspace), credentials.mlflow_user, credentials.mlflow)
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(_auth_settings(workspace))
        command += ["--app-name", "basic-auth"]
    return _start(workspace, MLFLOW, command, environment, binding.address(port))


def start_serving(workspace: Workspace, prefect: str, credentials: Credentials) -> Service:
    """Start the process that serves the deployments to the Prefect server at an address."""
    environment = {
        **_environment(workspace),
        "PREFECT_API_URL": f"{prefect}/api",
        **credentials.for_flows(),
    }
    return _start(workspace, SERVE, [*_module("flows"), "serve"], environment, "")


def answers(name: str, address: str, patience: float = _GLANCE) -> bool:
    """Return whether a server is well."""
    try:
        with urllib.request.urlopen(f"{address}{HEALTH[name]}", timeout=patience):
            return True
    except (OSError, ValueError):
        return False


def await_answer(workspace: Workspace, service: Service, patience: float) -> None:
    """Return once a server that was just started is well.

    Raises:
        ValueError: it ended, or takes longer than `patience` seconds; the message has its last words.
    """
    wait_for(workspace, service, lambda: answers(service.name, service.address), patience, "does not answer")


def wait_for(workspace: Workspace, service: Service, ready: Callable[[], bool], patience: float, lack: str) -> None:
    """Return once `ready` says so.

    Raises:
        ValueError: the service ended before, or `patience` seconds have passed.
    """
    deadline = time.monotonic() + patience
    while not ready():
        processes.reap()
        log = log_file(workspace, service.name)
        if not service.alive:
            raise ValueError(f"{service.name} ended as soon as it was started: {last_words(log)} (all of it: {log})")
        if time.monotonic() > deadline:
            raise ValueError(
                f"{service.name} {lack} after {patience:g} s; see {log}, or give it more with up.start_seconds"
            )
        time.sleep(0.3)


def last_words(log: Path) -> str:
    """Return the last line of a log that says anything."""
    try:
        lines = log.read_text(errors="replace")[-20_000:].splitlines()
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if any(c.isalnum() for c in line)), "without a word")[:300]


def _start(workspace: Workspace, name: str, command: list[str], env: Mapping[str, str], address: str) -> Service:
    return processes.start(
        name, command, cwd=workspace.root, env=env, log=log_file(workspace, name), address=address
    )


def _module(name: str) -> list[str]:
    return [sys.executable, "-P", "-m", name]


def _environment(workspace: Workspace) -> dict[str, str]:
    return {**without_secrets(child_environment(workspace)), **prefect_settings(workspace)}


def _auth_settings(workspace: Workspace) -> Path:
    """Write where MLflow keeps its users, and return the file; passwords are not in it."""
    from pipeline.files import write_atomic

    return write_atomic(
        workspace.var / "mlflow-auth.ini",
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = sqlite:///{mlflow_users(workspace)}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
    )
