"""What a version was scored with when it was registered, and where later scores of it are kept."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.registry import store
from pipeline.registry.names import RegistryError
from pipeline.workspace import Workspace

_EVALUATION = "report/metrics.json"  # where `tracking.log_evaluation` puts it


def registered_scores(workspace: Workspace, name: str, number: int) -> dict[str, Any]:
    """Return the metrics.json of a version's evaluation; where that is lost, its tags' figures, without intervals.

    Raises:
        RegistryError: there is no such version.
    """
    from mlflow.exceptions import MlflowException

    registry = store.opened(workspace)
    one = store.numbered(registry, name, number)
    if one is None or not one.run_id:
        raise RegistryError(f"model {name!r} has no version {number}, or none with a run")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            file = registry.download_artifacts(one.run_id, _EVALUATION, scratch)
            whole: dict[str, Any] = json.loads(Path(file).read_text())
            return whole
    except (MlflowException, OSError, ValueError):
        figures = {key.removeprefix("metric/"): text for key, text in one.tags.items() if key.startswith("metric/")}
        metrics = {key: {"value": float(text), "low": None, "high": None} for key, text in figures.items()}
        return {"metrics": metrics, "data": one.tags.get("data_digest", "")}


def log_scores(workspace: Workspace, name: str, number: int, figures: Mapping[str, float], now: float) -> None:
    """Give a version's run the metrics `drift/<metric>`, a point in time each.

    Args:
        workspace: whose registry.
        name: registered model.
        number: version.
        figures: metric -> value.
        now: seconds since 1970; the step is the day since then.

    Raises:
        RegistryError: there is no such version.
    """
    from mlflow.entities import Metric

    registry = store.opened(workspace)
    one = store.numbered(registry, name, number)
    if one is None or not one.run_id:
        raise RegistryError(f"model {name!r} has no version {number}, or none with a run")
    day = int(now // 86_400)
    metrics = [Metric(f"drift/{key}", value, round(now * 1000), day) for key, value in figures.items()]
    registry.log_batch(one.run_id, metrics=metrics)
    registry.set_tag(one.run_id, "drift", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))
