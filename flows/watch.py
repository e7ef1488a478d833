"""The inbox sensor: looks, waits until what landed lies still, and retrains. `python -m flows watch`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow

from flows import notify
from flows.guard import busy
from flows.retrain import retrain
from flows.show import say
from pipeline import health
from pipeline.intake.inbox import survey
from pipeline.params import load_params
from pipeline.process import AlreadyRunningError
from pipeline.sensor import Outcome, look
from pipeline.workspace import Workspace, find_workspace

_FIRST_PAUSE = 10.0  # seconds, until the parameters could be read


@flow(name="watch", persist_result=False)
def watch() -> bool:
    """Look at the inbox once; retrain if something new lies still in it. Return whether a retrain ran."""
    workspace = find_workspace(Path.cwd())
    ran = look(workspace, lambda: attempt(workspace))
    attend(workspace)
    return ran


def watch_forever(workspace: Workspace) -> None:
    """Look every `retrain.poll_seconds` until stopped. A mistake in a file is told once, and waited out."""
    print(f"watching {workspace.inbox}; stop with Ctrl-C", flush=True)
    told, pause = _Once(), _FIRST_PAUSE
    with health.on_duty(workspace, health.SENSOR, every=pause):
        while True:
            try:
                pause = load_params(workspace.params_file).retrain.poll_seconds
                told("inbox", *survey(workspace.inbox).remarks)
                look(workspace, lambda: attempt(workspace))
                attend(workspace, pause)
                told("look")
            except (ValueError, OSError) as error:
                told("look", str(error))
            time.sleep(pause)


def attempt(workspace: Workspace) -> Outcome:
    """Retrain what is due, and return what became of it. A failure is said, and is no end of the watch."""
    if busy(workspace):  # asked before, so that no run stands in Prefect as failed that only had to wait
        return Outcome(deferred=True)
    try:
        state: Any = retrain(return_state=True)
        whole = state.result(raise_on_failure=False)
    except Exception as error:  # Prefect's own: its server is gone, for one
        whole = error
    if isinstance(whole, BaseException) and not isinstance(whole, AlreadyRunningError):
        say(f"watch: the retrain failed: {whole}")
    return outcome_of(whole)


def outcome_of(whole: Any) -> Outcome:
    """Return what became of a retrain, from its result, or the exception that it ended with."""
    if isinstance(whole, AlreadyRunningError):  # a retrain or an ingest that began a moment before
        return Outcome(deferred=True)
    if not isinstance(whole, dict):
        return Outcome(broke=True)
    # One that lacks artworks is not tried again without a reason: when some land, that is one.
    failed = [each["recipe"] for each in whole["recipes"] if each["state"] == "failed" and not each.get("lacking")]
    return Outcome(failed=tuple(failed))


def attend(workspace: Workspace, every: float | None = None) -> None:
    """Note that the sensor looked, and notify once of a run that is overdue. `every`: seconds between two looks."""
    health.looked(workspace, every)
    for why in health.newly_overdue(workspace):
        say(f"watch: {why}")
        notify.send(load_params(workspace.params_file).notify, "a run is overdue", why)


class _Once:
    """Says what it is told about a subject if that is news."""

    def __init__(self, tell: Callable[[str], None] = say) -> None:
        self.tell = tell
        self.last: dict[str, tuple[str, ...]] = {}

    def __call__(self, subject: str, *sentences: str) -> None:
        for sentence in sentences:
            if sentence not in self.last.get(subject, ()):
                self.tell(f"watch: {sentence}")
        self.last[subject] = sentences
