"""Parameters of what happens around models: when they are built anew, who is told, what is kept, what is shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pipeline.params.ranges import Between


@dataclass(frozen=True)
class Retrain:
    """When and under which limits the flow runs."""

    cron: str
    timezone: str
    stage_timeout_minutes: Annotated[float, Between(0.05, 100_000)]
    poll_seconds: Annotated[float, Between(0.1, 86_400)]  # the inbox sensor
    commit: bool  # commit data and lock files of what was built, and tag the version
    min_new_artworks: Annotated[int, Between(1, 1_000_000)]  # fewer new pictures than this wait for more
    max_age_days: Annotated[float, Between(0, 100_000)]  # but none waits longer
    code_alone: bool  # whether a recipe is due of which nothing but code changed


@dataclass(frozen=True)
class Watch:
    """How often the inbox sensor tries what failed."""

    attempts: Annotated[int, Between(1, 1000)]  # at one and the same content
    retry_seconds: Annotated[float, Between(0, 86_400)]  # before the second attempt; doubled before each later one
    longest_retry_seconds: Annotated[float, Between(0, 604_800)]


@dataclass(frozen=True)
class Ops:
    """When a person is told that something is wrong."""

    heartbeat_url: str  # var/health.json is posted there after each run; empty: nowhere
    heartbeat_timeout_seconds: Annotated[float, Between(0.1, 600)]
    overdue_minutes: Annotated[float, Between(0, 100_000)]  # after the time that the schedule named
    sensor_polls: Annotated[int, Between(2, 100_000)]  # looks left out in a row: the sensor is dead
    refused_in_a_row: Annotated[int, Between(1, 10_000)]  # challengers of one recipe


@dataclass(frozen=True)
class Notify:
    """Whom a run tells: Prefect's notification blocks."""

    blocks: tuple[str, ...]  # as Prefect names them, TYPE/NAME: slack-webhook/studio
    timeout_seconds: Annotated[float, Between(0.1, 600)]  # of one block


@dataclass(frozen=True)
class Prune:
    """How long what nothing names is kept; nothing that an alias or a git tag names is ever pruned."""

    versions: Annotated[int, Between(1, 1_000_000)]  # newest of each model that are kept besides
    checkpoints_days: Annotated[float, Between(0, 100_000)]
    runs_days: Annotated[float, Between(0, 100_000)]  # of MLflow's, without a version
    logs_days: Annotated[float, Between(0, 100_000)]
    dvc_cache: bool  # drop what neither the workspace nor any branch or tag needs


@dataclass(frozen=True)
class Publish:
    """Where `atelier publish`, and each retrain when enabled, pushes what was committed. Never by force."""

    enabled: bool  # at the end of each retrain
    remote: str  # git's
    branch: str  # of the remote; empty: called as the one that is checked out
    dvc_remote: str  # empty: DVC's default remote
    attempts: Annotated[int, Between(1, 100)]  # when others push at the same time
    minutes: Annotated[float, Between(0.01, 100_000)]  # that one fetch or push of git or DVC may take
    build_minutes: Annotated[float, Between(0.01, 100_000)]  # a stage, built again behind the commits of others


@dataclass(frozen=True)
class Up:
    """What `atelier up` starts, and when the flows that it serves run."""

    host: str  # an address other than loopback demands passwords and allowed hosts
    allowed_hosts: tuple[str, ...]  # under which MLflow may be asked besides this machine's own names
    prefect_port: Annotated[int, Between(0, 65535)]  # 0: a free one
    mlflow_port: Annotated[int, Between(0, 65535)]  # 0: a free one
    mlflow_workers: Annotated[int, Between(1, 64)]
    start_seconds: Annotated[float, Between(1, 86_400)]  # for a server to answer
    stop_seconds: Annotated[float, Between(0.1, 86_400)]  # for a process to end by itself
    retrain_minutes: Annotated[float, Between(0.01, 1_000_000)]  # of a whole retrain
    flow_minutes: Annotated[float, Between(0.01, 1_000_000)]  # of any other flow
    evaluate_cron: str  # in retrain.timezone
    prune_cron: str  # in retrain.timezone
