"""Faults 7, 12 and 16: half-copied artworks, clocks that jump, and a sensor that is killed at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
import time
import traceback
from pathlib import Path

import pytest

from pipeline import ingest
from pipeline.intake import drops, inbox
from pipeline.manifest import read_manifest
from pipeline.process import exclusive
from pipeline.sensor import Outcome, look
from pipeline.workspace import Workspace
from tests.faults import sensing
from tests.pipeline.pictures import encoded, fill, make_workspace, small_params, texture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DAY = 86_400.0


def stored(place: Workspace) -> list[str]:
    return sorted(entry.sha256 for entry in read_manifest(place.collection("ink")))


def sensor(root: Path, kill_at: int) -> tuple[int, str]:
    """Run a sensor in a process of its own (a fork: hundreds of them need not import everything anew).

    Returns:
        Its exit status (minus the signal that ended it), and what it said.
    """
    output = root.parent / "output"
    child = os.fork()
    if not child:
        status = 1
        try:
            with output.open("w") as stream, contextlib.redirect_stdout(stream):
                sensing.main(root, kill_at)
            status = 0
        except BaseException:
            output.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended), output.read_text()


def test_a_sensor_killed_at_any_write_neither_misses_nor_doubles(tmp_path: Path) -> None:
    def begin(name: str) -> Workspace:
        place = make_workspace(tmp_path / name / "studio")
        fill(place.inbox / "ink", range(3))
        (place.inbox / "ink" / "broken.png").write_bytes(encoded(texture(9))[:200])
        return place

    undisturbed = begin("undisturbed")
    status, said = sensor(undisturbed.root, 0)
    assert status == 0, said
    changes = int(said)
    versions = (undisturbed.var / "versions.jsonl").read_text()
    assert len(versions.splitlines()) == 1
    assert changes > 30
    for kill_at in range(1, changes + 1):
        place = begin(f"killed-{kill_at}")
        status, said = sensor(place.root, kill_at)
        assert status == -signal.SIGKILL, (kill_at, said)
        status, said = sensor(place.root, 0)
        assert status == 0, (kill_at, said)
        assert stored(place) == stored(undisturbed), kill_at
        assert (place.var / "versions.jsonl").read_text() == versions, kill_at
        assert not list((place.inbox / "ink").iterdir()), kill_at
        assert not inbox.ledger(place).pending, kill_at


class Studio:
    """A workspace whose sensor and ingest are the real ones, with the real clock; built is what each retrain saw."""

    def __init__(self, root: Path, quiet: float) -> None:
        self.place = make_workspace(root)
        text = self.place.params_file.read_text()
        self.place.params_file.write_text(text.replace("quiet_seconds: 2.0", f"quiet_seconds: {quiet}"))
        self.quiet = quiet
        self.built: list[list[str]] = []
        self.refused = 0

    def retrain(self) -> Outcome:
        before = inbox.begin(self.place)
        params = small_params(quiet_seconds=self.quiet, executor="inline")
        results = list(ingest.ingest_inbox(self.place, params, tracked=False).values())
        inbox.commit(self.place, before, {name for result in results for name in result.left_names})
        self.refused += sum(result.refused for result in results)
        self.built.append(stored(self.place))
        inbox.built(self.place)
        return Outcome()

    def watch_until(self, done: threading.Event, looks: int = 12) -> None:
        """Look on until `done`, and then as often as `looks` says."""
        left = looks
        while left:
            look(self.place, self.retrain)
            left -= done.is_set()
            time.sleep(0.25)


@pytest.mark.parametrize("jump", [0.0, DAY, -DAY])
def test_a_half_copied_artwork_is_never_taken_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    studio = Studio(tmp_path / "studio", quiet=0.8)
    fill(studio.place.inbox / "ink", range(3))
    data = encoded(texture(50, 400, 300))
    done = threading.Event()
    real = time.time

    def copy() -> None:
        path = studio.place.inbox / "ink" / "slow.png"
        with path.open("wb", buffering=0) as stream:
            for part in range(20):
                stream.write(data[part * len(data) // 20 : (part + 1) * len(data) // 20])
                if jump > 0:  # the machine's clock was set: what is written bears times a day behind its own
                    os.utime(stream.fileno(), (real(), real()))
                time.sleep(0.2)
        done.set()

    monkeypatch.setattr(drops.time, "time", lambda: real() + jump)
    copier = threading.Thread(target=copy)
    copier.start()
    studio.watch_until(done)
    copier.join()
    whole = hashlib.sha256(data).hexdigest()
    assert studio.refused == 0
    assert whole in stored(studio.place)
    assert len(stored(studio.place)) == 4
    assert len(studio.built) == len({json.dumps(each) for each in studio.built}) == 2, "the three did not wait for it"


def test_what_lands_while_a_retrain_runs_goes_into_the_next(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "studio", quiet=0.3)
    fill(studio.place.inbox / "ink", range(3))
    work = studio.retrain

    def busy() -> Outcome:
        outcome = work()
        if len(studio.built) == 1:
            fill(studio.place.inbox / "ink", range(3, 5))
        return outcome

    for _ in range(12):
        look(studio.place, busy)
        time.sleep(0.25)
    assert [len(each) for each in studio.built] == [3, 5]


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_dvc_tracks_what_came_after_a_clock_jumped(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    place, params = Workspace(workspace), small_params(quiet_seconds=0.0, executor="inline")
    folder = place.collection("ink")
    fill(place.inbox / "ink", range(4))
    ingest.ingest_inbox(place, params)
    pointer = folder.with_name("ink.dvc")
    before = pointer.read_text()
    for path in (folder, pointer):  # as if the clock had been set after that: these times lie a day off
        past = path.stat().st_mtime - jump
        os.utime(path, (past, past))
    fill(place.inbox / "ink", range(4, 6))
    ingest.ingest_inbox(place, params)
    assert pointer.read_text() != before


def test_a_lock_is_as_good_in_any_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive(path, "work"):
        os.utime(path, (time.time() + DAY,) * 2)
        with pytest.raises(ValueError, match="already running"), exclusive(path, "work"):
            pass
        os.utime(path, (time.time() - DAY,) * 2)
        with pytest.raises(ValueError, match="already running"), exclusive(path, "work"):
            pass
