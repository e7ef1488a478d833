"""A worker that dies, hangs or eats memory costs one call and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.images import Refused
from pipeline.intake import executors
from pipeline.intake.executors import EXECUTORS, Contained, WorkerLost, limit_reached, open_executor, worker_count
from tests.pipeline.pictures import ROOT, small_params

SETTINGS = small_params().ingest


def double(number: int) -> int:
    return 2 * number


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(3)


def sleep() -> None:
    time.sleep(600)


def spin() -> None:
    while True:
        pass


def eat(megabytes: int) -> int:
    return len(bytearray(megabytes * 2**20))


def crash_at_start(memory_mb: int) -> None:
    crash()


def fail() -> None:
    raise OSError("no space")


@pytest.fixture
def contained() -> Iterator[Contained]:
    with Contained(workers=2, seconds=60, memory_mb=256) as executor:
        yield executor


@pytest.fixture
def hasty() -> Iterator[Contained]:
    with Contained(workers=2, seconds=0.5, memory_mb=256) as executor:
        yield executor


@pytest.mark.parametrize(("end", "told"), [(crash, "SIGSEGV"), (leave, "exit status 3")])
def test_a_crash_costs_one_call(contained: Contained, end: object, told: str) -> None:
    before = [contained.submit(double, number) for number in range(20)]
    lost: Future[None] = contained.submit(end)  # type: ignore[arg-type]
    after = [contained.submit(double, number) for number in range(20)]
    with pytest.raises(WorkerLost, match=told):
        lost.result(30)
    assert [future.result(30) for future in [*before, *after]] == [2 * number for number in [*range(20), *range(20)]]


@pytest.mark.parametrize("endless", [sleep, spin])
def test_a_call_beyond_its_time_is_ended_and_the_others_go_on(hasty: Contained, endless: object) -> None:
    stuck: list[Future[None]] = [hasty.submit(endless) for _ in range(2)]  # type: ignore[arg-type]
    for future in stuck:
        with pytest.raises(TimeoutError):
            future.result(30)
    assert hasty.submit(double, 21).result(30) == 42


def test_memory_is_limited_above_what_a_worker_starts_with(contained: Contained) -> None:
    assert contained.submit(eat, 100).result(30) == 100 * 2**20
    with pytest.raises(MemoryError):
        contained.submit(eat, 400).result(30)
    assert contained.submit(double, 1).result(30) == 2


def test_ctrl_c_ends_what_runs_at_once() -> None:
    def interrupted() -> None:
        with Contained(workers=1, seconds=600, memory_mb=256) as executor:
            executor.submit(sleep)
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - started < 60  # and not the 600 s of the call


def test_workers_start_whatever_the_main_program_is() -> None:
    program = (
        "from pipeline.intake.executors import Contained\n"
        "MARK = True\n"
        "with Contained(1, 60, 256) as executor:\n"
        "    seen = executor.submit(eval, \"hasattr(__import__('sys').modules['__main__'], 'MARK')\")\n"
        "    print(seen.result(30))\n"
    )
    run = subprocess.run(
        [sys.executable, "-"], input=program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )
    assert (run.stdout, run.returncode) == ("False\n", 0), run.stderr


def test_where_no_worker_starts_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_START_SECONDS", 2)
    monkeypatch.setattr(executors, "confine", crash_at_start)
    with pytest.raises(ValueError, match=r"no worker process started .* ingest\.executor to inline"):
        Contained(1, 60, 256)


def test_a_temporary_folder_in_which_no_socket_fits_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("deep" * 20)
    folder.mkdir()
    monkeypatch.setattr(executors.tempfile, "tempdir", str(folder))
    with pytest.raises(ValueError, match=r"too long for the sockets .* set TMPDIR to a shorter one"):
        Contained(1, 60, 256)


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, sys, time
        from pathlib import Path
        from pipeline.intake.executors import Contained
        from tests.pipeline.intake.test_executors import sleep
        if __name__ == "__main__":
            with Contained(1, 600, 256) as executor:
                Path(sys.argv[1]).write_text(str(executor.submit(os.getpid).result()))
                executor.submit(sleep)
                time.sleep(600)
    """)
    script, told = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(program)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(told)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        _until(lambda: told.is_file() and bool(told.read_text()))
    finally:
        parent.kill()
        parent.wait()
    worker = Path("/proc") / told.read_text()
    _until(lambda: not worker.exists() or "Z (zombie)" in (worker / "status").read_text())


def _until(done: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_inline_raises_what_the_call_raised() -> None:
    with EXECUTORS["inline"](SETTINGS, 1) as executor:
        assert executor.submit(double, 2).result() == 4
        with pytest.raises(OSError, match="no space"):
            executor.submit(fail).result()


def test_params_choose_the_executor_and_its_workers() -> None:
    assert worker_count(replace(SETTINGS, workers=3)) == 3
    assert worker_count(replace(SETTINGS, workers=0)) == len(os.sched_getaffinity(0))
    for name in EXECUTORS:
        with open_executor(replace(SETTINGS, executor=name), 60) as executor:  # type: ignore[arg-type]
            assert isinstance(executor, Executor)
            assert executor.submit(double, 4).result(30) == 8


def test_limits_are_refusals_and_other_errors_are_not() -> None:
    assert limit_reached(TimeoutError(), SETTINGS).code == "decoder_timeout"
    assert limit_reached(WorkerLost("SIGSEGV"), SETTINGS).code == "decoder_crash"
    refusal = limit_reached(MemoryError(), SETTINGS)
    assert isinstance(refusal, Refused)
    assert refusal.code == "decoder_crash"
    assert str(SETTINGS.decoder_memory_mb) in refusal.detail
    with pytest.raises(OSError, match="no space"):
        limit_reached(OSError("no space"), SETTINGS)
