"""What Prefect must find in the environment before it is imported, when it reads its settings."""

from __future__ import annotations

import os

from pipeline import services
from pipeline.terminal import QUIET
from pipeline.tracking import QUIET as QUIET_MLFLOW
from pipeline.up.credentials import PREFECT_CLIENT, Credentials
from pipeline.up.servers import answers, prefect_settings
from pipeline.workspace import Workspace


def settings(workspace: Workspace) -> dict[str, str]:
    """Return the settings under which flows run: the workspace's own state, no telemetry, few words."""
    return {
        **QUIET,
        **QUIET_MLFLOW,
        **prefect_settings(workspace),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # The flows say in one sentence what failed; Prefect's own account of it, with tracebacks, is in its UI.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO" if os.environ.get("ATELIER_DEBUG") else "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def settle(workspace: Workspace) -> None:
    """Put the settings into the environment; what is set there already stays.

    The server that `atelier up` keeps is used while it answers. Without one, a flow starts a temporary server.

    Raises:
        ValueError: the secret that the server asks for cannot be read.
    """
    url = services.prefect_url(workspace)
    if url is not None and "PREFECT_API_URL" not in os.environ and answers(services.PREFECT, url, 5.0):
        os.environ["PREFECT_API_URL"] = f"{url}/api"
    if os.environ.get("PREFECT_API_URL") and not os.environ.get(PREFECT_CLIENT):
        os.environ.update(Credentials.find().for_flows())
    for name, value in settings(workspace).items():
        os.environ.setdefault(name, value)
    (workspace.var / "prefect").mkdir(parents=True, exist_ok=True)
