"""Run each file of fault tests three times in a row and write the results to benchmarks/results/faults.md.

`python -m scripts.faults [FILE ...]`; without files all of them. The page is written after each file and keeps the
rows of the files that were not run this time, each with the date and commit it was run on: what is cut off goes on
with the files that are left. `--times 1` runs them once and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.files import read_json, write_atomic, write_json
from scripts.test_full import ROOT, commit

RESULT = ROOT / "benchmarks" / "results" / "faults.md"
TIMES = 3
SOAK = "tests/faults/test_soak.py"
WHOLE_SOAK = "30"  # batches
# Tests of a fault that lie with what they test, and not in tests/faults.
ELSEWHERE = (
    "tests/pipeline/registry/test_kills.py",
    "tests/pipeline/test_training_faults.py",
    "tests/pipeline/test_ingest_kills.py",
)
Run = Mapping[str, tuple[str, float]]
"""Test -> how it ended (`passed`, `failed`, `skipped`) and its seconds."""


@dataclass(frozen=True)
class Row:
    """A test, and what became of it each time."""

    test: str
    file: str
    ends: list[str]
    seconds: list[float]
    commit: str
    date: str


def main() -> int:
    """Run the files, write the page, and return 0 if each test passed each time."""
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help="how often; fewer than 3 write nothing")
    parser.add_argument("--at-once", type=int, default=1, help="files at the same time")
    parser.add_argument("files", nargs="*", default=everything(), help="instead of all")
    given = parser.parse_args()
    writing = threading.Lock()

    def repeat(file: str) -> list[Row]:
        runs = []
        for number in range(1, given.times + 1):
            runs.append(run(file))
            told = counted([ended for ended, _ in runs[-1].values()])
            print(f"{file}: run {number} of {given.times}: {told}", flush=True)
        rows = rows_of(file, runs)
        if given.times >= TIMES:
            with writing:
                keep(file, rows, RESULT)
        return rows

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.at_once) as pool:
        os.environ["ATELIER_FAULT_STUDIOS"] = folder  # each is built once, and not once a process
        os.environ.setdefault("ATELIER_SOAK_BATCHES", WHOLE_SOAK)
        rows = list(pool.map(repeat, given.files))
    if given.times >= TIMES:
        print(f"written to {RESULT.relative_to(ROOT)}")
    return 0 if all(rows) and all(set(row.ends) == {"passed"} for each in rows for row in each) else 1


def everything() -> list[str]:
    """Return all files of fault tests, the longest first."""
    here = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "faults").glob("test_*.py"))
    return [SOAK, *(file for file in here if file != SOAK), *ELSEWHERE]


def run(file: str) -> Run:
    """Run the tests of a file once, and return what came of each; what pytest says is shown if one did not pass."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "slow or not slow", f"--junitxml={report}"]
        command += ["-p", "no:cacheprovider", f"--basetemp={folder}/t", file]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr, flush=True)
        return read(report) if report.is_file() else {}


def read(report: Path) -> dict[str, tuple[str, float]]:
    """Return what a JUnit report says of each test."""
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        ended = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[plain(str(case.get("name")))] = (ended, float(case.get("time", 0)))
    return found


def plain(name: str) -> str:
    """Return a test's name as words."""
    return name.removeprefix("test_").replace("_", " ")


def rows_of(file: str, runs: Sequence[Run]) -> list[Row]:
    """Return a row a test; one that a run did not come to did not pass in it."""
    now, head = f"{datetime.now(UTC):%Y-%m-%d %H:%M}", commit()
    return [
        Row(
            name,
            file,
            [one.get(name, ("failed", 0.0))[0] for one in runs],
            [round(one.get(name, ("failed", 0.0))[1], 1) for one in runs],
            head,
            now,
        )
        for name in dict.fromkeys(name for one in runs for name in one)
    ]


def keep(file: str, rows: Sequence[Row], result: Path) -> None:
    """Put a file's rows in the place of those it had, and write the page."""
    data = result.with_suffix(".json")
    before = [Row(**each) for each in read_json(data)] if data.is_file() else []
    after = sorted([*(row for row in before if row.file != file), *rows], key=lambda row: row.file)
    result.parent.mkdir(parents=True, exist_ok=True)
    write_json(data, [asdict(row) for row in after])
    write_atomic(result, page(after))


def page(rows: Sequence[Row]) -> str:
    """Return the page: how many passed, and a line a test with each run's end and seconds, date and commit."""
    lines = [
        "# Faults",
        "",
        "Every fault with real processes; always: nothing is lost, the champion keeps loading, a rerun converges.",
        f"`make faults` runs each file of these tests {TIMES} times in a row and writes this page, a file at a time.",
        "",
        f"- python: {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"- result: {counted([ended for row in rows for ended in row.ends])}, of {len(rows)} tests",
        f"- tests that passed each time: {sum(set(row.ends) == {'passed'} for row in rows)}",
    ]
    for file in dict.fromkeys(row.file for row in rows):
        of_file = [row for row in rows if row.file == file]
        told = f"{of_file[0].date} UTC, commit {of_file[0].commit}"
        runs = max(len(row.ends) for row in of_file)
        lines += ["", f"## {file}", "", f"{told}", ""]
        lines += ["| test | " + " | ".join(f"run {number}" for number in range(1, runs + 1)) + " |"]
        lines += ["|---|" + "---|" * runs]
        for row in of_file:
            cells = [f"{ended}, {seconds:.0f} s" for ended, seconds in zip(row.ends, row.seconds, strict=True)]
            lines.append(f"| {row.test} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def counted(ends: Sequence[str]) -> str:
    """Return how many of each end there are, in words."""
    return ", ".join(f"{ends.count(kind)} {kind}" for kind in ("passed", "failed", "skipped"))


if __name__ == "__main__":
    sys.exit(main())
