"""Children end with their parent, on time, and say what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.proc import Deadline, DeadlineError, run

ROOT = Path(__file__).resolve().parents[2]
# A command that starts another that outlives it, as dvc and its trainer do; both write their ids.
TREE = """
import os, subprocess, sys, time
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
open("pids", "w").write(f"{os.getpid()} {inner.pid}")
time.sleep(300)
"""


def call(script: str, folder: Path, seconds: float = 60) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=dict(os.environ),
        deadline=Deadline(seconds),
        on_line=lines.append,
    )
    return code, lines


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pids_of(folder: Path) -> list[int]:
    deadline = time.monotonic() + 30
    while not (folder / "pids").is_file() or not (folder / "pids").read_text().count(" "):
        assert time.monotonic() < deadline, "the tree did not start"
        time.sleep(0.02)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def assert_all_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.02)


def test_output_comes_line_by_line_and_the_status_is_the_childs(tmp_path: Path) -> None:
    script = "import sys; print('one\\rtwo'); print('three', file=sys.stderr); sys.stdout.write('end'); sys.exit(7)"
    code, lines = call(script, tmp_path)
    assert code == 7
    assert sorted(lines) == ["end", "one", "three", "two"]
    assert call("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", tmp_path)[0] == 128 + signal.SIGTERM


def test_output_arrives_while_the_child_runs(tmp_path: Path) -> None:
    waits = (
        "import time, pathlib\nprint('go')\nwhile not pathlib.Path('ok').exists(): time.sleep(0.01)\nprint('went')"
    )
    lines: list[str] = []

    def answer(line: str) -> None:
        lines.append(line)
        (tmp_path / "ok").touch()

    command = [sys.executable, "-c", waits]
    assert run(command, cwd=tmp_path, env=dict(os.environ), deadline=Deadline(60), on_line=answer) == 0
    assert lines == ["go", "went"]


def test_a_child_that_is_late_is_killed_with_all_it_started(tmp_path: Path) -> None:
    with pytest.raises(DeadlineError):
        call(TREE, tmp_path, seconds=2)
    assert_all_end(pids_of(tmp_path))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_exception_in_a_callback_kills_the_tree(tmp_path: Path, interruption: type[BaseException]) -> None:
    def interrupt() -> None:
        if (tmp_path / "pids").is_file():
            raise interruption

    with pytest.raises(interruption):
        run(
            [sys.executable, "-c", TREE],
            cwd=tmp_path,
            env=dict(os.environ),
            deadline=Deadline(60),
            on_line=lambda line: None,
            on_tick=interrupt,
        )
    assert_all_end(pids_of(tmp_path))


def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    script = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']);"
    script += "open('pids', 'w').write(f'{p.pid} {p.pid}')"
    assert call(script, tmp_path)[0] == 0
    assert_all_end(pids_of(tmp_path))


def test_a_killed_parent_takes_the_tree_with_it(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom flows.proc import Deadline, run\n"
        f"run([sys.executable, '-c', {TREE!r}], cwd=Path({str(tmp_path)!r}), env=dict(os.environ),"
        " deadline=Deadline(60), on_line=print)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        pids = pids_of(tmp_path)
    finally:
        parent.kill()
        parent.wait()
    assert_all_end(pids)
