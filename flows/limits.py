"""How long a flow may take. Prefect wants that when a flow is defined, and params.yaml is read when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.utilities.timeout import timeout


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
