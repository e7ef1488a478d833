"""What Prefect must find in the environment before it is imported, when it reads its settings."""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request

from pipeline import services
from pipeline.terminal import QUIET
from pipeline.tracking import QUIET as QUIET_MLFLOW
from pipeline.up.credentials import PREFECT_CLIENT, Credentials
from pipeline.up.servers import answers, prefect_settings
from pipeline.workspace import Workspace

_PATIENCE = 10.0  # seconds; one that is gone refuses at once, and one on a busy machine is slow


def settings(workspace: Workspace) -> dict[str, str]:
    """Return the settings under which flows run: the workspace's own state, no telemetry, few words."""
    return {
        **QUIET,
        **QUIET_MLFLOW,
        **prefect_settings(workspace),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # The flows say in one sentence what failed; Prefect's own account of it, with tracebacks, is in its UI.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO" if os.environ.get("ATELIER_DEBUG") else "CRITICAL",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR" if os.environ.get("ATELIER_DEBUG") else "CRITICAL",
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
    # Prefect prints past its own settings, for each batch of lines that a server which went away does not take.
    logging.raiseExceptions = bool(os.environ.get("ATELIER_DEBUG"))
    (workspace.var / "prefect").mkdir(parents=True, exist_ok=True)


def server_answers() -> bool:
    """Return whether the Prefect server that flows talk to answers; their own temporary one need not be asked."""
    url = os.environ.get("PREFECT_API_URL")
    try:
        if url:
            urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=_PATIENCE).close()
    except urllib.error.HTTPError:
        return True  # it answers; what it lacks, Prefect will say
    except (OSError, ValueError):
        return False
    return True
