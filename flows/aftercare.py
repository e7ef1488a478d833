"""What follows a run: the account of the workspace's health, the heartbeat, and telling people what is news."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flows import notify
from flows.schedule import next_due
from flows.show import say
from pipeline import health
from pipeline.clock import now
from pipeline.files import read_json
from pipeline.params import load_params
from pipeline.process import AlreadyRunningError
from pipeline.workspace import Workspace

_NEWS = ("promoted", "refused", "held", "failed")


@contextmanager
def of_failure(workspace: Workspace) -> Iterator[None]:
    """Tell of what ends the block by an exception: a run that could not begin, or broke off."""
    try:
        yield
    except AlreadyRunningError:  # an ingest by hand: nothing failed, it only has to wait
        raise
    except Exception as error:
        why = f"the retrain failed: {' '.join(str(error).split()) or type(error).__name__}"
        _keep_account(workspace, [], why)
        _send(workspace, "a retrain failed", why)
        raise


def tell(workspace: Workspace, results: Sequence[Mapping[str, Any]]) -> None:
    """Keep the account of a run that came to its end, and tell people what is news of its recipes.

    Call it before `var/last_retrain.json` is written anew: what stood there was told already.
    """
    _keep_account(workspace, results, "")
    before = _last_told(workspace)
    for result in results:
        if result["state"] in _NEWS and _gist(result) != before.get(result["recipe"]):
            _send(workspace, f"{result['recipe']} {_words(result)}", str(result["why"]))


def _keep_account(workspace: Workspace, results: Sequence[Mapping[str, Any]], failure: str) -> None:
    """Write `var/health.json` and post it. Whatever goes wrong with that is said, and fails no run."""
    try:
        params, here = load_params(workspace.params_file), now()
        due = next_due(params.retrain, here.wall)
        account = health.note_run(workspace, results, failure, due, here)
        problem = health.beat(params.ops, account)
    except Exception as error:
        problem = f"the account of this run was not kept: {error}"
    if problem:
        say(problem)


def _send(workspace: Workspace, subject: str, body: str) -> None:
    try:
        problems = notify.send(load_params(workspace.params_file).notify, subject, body)
    except ValueError:  # the parameters themselves may be what the run failed on
        return
    for problem in problems:
        say(problem)


def _last_told(workspace: Workspace) -> dict[str, tuple[Any, ...]]:
    try:
        last = read_json(workspace.var / "last_retrain.json")
        return {result["recipe"]: _gist(result) for result in last["recipes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _gist(result: Mapping[str, Any]) -> tuple[Any, ...]:
    return result["state"], result.get("version"), result["why"]


def _words(result: Mapping[str, Any]) -> str:
    return f"version {result['version']} is {result['state']}" if "version" in result else str(result["state"])
