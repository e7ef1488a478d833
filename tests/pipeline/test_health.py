"""What a monitor is told: late runs, dead sensors, refusals in a row; and never by a clock that was set."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline import health
from pipeline.clock import Moment, elapsed, now
from pipeline.params import load_params
from pipeline.process import exclusive
from pipeline.registry import journal
from pipeline.workspace import Workspace
from tests.conftest import ROOT

DAY = 86_400.0
WELL = [{"recipe": "ink", "state": "promoted", "why": "better"}]


@pytest.fixture
def place(workspace: Path) -> Workspace:
    return Workspace(workspace)


def later(moment: Moment, seconds: float, jump: float = 0.0) -> Moment:
    return replace(moment, wall=moment.wall + seconds + jump, steady=moment.steady + seconds)


def kinds(place: Workspace, here: Moment) -> list[str]:
    return [problem.kind for problem in health.check(place, here).problems]


def test_elapsed_time_is_the_machines_own() -> None:
    then = Moment(1000.0, 50.0, "a")
    assert elapsed(then, Moment(1.0, 60.0, "a")) == 10
    assert elapsed(then, Moment(1030.0, 2.0, "b")) == 30
    assert elapsed(then, Moment(900.0, 2.0, "b")) == float("inf")
    assert Moment.of(then.to_dict()) == then
    assert now().boot == now().boot


def test_a_new_workspace_is_well(place: Workspace) -> None:
    found = health.check(place)
    assert (found.said, found.problems) == ("nothing has run here yet", ())


def test_a_scheduled_run_that_did_not_come_is_overdue_until_one_ends(place: Workspace) -> None:
    begun = now()
    margin = load_params(place.params_file).ops.overdue_minutes * 60
    with health.on_duty(place, health.SCHEDULE, next_due=begun.wall + 3600):
        assert kinds(place, later(begun, 3600 + margin - 10)) == []
        late = later(begun, 3600 + margin + 10)
        assert kinds(place, late) == ["overdue"]
        assert len(health.newly_overdue(place, late)) == 1
        assert health.newly_overdue(place, late) == [], "told once"
        with exclusive(place.var / "retrain.lock", "a retrain"):
            assert kinds(place, late) == []
        health.note_run(place, WELL, "", late.wall + DAY, late)
        assert kinds(place, later(late, 10)) == []
        assert health.newly_overdue(place, later(late, 10)) == []
        assert len(health.newly_overdue(place, later(late, 2 * DAY))) == 1, "another one"
    assert kinds(place, later(late, 9 * DAY)) == [], "nobody promised a run"


def test_a_sensor_that_was_killed_is_dead_and_one_that_was_stopped_is_not(place: Workspace) -> None:
    begun = now()
    with health.on_duty(place, health.SENSOR, every=10.0):
        health.looked(place, 10.0, begun)
        assert kinds(place, later(begun, 55)) == []
        assert kinds(place, later(begun, 65)) == ["sensor"]
        health.looked(place, here=later(begun, 70))
        assert kinds(place, later(begun, 75)) == []
    assert kinds(place, later(begun, 999)) == []
    health.looked(place)  # a look by hand begins no duty
    assert kinds(place, later(begun, 9999)) == []


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_jumps_raises_no_alarm(place: Workspace, jump: float) -> None:
    begun = now()
    with (
        health.on_duty(place, health.SENSOR, every=10.0),
        health.on_duty(place, health.SCHEDULE, next_due=begun.wall + 3600),
    ):
        health.looked(place, 10.0, begun)
        assert kinds(place, later(begun, 20, jump)) == []


def version(place: Workspace, number: int, verdict: str) -> None:
    writing = journal.begin(
        place, "register", "ink", version=number, package="p" * 64, tags={"verdict": verdict}, model="m", files={}
    )
    writing.note(journal.DONE)


def test_refusals_in_a_row_are_told_and_a_promotion_ends_the_row(place: Workspace) -> None:
    for number, verdict in enumerate(("refused", "accepted", "refused", "refused"), 1):
        version(place, number, verdict)
    assert health.refused_in_a_row(place) == {"ink": 2}
    assert kinds(place, now()) == []
    version(place, 5, "refused")
    assert kinds(place, now()) == ["refused"]
    writing = journal.begin(place, "promote", "ink", version=5, reason="", by="a person")
    writing.note(journal.DONE, after={"aliases": {"champion": 5}, "tags": {}})
    assert health.refused_in_a_row(place) == {"ink": 0}


def test_the_account_of_a_run(place: Workspace) -> None:
    broken = [*WELL, {"recipe": "oil", "state": "failed", "why": "no"}]
    account = health.note_run(place, broken, next_due=1.8e9)
    assert json.loads(health.health_file(place).read_text()) == account
    assert (account["ok"], account["failure"]) == (False, "failed: oil")
    assert "ended with a failure (failed: oil)" in health.check(place).said
    assert health.note_run(place, WELL)["ok"]
    assert not health.note_run(place, [], "no disk")["ok"]


@pytest.fixture
def ear() -> Iterator[tuple[str, list[Any]]]:
    """A server that keeps what is posted to it."""
    heard: list[Any] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", heard
    server.shutdown()
    server.server_close()


def test_the_heartbeat_carries_the_account_and_never_raises(place: Workspace, ear: tuple[str, list[Any]]) -> None:
    address, heard = ear
    settings = load_params(place.params_file).ops
    assert health.beat(settings, {"ok": True}) is None
    assert heard == []
    assert health.beat(replace(settings, heartbeat_url=f"{address}/beat"), {"ok": True}) is None
    assert heard == [{"ok": True}]
    for url in (f"{address}/broken", "http://127.0.0.1:9/", "no address"):
        said = health.beat(replace(settings, heartbeat_url=url), {"ok": True})
        assert said is not None
        assert said.startswith("no heartbeat at ops.heartbeat_url: ")


def test_the_command_exits_1_with_the_reasons(place: Workspace) -> None:
    def checked(*options: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pipeline.cli", "-C", str(place.root), "status", "--check", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert checked() == (0, "all is well: nothing has run here yet\n")
    for number in (1, 2, 3):
        version(place, number, "refused")
    code, said = checked()
    assert (code, said.startswith("refused: ink: the last 3 challengers were refused")) == (1, True)
    code, said = checked("--json")
    assert (code, json.loads(said)["healthy"]) == (1, False)
