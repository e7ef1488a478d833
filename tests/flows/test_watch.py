"""The sensor takes what lies still, once, and forgets nothing when it is killed."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from flows.watch import ATTEMPTS, look
from pipeline.workspace import Workspace

NOW = 1_800_000_000.0


@pytest.fixture
def place(workspace: Path) -> Workspace:
    text = (workspace / "params.yaml").read_text()
    (workspace / "params.yaml").write_text(text.replace("quiet_seconds: 0.0", "quiet_seconds: 5.0"))
    return Workspace(workspace)


def land(workspace: Workspace, name: str, age: float) -> Path:
    path = workspace.inbox / "ink" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (NOW - age, NOW - age))
    return path


class Work:
    """A retrain that counts its calls."""

    def __init__(self, succeeds: bool = True) -> None:
        self.calls, self.succeeds = 0, succeeds

    def __call__(self) -> bool:
        self.calls += 1
        return self.succeeds


def test_it_waits_until_everything_lies_still_and_takes_it_once(place: Workspace) -> None:
    work = Work()
    assert not look(place, work, NOW)
    land(place, "a.png", age=60)
    land(place, "b.png", age=1)
    assert not look(place, work, NOW)
    assert look(place, work, NOW + 10)
    assert not look(place, work, NOW + 20)
    assert work.calls == 1
    land(place, "a.png", age=30)  # replaced by another
    assert look(place, work, NOW + 60)


def test_what_lands_during_the_work_is_taken_next(place: Workspace) -> None:
    first = land(place, "a.png", age=60)

    def busy() -> bool:
        land(place, "b.png", age=60)
        first.unlink()  # ingested
        return True

    work = Work()
    assert look(place, busy, NOW)
    assert look(place, work, NOW)
    assert work.calls == 1


def test_killed_at_work_it_tries_again(place: Workspace) -> None:
    land(place, "a.png", age=60)

    def killed() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(place, killed, NOW)
    work = Work()
    assert not look(place, work, NOW + 1)  # not at once: what killed it may do so again
    assert look(place, work, NOW + 4000)
    assert work.calls == 1


def test_a_failure_is_tried_again_ever_later_and_not_for_ever(place: Workspace) -> None:
    land(place, "a.png", age=60)
    work = Work(succeeds=False)
    times = [moment for moment in range(0, 20_000, 10) if look(place, work, NOW + moment)]
    assert len(times) == ATTEMPTS
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]
    land(place, "b.png", age=60)  # something new is a new reason
    assert look(place, work, NOW + 30_000)


def test_a_failure_that_emptied_the_inbox_is_tried_again_too(place: Workspace) -> None:
    landed = land(place, "a.png", age=60)

    def ingests_and_fails() -> bool:
        landed.unlink()
        return False

    assert look(place, ingests_and_fails, NOW)
    work = Work()
    assert look(place, work, NOW + 4000)
    assert not look(place, work, NOW + 8000)
