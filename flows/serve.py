"""The deployments, served by one process to a running Prefect server. `python -m flows serve`."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import cast

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

from flows.evaluate_champion import evaluate_champion
from flows.promote import promote, rollback
from flows.prune import prune
from flows.retrain import retrain
from flows.schedule import next_due
from flows.watch import watch
from pipeline import health
from pipeline.params import load_params
from pipeline.workspace import Workspace

_TAGS = ["style-atelier"]
_LEAST_INTERVAL = 15.0  # seconds; each look is a flow run, so `python -m flows watch` polls faster and quieter


def serve_all(workspace: Workspace) -> None:
    """Serve all deployments until stopped."""
    params = load_params(workspace.params_file).retrain
    due, every = next_due(params, time.time()), max(params.poll_seconds, _LEAST_INTERVAL)
    with (
        health.on_duty(workspace, health.SCHEDULE, next_due=due),
        health.on_duty(workspace, health.SENSOR, every=every),
    ):
        serve(*deployments(workspace), pause_on_shutdown=False)


def deployments(workspace: Workspace) -> list[RunnerDeployment]:
    """Return the deployments; their code runs from the current folder, which is the workspace."""
    whole = load_params(workspace.params_file)
    params = whole.retrain
    # Later ones wait. The workspace's file lock is what really keeps two apart; this keeps them in order.
    one = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
    made = [
        retrain.to_deployment(
            "retrain",
            schedule=Cron(params.cron, timezone=params.timezone),
            concurrency_limit=one,
            description="Ingest the inbox; build, judge, register and promote what is new.",
            tags=_TAGS,
        ),
        watch.to_deployment(
            "watch",
            interval=timedelta(seconds=max(params.poll_seconds, _LEAST_INTERVAL)),
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
            description="Look at the inbox; retrain when something new lies still in it.",
            tags=_TAGS,
        ),
        promote.to_deployment(
            "promote",
            concurrency_limit=one,
            description="Make a version the champion, by a person's decision.",
            tags=_TAGS,
        ),
        rollback.to_deployment(
            "rollback",
            concurrency_limit=one,
            description="Make the previous champion the champion again.",
            tags=_TAGS,
        ),
        evaluate_champion.to_deployment(
            "evaluate-champion",
            schedule=Cron(whole.up.evaluate_cron, timezone=params.timezone),
            concurrency_limit=one,
            description="Score the champions on today's held-out images; say what moved beyond noise.",
            tags=_TAGS,
        ),
        prune.to_deployment(
            "prune",
            schedule=Cron(whole.up.prune_cron, timezone=params.timezone),
            concurrency_limit=one,
            description="Let go what nothing names any more and whose time is over.",
            tags=_TAGS,
        ),
    ]
    # Prefect types the call as one that may be awaited; called from no event loop it is not.
    return cast(list[RunnerDeployment], made)
