"""A DVC command that was killed while it wrote its own record of locks keeps no later one from running."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.dvc import dvc, mend_locks
from pipeline.workspace import Workspace
from tests.conftest import git

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    git(tmp_path, "init", "-q")
    workspace = Workspace(tmp_path)
    subprocess.run(dvc(workspace, "init", "-q"), cwd=tmp_path, check=True)
    (tmp_path / "picture").write_text("red")
    return workspace


def record(place: Workspace) -> Path:
    return place.root / ".dvc" / "tmp" / "rwlock"


def add(place: Workspace, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=place.root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("left", [b"", b'{"read": {', b"\0" * 40, b"[]"])
def test_a_half_written_record_is_no_end(place: Workspace, left: bytes) -> None:
    command = dvc(place, "add", "picture")
    record(place).parent.mkdir(parents=True, exist_ok=True)
    record(place).write_bytes(left)
    assert "rwlock" in add(place, command).stderr.lower()  # what DVC itself does, for ever
    done = add(place, dvc(place, "add", "picture"))
    assert done.returncode == 0, done.stderr
    assert (place.root / "picture.dvc").is_file()


def test_a_number_that_was_given_anew_is_no_holder(place: Workspace) -> None:
    command = dvc(place, "add", "picture")
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            held = {"read": {}, "write": {str(place.root / "picture"): {"pid": other.pid, "cmd": "dvc repro"}}}
            record(place).parent.mkdir(parents=True, exist_ok=True)
            record(place).write_text(json.dumps(held))
            assert not mend_locks(place)  # it may be: it is older than the record
            os.utime(record(place), (time.time() - 3600,) * 2)
            assert "busy" in add(place, command).stderr
            os.utime(record(place), (time.time() - 3600,) * 2)
            done = add(place, dvc(place, "add", "picture"))
            assert done.returncode == 0, done.stderr
        finally:
            other.kill()


def test_a_whole_record_stays(place: Workspace) -> None:
    held = {"read": {}, "write": {str(place.root / "picture"): {"pid": os.getpid(), "cmd": "dvc add"}}}
    record(place).parent.mkdir(parents=True, exist_ok=True)
    record(place).write_text(json.dumps(held))
    assert not mend_locks(place)
    assert "busy" in add(place, dvc(place, "add", "picture")).stderr


def test_one_that_a_command_is_just_writing_stays(place: Workspace) -> None:
    record(place).parent.mkdir(parents=True, exist_ok=True)
    record(place).write_bytes(b"")
    with record(place).with_name("rwlock.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not mend_locks(place)
        assert record(place).is_file()
    assert mend_locks(place)
    assert not record(place).exists()


def test_dvc_is_started_nowhere_else() -> None:
    apart = {"pipeline/dvc.py", "pipeline/demo.py"}  # the demo sets up a repository that has no locks yet
    starts = re.compile(r'"-m", "dvc"|, "dvc", \[')
    sources = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix() for path in sources if starts.search(path.read_text())}
    assert found == apart
