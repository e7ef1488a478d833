"""Sections of params.yaml on this workspace: when flows run, and where files of others lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pipeline.params.ranges import Between, Sha256


@dataclass(frozen=True)
class Retrain:
    """When and under which limits the flow runs."""

    cron: str
    timezone: str
    stage_timeout_minutes: Annotated[float, Between(0.05, 100_000)]
    poll_seconds: Annotated[float, Between(0.1, 86_400)]  # the inbox sensor
    commit: bool  # commit data and lock files of what was built, and tag the version


@dataclass(frozen=True)
class Weights:
    """Local files of pretrained weights; empty means torch's cache, if it is filled.

    Where a file lies is this machine's; which file it must be is part of an evaluation's results.
    """

    vgg16: str
    vgg16_sha256: Sha256
    inception: str
    inception_sha256: Sha256
