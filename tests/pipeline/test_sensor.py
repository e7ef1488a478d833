"""The sensor takes what lies still, once, forgets nothing when it is killed, and does not trust the wall's clock."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.clock import Moment
from pipeline.intake import inbox
from pipeline.params import load_params
from pipeline.process import exclusive
from pipeline.sensor import Outcome, look, memory_of
from pipeline.workspace import Workspace

DAY = 86_400.0


class Hands:
    """A clock that a test sets, and a retrain that takes what lies still in the inbox, like the real one."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.here = Moment(1_800_000_000.0, 1000.0, "first")
        self.calls: list[float] = []  # the steady seconds of each
        self.outcome = Outcome()
        self.killed = False
        self.ingests = True
        self.arriving: set[str] = set()  # what the ingest leaves

    def clock(self) -> Moment:
        return self.here

    def wait(self, seconds: float) -> None:
        self.here = replace(self.here, wall=self.here.wall + seconds, steady=self.here.steady + seconds)

    def set_clock(self, by: float) -> None:
        self.here = replace(self.here, wall=self.here.wall + by)

    def work(self) -> Outcome:
        self.calls.append(self.here.steady)
        if self.ingests:
            before = inbox.begin(self.workspace)
            for shown in set(before.values()) - self.arriving:
                (self.workspace.inbox / shown).unlink()
            inbox.commit(self.workspace, before, self.arriving)
        if self.killed:
            raise KeyboardInterrupt
        if not self.outcome.broke:
            inbox.built(self.workspace)
        return self.outcome

    def look(self) -> bool:
        return look(self.workspace, self.work, self.clock)

    def looks(self, count: int, every: float) -> int:
        """Look `count` times and return how often that led to work."""
        before = len(self.calls)
        for _ in range(count):
            self.look()
            self.wait(every)
        return len(self.calls) - before


@pytest.fixture
def hands(workspace: Path) -> Hands:
    text = (workspace / "params.yaml").read_text()
    for before, after in (
        ("quiet_seconds: 0.0", "quiet_seconds: 5.0"),
        ("  retry_seconds: 0.5", "  retry_seconds: 60.0"),
        ("longest_retry_seconds: 2.0", "longest_retry_seconds: 600.0"),
    ):
        assert before in text
        text = text.replace(before, after)
    (workspace / "params.yaml").write_text(text)
    return Hands(Workspace(workspace))


def land(hands: Hands, name: str, data: bytes = b"x", style: str = "ink") -> Path:
    path = hands.workspace.inbox / style / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_it_waits_until_a_file_lies_still_and_takes_it_once(hands: Hands) -> None:
    assert not hands.look()
    land(hands, "a.png")
    assert not hands.look()
    hands.wait(4)
    land(hands, "a.png", b"xx")
    assert not hands.look()
    hands.wait(4)
    assert not hands.look(), "it grew 4 seconds ago"
    hands.wait(2)
    assert hands.look()
    assert hands.looks(10, 10) == 0
    assert len(hands.calls) == 1


def test_a_file_that_never_lies_still_holds_up_no_other(hands: Hands) -> None:
    hands.arriving = {"ink/growing.png"}
    land(hands, "a.png")
    for size in range(1, 10):
        land(hands, "growing.png", b"x" * size)
        hands.looks(1, 2)
    assert len(hands.calls) == 1
    hands.arriving = set()
    assert hands.looks(5, 2) == 1


def test_a_file_that_the_ingest_cannot_take_away_is_no_reason_for_another(hands: Hands) -> None:
    hands.ingests = False
    land(hands, "stuck.png")
    hands.looks(2, 6)
    inbox.commit(hands.workspace, inbox.fingerprint(inbox.survey(hands.workspace.inbox).folders), ())
    hands.calls.clear()
    assert hands.looks(20, 1000) == 0
    land(hands, "stuck.png", b"another")
    assert hands.looks(3, 6) >= 1


def test_what_the_ingest_found_still_arriving_is_taken_next(hands: Hands) -> None:
    land(hands, "a.png")
    before = inbox.begin(hands.workspace)
    inbox.commit(hands.workspace, before, {"ink/a.png"})
    inbox.built(hands.workspace)
    assert hands.looks(3, 6) == 1


def test_what_lands_during_the_work_is_taken_next(hands: Hands) -> None:
    land(hands, "a.png")
    hands.looks(1, 6)
    work = hands.work

    def busy() -> Outcome:
        outcome = work()
        land(hands, "b.png")
        return outcome

    assert look(hands.workspace, busy, hands.clock)
    assert hands.looks(3, 6) == 1


