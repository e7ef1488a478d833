"""Slots of deployments that nobody uses any more, found and given back through Prefect's own interface.

A deployment that runs one at a time has one slot, which a flow run holds by a lease. The process that serves the
deployments gives it back when the run's process ends, and Prefect itself when the lease runs out. But a run whose
process was killed together with its server and the process beside it stays "running", and its slot taken.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.up.credentials import Credentials
from pipeline.up.processes import flow_runs

DEPLOYMENTS = ("retrain", "watch", "promote", "rollback", "evaluate-champion", "prune")
_BUSY = (429, 502, 503, 504)
_PATIENCE, _PAUSE = 60.0, 1.0  # seconds: for an answer, and until a busy server is asked again
_GRACE = 90.0  # seconds in which a run that was given its slot gets a process
_UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")


@dataclass(frozen=True)
class Stale:
    """A deployment with slots that nobody uses, and the runs that were to use them."""

    deployment: str
    limit: str  # id of its concurrency limit; empty if it has none
    runs: tuple[str, ...]  # ids of runs that are not finished and have no process
    taken: int  # slots
    used: int  # slots of runs that have a process


class Api:
    """The few questions that are asked of a Prefect server."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        """Take the server's address, without a path."""
        self._base = f"{address}/api"
        self._headers = {"Content-Type": "application/json"}
        if credentials.prefect is not None:
            token = base64.b64encode(credentials.prefect.get_secret_value().encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"

    def call(self, path: str, body: dict[str, Any], method: str = "POST") -> Any:
        """Return the answer. A server that says that it is busy, as Prefect's while its database is, is asked again.

        Raises:
            OSError: the server does not answer, refuses, or stays busy for a minute; the message names it.
        """
        request = urllib.request.Request(
            f"{self._base}{path}", json.dumps(body).encode(), self._headers, method=method
        )
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in _BUSY or time.monotonic() > deadline:
                    said = f"HTTP {error.code} {error.reason}"
                    raise OSError(f"the Prefect server at {self._base} does not do {path}: {said}") from error
            time.sleep(_PAUSE)

    def deployments(self) -> list[dict[str, Any]]:
        """Return our deployments that a process of this machine serves; of work pools others may run them."""
        found = self.call("/deployments/filter", {"deployments": {"name": {"any_": list(DEPLOYMENTS)}}})
        return [one for one in found if not one.get("work_pool_name")]

    def unfinished(self, deployment: str) -> list[dict[str, Any]]:
        """Return a deployment's runs that were given a slot and have not ended."""
        wanted = {
            "deployments": {"id": {"any_": [deployment]}},
            "flow_runs": {"state": {"type": {"any_": list(_UNFINISHED)}}},
        }
        return list(self.call("/flow_runs/filter", wanted))


def find(api: Api, serving: bool) -> Iterator[Stale]:
    """Yield the deployments that have unused slots, or runs without a process. Changes nothing.

    Args:
        api: of the server.
        serving: whether a process serves the deployments now; runs are given a process only then.

    Raises:
        OSError: the server does not answer.
    """
    alive = flow_runs()
    for one in api.deployments():
        runs = api.unfinished(one["id"])
        dead = [run["id"] for run in runs if run["id"] not in alive and not (serving and _begins(run))]
        limit = one.get("global_concurrency_limit") or {}
        taken, used = int(limit.get("active_slots") or 0), len(runs) - len(dead)
        if dead or taken > used:
            yield Stale(one["name"], str(limit.get("id") or ""), tuple(dead), taken, used)


def release(api: Api, serving: bool) -> list[str]:
    """Give back what `find` finds; return that in sentences.

    Raises:
        OSError: the server does not answer.
    """
    said = []
    for stale in list(find(api, serving)):
        for run in stale.runs:
            state = {"type": "CRASHED", "name": "Crashed", "message": "Its process is gone."}
            api.call(f"/flow_runs/{run}/set_state", {"state": state, "force": True})
        if stale.limit:
            # Ending a run gives its slot back, but not if the lease was lost with a server.
            now = {one["name"]: one.get("global_concurrency_limit") or {} for one in api.deployments()}
            if int(now.get(stale.deployment, {}).get("active_slots") or 0) > stale.used:
                api.call(f"/v2/concurrency_limits/{stale.limit}", {"active_slots": stale.used}, "PATCH")
        said.append(sentence(stale))
    return said


def sentence(stale: Stale) -> str:
    """Return what is wrong, in words."""
    freed = max(0, stale.taken - stale.used)
    return (
        f"{stale.deployment}: {len(stale.runs)} run(s) without a process, {freed} slot(s) taken that nobody uses"
    )


def _begins(run: dict[str, Any]) -> bool:
    """Whether a run was given its slot so lately that its process may not be there yet."""
    state = run.get("state") or {}
    if state.get("type") != "PENDING":
        return False
    since = datetime.fromisoformat(str(state["timestamp"]).replace("Z", "+00:00"))
    return (datetime.now(UTC) - since).total_seconds() < _GRACE
