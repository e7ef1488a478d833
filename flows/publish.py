"""Publishing as a flow: at the end of a retrain when params say so, or `python -m flows publish [--dry-run]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas import State
from prefect.states import Completed, Failed

from flows import publishing
from flows.guard import only_one
from flows.show import markdown, say
from pipeline.params import load_params
from pipeline.workspace import Workspace, find_workspace


@flow(name="publish", persist_result=False)
def publish() -> State[Any]:
    """Push what retrain committed: data to DVC's remote, then commits and version tags to git's."""
    workspace = find_workspace(Path.cwd())
    settings = load_params(workspace.params_file).publish
    try:
        with only_one(workspace):
            done = publishing.publish(workspace, settings, say)
    except publishing.NotPublishedError as error:
        return Failed(message=str(error))
    markdown("\n".join(f"- {line}" for line in done), "publish")
    return Completed(message="; ".join(done))


def after_retrain(workspace: Workspace) -> str | None:
    """Publish when params say so; return what came of it in a sentence. A failure is one too, and fails no model."""
    try:
        if not load_params(workspace.params_file).publish.enabled:
            return None
        state = publish(return_state=True)
        if state.is_completed():
            return f"published: {state.message}"
        why = state.message
    except Exception as error:  # the models are built, judged and registered, whatever this is
        why = f"{type(error).__name__}: {error}"
    said = f"not published: {why}; the models are not touched by that, and the next run publishes both"
    say(said)
    return said
