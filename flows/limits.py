"""How long a flow may take. Prefect wants that when a flow is defined, and params.yaml is read when it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prefect.utilities.timeout import timeout

from flows.guard import only_one
from flows.show import say
from pipeline.up.processes import FLOW_RUN
from pipeline.workspace import Workspace

_TICK = 5.0  # seconds


@contextmanager
def within(minutes: float) -> Iterator[None]:
    """End the block when its time is over, by an exception that Prefect shows as `TimedOut`.

    What the block started ends with it: every child runs under `flows.proc`.

    Raises:
        TimeoutError: the time is over.
    """
    with timeout(minutes * 60, FlowTimeoutError):
        yield


class FlowTimeoutError(TimeoutError):
    """A flow took longer than params.yaml lets it."""


@contextmanager
def in_turn(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's lock during the block: a run of a deployment waits for it, a person is told at once.

    Raises:
        ValueError: another process holds it, and a person asked; the message says which.
    """
    told = False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(only_one(workspace))
                break
            except ValueError as error:
                if FLOW_RUN not in os.environ:
                    raise
                if not told:
                    say(f"waiting: {error}")
                told = True
            time.sleep(_TICK)
        yield
