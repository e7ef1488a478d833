"""Fault 17: artworks arrive in batches while sensor, dvc and trainer are killed at random; in the end all is right.

ATELIER_SOAK_BATCHES says how many batches (6; the whole soak is 30 of them, 200 artworks), ATELIER_SOAK_SEED which.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline import registry
from pipeline.files import read_json
from pipeline.intake import inbox
from pipeline.manifest import read_manifest
from pipeline.plan import plan
from pipeline.process import held
from pipeline.registry import journal
from pipeline.sensor import memory_of
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.flows.studio import drop

BATCHES = int(os.environ.get("ATELIER_SOAK_BATCHES", "6"))
SEED = int(os.environ.get("ATELIER_SOAK_SEED", "20"))
ARTWORKS = round(200 * BATCHES / 30)
STYLES = ("ink", "oil")
VICTIMS = {"sensor": "-m flows watch", "dvc": "dvc repro", "trainer": "pipeline.train"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 240 * BATCHES)]


@dataclass
class Sensor:
    """The sensor's process, started again whenever it was killed."""

    root: Path
    server: str
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    killed: list[str] = field(default_factory=list)

    def ensure(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        self.starts += 1
        environment = {**os.environ, "PYTHONPATH": str(self.root), "PREFECT_API_URL": self.server}
        with (self.root / "sensor.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows", "watch"],
                cwd=self.root,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, what: str) -> None:
        """Kill one process of ours by what it is, if it runs at this moment."""
        assert self.process is not None
        for pid in (self.process.pid, *_descendants(self.process.pid)):
            if VICTIMS[what] in _command_line(pid) and "import ctypes" not in _command_line(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.killed.append(what)
                break
        if what == "sensor":
            self.process.wait()

    def idle(self, place: Workspace) -> bool:
        """Return whether the sensor has nothing to do."""
        if held(place.var / "retrain.lock") or inbox.ledger(place).pending or memory_of(place).owed is not None:
            return False
        return not inbox.fingerprint(inbox.survey(place.inbox).folders)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _descendants(pid: int) -> list[int]:
    """Return the processes below a process."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


@contextmanager
def sensing(root: Path, server: str) -> Iterator[Sensor]:
    sensor = Sensor(root, server)
    try:
        yield sensor
    finally:
        if sensor.process is not None and sensor.process.poll() is None:
            below = _descendants(sensor.process.pid)
            for pid in (sensor.process.pid, *below):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            sensor.process.wait()


def shares(chance: random.Random) -> list[int]:
    """Return how many artworks each batch holds: at least one, all in all ARTWORKS."""
    cuts = sorted(chance.sample(range(1, ARTWORKS), BATCHES - 1))
    return [after - before for before, after in zip([0, *cuts], [*cuts, ARTWORKS], strict=True)]


def test_a_soak_ends_with_exactly_the_right_data_models_and_aliases(
    new_workspace: Callable[[], Path], prefect_server: str
) -> None:
    root, chance = new_workspace(), random.Random(SEED)
    place = Workspace(root)
    text = place.params_file.read_text()
    place.params_file.write_text(text.replace("quiet_seconds: 0.0", "quiet_seconds: 0.5"))
    landed: dict[str, set[str]] = {name: set() for name in ("photos", *STYLES)}

    def deliver(collection: str, count: int) -> None:
        drop(root.parent, collection, len(landed[collection]), count)  # beside it: what is hashed must not be gone
        (root / "inbox" / collection).mkdir(parents=True, exist_ok=True)
        for path in sorted((root.parent / "inbox" / collection).iterdir()):
            landed[collection].add(hashlib.sha256(path.read_bytes()).hexdigest())
            path.rename(root / "inbox" / collection / path.name)

    deliver("photos", 12)
    with sensing(root, prefect_server) as sensor:
        for count in shares(chance):
            # A style that is begun gets what makes it big enough to be trained.
            style = chance.choice(STYLES)
            deliver(style, max(count, 6) if not landed[style] else count)
            for _ in range(chance.randint(1, 3)):
                sensor.ensure()
                time.sleep(chance.uniform(1, 12))
                sensor.kill(chance.choice(list(VICTIMS)))
        for style in STYLES:
            if not landed[style]:
                deliver(style, 6)
        still, deadline = 0, time.monotonic() + 600
        while still < 5:
            assert time.monotonic() < deadline, (root / "sensor.log").read_text()[-4000:]
            sensor.ensure()
            still = still + 1 if sensor.idle(place) else 0
            time.sleep(0.5)
    print(f"started {sensor.starts} times; killed: {', '.join(sensor.killed) or 'nothing'}")
    right_data(place, landed)
    right_models(place)


def right_data(place: Workspace, landed: dict[str, set[str]]) -> None:
    for collection, expected in landed.items():
        entries = [entry.sha256 for entry in read_manifest(place.collection(collection))]
        assert len(entries) == len(set(entries))
        assert set(entries) == expected, collection
        assert not (place.quarantine(collection) / "quarantine.jsonl").exists()
    assert not inbox.fingerprint(inbox.survey(place.inbox).folders)


def right_models(place: Workspace) -> None:
    assert {each.recipe: each.stale for each in plan(place)} == dict.fromkeys(STYLES, False)
    assert registry.settle(place) == []
    assert all(one.phase in (journal.DONE, journal.ABANDONED) for one in journal.operations(place))
    for style in STYLES:
        numbers = sorted(number for name, number in registry_versions(place) if name == style)
        assert numbers
        versions = [registry.version_of(place, style, number) for number in numbers]
        assert len({version.package for version in versions}) == len(versions), "one model was registered twice"
        newest = versions[-1]
        assert newest.package == registry.verify(place.package(style))
        # Six steps paint nothing, and the gate says so of each: there is a challenger and no champion.
        assert registry.aliases_of(place, style) == {"challenger": newest.version}
        for version in versions:
            assert git(place.root, "rev-parse", f"{style}/v{version.version}") == version.tags["git_commit"]
        learnt = [set(read_json(version.directory / "trained_on.json")[style]) for version in versions]
        assert all(before <= after for before, after in pairwise(learnt))
        train = {entry.sha256 for entry in read_manifest(place.collection(style)) if entry.split == "train"}
        assert learnt[-1] == train


def registry_versions(place: Workspace) -> set[tuple[str, int]]:
    from pipeline.registry import record

    return set(record.read(place).versions)
