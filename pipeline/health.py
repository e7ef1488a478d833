"""Whether the workspace looks after itself: what the last run came to, who is on duty, and what is wrong.

`var/health.json` is written after each run and posted to `ops.heartbeat_url`. `var/duty/` tells which sensor and
schedule were started and not ended: only of these can it be said that they are late.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.clock import Moment, elapsed, now
from pipeline.files import read_json, write_json
from pipeline.params import Ops, load_params
from pipeline.process import held
from pipeline.registry import record
from pipeline.registry.names import CHAMPION
from pipeline.workspace import Workspace

SENSOR, SCHEDULE = "sensor", "schedule"


@dataclass(frozen=True)
class Problem:
    """Something that a person should look at: `overdue`, `sensor` or `refused`, and a sentence."""

    kind: str
    why: str


@dataclass(frozen=True)
class Checkup:
    """What `atelier status --check` says: all is well where there are no problems; `said` is the state in a line."""

    said: str
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"healthy": not self.problems, **asdict(self)}


def health_file(workspace: Workspace) -> Path:
    """Return where the account of the last run stands."""
    return workspace.var / "health.json"


def note_run(
    workspace: Workspace,
    recipes: Sequence[Mapping[str, Any]],
    failure: str = "",
    next_due: float | None = None,
    here: Moment | None = None,
) -> dict[str, Any]:
    """Write `var/health.json` after a run, and return what it says.

    Args:
        workspace: where.
        recipes: result of each: `recipe`, `state`, `why`.
        failure: why the whole run failed; empty if it came to its end.
        next_due: when the schedule names the next run, in seconds since 1970; None if nobody can say.
        here: this moment.
    """
    moment = here or now()
    failed = [str(each["recipe"]) for each in recipes if each["state"] == "failed"]
    account = {
        "finished": moment.to_dict(),
        "finished_utc": _utc(moment.wall),
        "ok": not failure and not failed,
        "failure": failure or (f"failed: {', '.join(failed)}" if failed else ""),
        "recipes": {str(each["recipe"]): {"state": each["state"], "why": each["why"]} for each in recipes},
        "refused_in_a_row": refused_in_a_row(workspace),
        "next_due": next_due,
    }
    write_json(health_file(workspace), account)
    return account


def beat(settings: Ops, account: Mapping[str, Any]) -> str | None:
    """Post the account of a run to `ops.heartbeat_url`; return why that failed, or None. It never raises."""
    if not settings.heartbeat_url:
        return None
    try:
        body = json.dumps(account).encode()
        request = urllib.request.Request(
            settings.heartbeat_url, body, {"Content-Type": "application/json", "User-Agent": "style-atelier"}
        )
        with urllib.request.urlopen(request, timeout=settings.heartbeat_timeout_seconds):
            return None
    except Exception as error:  # whatever stands there, no run fails over it
        return f"no heartbeat at ops.heartbeat_url: {' '.join(str(error).split())}"


@contextmanager
def on_duty(
    workspace: Workspace, what: str, *, every: float | None = None, next_due: float | None = None
) -> Iterator[None]:
    """Be on duty during the block. One that is killed is missed until it is started again; one that ends is not.

    Args:
        workspace: where.
        what: `SENSOR` or `SCHEDULE`.
        every: seconds between two looks of the sensor.
        next_due: when the schedule names its first run, in seconds since 1970.
    """
    path = _duty(workspace, what)
    write_json(path, {"process": os.getpid(), "since": now().to_dict(), "every": every, "next_due": next_due})
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def looked(workspace: Workspace, every: float | None = None, here: Moment | None = None) -> None:
    """Note that the sensor looked at the inbox.

    Args:
        workspace: where.
        every: seconds between two looks; without, the served sensor's, as it was noted when it was served.
        here: this moment.
    """
    path = _duty(workspace, SENSOR)
    known = _read(path)
    every = every if every is not None else known.get("every")
    if known or every is not None:  # a look by hand begins no duty
        write_json(path, {**known, "looked": (here or now()).to_dict(), "every": every})


def check(workspace: Workspace, here: Moment | None = None) -> Checkup:
    """Return what is wrong: a run is overdue, the sensor is dead, challengers were refused in a row.

    Raises:
        ValueError: the parameters are wrong.
    """
    settings, moment = load_params(workspace.params_file).ops, here or now()
    running = held(workspace.var / "retrain.lock")
    account = _read(health_file(workspace))
    problems: list[Problem] = []
    if not running:  # a training takes its time, and the next run and look wait for it
        problems += [*_overdue(workspace, account, settings, moment), *_dead(workspace, settings, moment)]
    for name, count in refused_in_a_row(workspace).items():
        if count >= settings.refused_in_a_row:
            why = f"{name}: the last {count} challengers were refused; `atelier history {name}` tells why"
            problems.append(Problem("refused", why))
    return Checkup(_said(account, running), tuple(problems))


def newly_overdue(workspace: Workspace, here: Moment | None = None) -> list[str]:
    """Return why a run is overdue if that was not returned before: each miss is told once.

    Raises:
        ValueError: the parameters are wrong.
    """
    path = workspace.var / "duty" / "told.json"
    problems = [one.why for one in check(workspace, here).problems if one.kind == "overdue"]
    told = _read(path).get("overdue", [])
    if problems != told:
        write_json(path, {"overdue": problems})
    return [why for why in problems if why not in told]


def refused_in_a_row(workspace: Workspace) -> dict[str, int]:
    """Return how many of each model's newest versions the gate refused in a row, those since the champion alone."""
    known = record.read(workspace)
    found = {}
    for name in sorted(known.names):
        champion = known.aliases.get(name, {}).get(CHAMPION, 0)
        later = (number for model, number in known.versions if model == name and number > champion)
        newest, row = sorted(later, reverse=True), 0
        while row < len(newest) and known.versions[name, newest[row]].tags.get("verdict") == "refused":
            row += 1
        found[name] = row
    return found