def test_killed_after_the_ingest_it_still_owes_the_retrain(hands: Hands) -> None:
    land(hands, "a.png")
    hands.looks(1, 6)
    hands.killed = True
    with pytest.raises(KeyboardInterrupt):
        hands.look()
    assert not list((hands.workspace.inbox / "ink").iterdir())
    hands.killed = False
    assert not hands.look(), "at once: what killed it may do so again"
    assert hands.looks(20, 30) == 1


def test_a_failure_is_tried_again_ever_later_and_not_for_ever(hands: Hands) -> None:
    limit = load_params(hands.workspace.params_file).watch.attempts
    hands.ingests, hands.outcome = False, Outcome(broke=True)
    land(hands, "a.png")
    assert hands.looks(140, 25) == limit
    waits = [later - earlier for earlier, later in pairwise(hands.calls)]
    assert waits == sorted(waits)
    assert waits[0] >= 60
    assert waits[-1] == pytest.approx(600, abs=30)
    land(hands, "b.png")  # something new is a new reason
    assert hands.looks(2, 6) == 1


def test_recipes_that_failed_are_tried_again_though_the_inbox_is_dealt_with(hands: Hands) -> None:
    limit = load_params(hands.workspace.params_file).watch.attempts
    hands.outcome = Outcome(failed=("ink",))
    land(hands, "a.png")
    assert hands.looks(5, 6) == 1
    owed = memory_of(hands.workspace).owed
    assert owed is not None
    assert (owed.recipes, owed.attempts, owed.entries) == (("ink",), 1, ())
    assert hands.looks(140, 25) == limit - 1
    land(hands, "b.png")
    hands.outcome = Outcome()
    assert hands.looks(3, 6) == 1
    assert memory_of(hands.workspace).owed is None


def test_a_retrain_that_runs_already_is_waited_for_and_counts_as_no_attempt(hands: Hands) -> None:
    hands.ingests, hands.outcome = False, Outcome(deferred=True)
    land(hands, "a.png")
    assert hands.looks(50, 10) == 49
    owed = memory_of(hands.workspace).owed
    assert owed is not None
    assert owed.attempts == 0
    hands.ingests, hands.outcome = True, Outcome()
    assert hands.looks(5, 10) == 1


def test_what_somebody_elses_retrain_took_in_and_did_not_build_is_built(hands: Hands) -> None:
    land(hands, "a.png")
    before = inbox.begin(hands.workspace)
    with exclusive(hands.workspace.var / "retrain.lock", "a retrain"):
        assert hands.looks(1, 1) == 0, "that one is still at it"
    (hands.workspace.inbox / "ink" / "a.png").unlink()
    inbox.commit(hands.workspace, before, ())  # and then it was killed, or built another recipe alone
    assert hands.looks(5, 10) == 1


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_stillness_outlives_a_clock_that_jumps(hands: Hands, jump: float) -> None:
    hands.look()
    land(hands, "a.png")
    assert not hands.look()
    hands.set_clock(jump)
    hands.wait(1)
    assert not hands.look(), "one second passed, whatever the wall says"
    hands.wait(5)
    assert hands.look()


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_the_wait_before_another_attempt_outlives_a_clock_that_jumps(hands: Hands, jump: float) -> None:
    hands.ingests, hands.outcome = False, Outcome(broke=True)
    land(hands, "a.png")
    hands.looks(2, 6)
    hands.set_clock(jump)
    assert hands.looks(4, 10) == 0
    assert hands.looks(4, 10) == 1


def test_after_a_restart_of_the_machine_everything_is_watched_anew_and_nothing_waits_for_long(hands: Hands) -> None:
    hands.outcome = Outcome(broke=True)
    land(hands, "a.png")
    hands.looks(2, 6)
    land(hands, "b.png")
    hands.look()
    hands.here = Moment(hands.here.wall - DAY, 3.0, "second")
    hands.outcome = Outcome()
    assert hands.look(), "what was owed; nobody knows how long ago"
    assert hands.looks(3, 6) == 0, "and that took the second along"


def test_two_sensors_do_not_look_at_once(hands: Hands) -> None:
    land(hands, "a.png")
    hands.looks(1, 6)
    with exclusive(hands.workspace.var / "locks" / "watch.lock", "a sensor"):
        assert not hands.look()
    assert hands.look()


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"first": {"a": 1}, "owed": null}'])
def test_damaged_records_cost_a_look_and_lose_nothing(hands: Hands, damage: str) -> None:
    land(hands, "a.png")
    hands.looks(1, 6)
    for name in ("watch.json", "inbox.json"):
        (hands.workspace.var / name).write_text(damage)
    assert hands.looks(4, 6) >= 1
    assert not list((hands.workspace.inbox / "ink").iterdir())
