"""The page of the fault tests tells of each run of each test, and of what did not pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts import faults

ROOT = Path(__file__).resolve().parent.parent
TESTS = """
import pathlib, pytest
def test_it_holds(): pass
def test_it_fails_the_second_time():
    place = pathlib.Path(__file__).with_name("seen")
    seen = place.exists()
    place.touch()
    assert not seen
@pytest.mark.skip(reason="no")
def test_it_is_left_out(): pass
"""


def test_a_line_a_test_with_what_became_of_it_each_time(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(TESTS)
    runs = [faults.run(str(tmp_path / "test_one.py")) for _ in range(2)]
    page = faults.page(faults.rows_of("test_one.py", runs))
    assert [line for line in page.splitlines() if line.startswith("| ") and "run 1" not in line] == [
        "| it holds | passed, 0 s | passed, 0 s |",
        "| it fails the second time | passed, 0 s | failed, 0 s |",
        "| it is left out | skipped, 0 s | skipped, 0 s |",
    ]
    assert "- result: 3 passed, 1 failed, 2 skipped, of 3 tests" in page
    assert "- tests that passed each time: 1" in page


def test_a_test_that_a_run_did_not_come_to_did_not_pass() -> None:
    [row] = faults.rows_of("test_one.py", [{"it holds": ("passed", 1.0)}, {}])
    assert row.ends == ["passed", "failed"]


def test_a_file_run_again_takes_the_place_of_its_rows_alone(tmp_path: Path) -> None:
    result = tmp_path / "faults.md"
    for file, ended in (("b.py", "passed"), ("a.py", "failed"), ("a.py", "passed")):
        faults.keep(file, faults.rows_of(file, [{f"of {file}": (ended, 1.0)}]), result)
    page = result.read_text()
    assert page.index("## a.py") < page.index("## b.py")
    assert "- result: 2 passed, 0 failed, 0 skipped, of 2 tests" in page


def test_all_files_are_there() -> None:
    assert all((ROOT / file).is_file() for file in faults.everything())
    of_faults = list((ROOT / "tests" / "faults").glob("test_*.py"))
    assert len(faults.everything()) == len(of_faults) + len(faults.ELSEWHERE)


def test_a_failure_is_the_exit_status_and_fewer_runs_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(TESTS)
    before = faults.RESULT.read_bytes() if faults.RESULT.is_file() else None
    command = [sys.executable, "-m", "scripts.faults", "--times", "1", str(tmp_path / "test_one.py")]
    (tmp_path / "seen").touch()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "run 1 of 1: 1 passed, 1 failed, 1 skipped" in done.stdout
    (tmp_path / "test_one.py").write_text("def test_it_holds(): pass\n")
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert (faults.RESULT.read_bytes() if faults.RESULT.is_file() else None) == before