def _overdue(workspace: Workspace, account: Mapping[str, Any], settings: Ops, here: Moment) -> list[Problem]:
    duty = _read(_duty(workspace, SCHEDULE))
    begun = [(Moment.of(one), due) for one, due in _appointments(account, duty)] if duty else []
    if not begun:
        return []
    since, due = max(begun, key=lambda each: each[1])
    # By the wall's clock and by the time that really passed, so that a clock that was set cries no wolf.
    clocks = (here.wall, since.wall + elapsed(since, here))
    late = min(clocks) - due
    if late <= settings.overdue_minutes * 60:
        return []
    return [Problem("overdue", f"a run was due at {_utc(due)} and did not come; see `atelier status` and var/logs/")]


def _appointments(account: Mapping[str, Any], duty: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Yield when the next run was named, and for when: by the schedule's begin, and at the end of the last run."""
    if duty.get("next_due") is not None:
        yield duty["since"], float(duty["next_due"])
    if account.get("next_due") is not None:
        yield account["finished"], float(account["next_due"])


def _dead(workspace: Workspace, settings: Ops, here: Moment) -> list[Problem]:
    duty = _read(_duty(workspace, SENSOR))
    last, every = duty.get("looked") or duty.get("since"), duty.get("every")
    if last is None or every is None:
        return []
    silent = elapsed(Moment.of(last), here)
    if silent <= settings.sensor_polls * float(every):
        return []
    minutes = f"{silent / 60:.0f} minutes" if silent < 1e9 else "a long time"
    return [Problem("sensor", f"the sensor has not looked at the inbox for {minutes}; start it again")]


def _said(account: Mapping[str, Any], running: bool) -> str:
    if running:
        return "a retrain is running"
    if not account:
        return "nothing has run here yet"
    ended = "ended well" if account.get("ok") else f"ended with a failure ({account.get('failure')})"
    due = account.get("next_due")
    return f"the last run {ended} at {account['finished_utc']}" + (f"; the next is due at {_utc(due)}" if due else "")


def _duty(workspace: Workspace, what: str) -> Path:
    return workspace.var / "duty" / f"{what}.json"


def _read(path: Path) -> dict[str, Any]:
    """Return a record; nothing if it is not there, or damaged."""
    found: Any = None
    if path.is_file():
        with contextlib.suppress(ValueError, OSError):
            found = read_json(path)
    return found if isinstance(found, dict) else {}


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
