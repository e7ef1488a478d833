"""What Prefect must find in the environment before it is imported, when it reads its settings."""

from __future__ import annotations

import os

from pipeline.terminal import QUIET
from pipeline.tracking import QUIET as QUIET_MLFLOW
from pipeline.workspace import Workspace


def settings(workspace: Workspace) -> dict[str, str]:
    """Return the settings under which flows run: the workspace's own state, no telemetry, few words."""
    return {
        **QUIET,
        **QUIET_MLFLOW,
        "PREFECT_HOME": str(workspace.var / "prefect"),  # nothing is written into the user's home
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",  # DVC knows what is done; a second memory would lie
        # The flows say in one sentence what failed; Prefect's own account of it, with tracebacks, is in its UI.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO" if os.environ.get("ATELIER_DEBUG") else "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def settle(workspace: Workspace) -> None:
    """Put the settings into the environment; what is set there already stays."""
    for name, value in settings(workspace).items():
        os.environ.setdefault(name, value)
    (workspace.var / "prefect").mkdir(parents=True, exist_ok=True)
