"""Telling people through Prefect's notification blocks. One that fails, or hangs, never fails or holds up a run."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import Any

import prefect.blocks.notifications  # noqa: F401 (its blocks register themselves)
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block

from pipeline.params import Notify

_LOGGER = logging.getLogger(__name__)


def send(settings: Notify, subject: str, body: str) -> list[str]:
    """Send a message through every block of `notify.blocks`; return in sentences which could not be sent.

    Each block has `notify.timeout_seconds`; one that takes longer is left behind.
    """
    problems = []
    for name in settings.blocks:
        why = _send(name, subject, body, settings.timeout_seconds)
        if why:
            problems.append(f"notification block {name!r}: {why}")
            _LOGGER.warning("%s", problems[-1])
    return problems


def _send(name: str, subject: str, body: str, seconds: float) -> str | None:
    """Return why a message could not be sent, or None."""
    outcome: list[str | None] = [f"no end after {seconds:g} s"]

    def work() -> None:
        try:
            block: Any = Block.load(name)
            if not isinstance(block, NotificationBlock):
                raise TypeError(f"a {type(block).__name__} sends no notifications")
            notify: Any = block.notify  # typed as one that may be awaited; called from no event loop it is not
            notify(body, subject=f"Style Atelier: {subject}")
            outcome[0] = None
        except Exception as error:
            outcome[0] = " ".join(f"{type(error).__name__}: {error}".split())

    # In a thread, because a block's service may hang; with this context, because Prefect keeps its settings there.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0]
