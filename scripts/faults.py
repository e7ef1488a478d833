"""Run the fault tests three times in a row and write the result to benchmarks/results/faults.md.

`python -m scripts.faults`; `--times 1` runs them once and writes nothing. The page says when, on which commit and
with which Python they were run, and of each fault whether each of the runs passed and how long it took.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from scripts.test_full import ROOT, commit

RESULT = ROOT / "benchmarks" / "results" / "faults.md"
TIMES = 3
# Tests of a fault that lie with what they test, and not in tests/faults.
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "kill at each step of a change to the registry, and of its mending": "tests/pipeline/registry/test_kills.py",
        "kill at each file operation of a save of the training": "tests/pipeline/test_training_faults.py",
        "kill at each change of a file of an ingest": "tests/pipeline/test_ingest_kills.py",
    }
)
Run = Mapping[str, tuple[str, float]]
"""Test -> how it ended (`passed`, `failed`, `skipped`) and its seconds."""


def main() -> int:
    """Run the tests, write the page, and return 0 if all passed each time."""
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help="how often; fewer than 3 write nothing")
    parser.add_argument("tests", nargs="*", default=["tests/faults", *ELSEWHERE.values()], help="instead of all")
    given = parser.parse_args()
    runs: list[Run] = []
    for number in range(1, given.times + 1):
        print(f"run {number} of {given.times}", flush=True)
        runs.append(run(given.tests))
        counts = [ended for ended, _ in runs[-1].values()]
        print(f"run {number} of {given.times}: {told(counts)}", flush=True)
    if given.times >= TIMES:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(page(runs, commit()))
        print(f"written to {RESULT.relative_to(ROOT)}")
    return 0 if all(ended == "passed" for one in runs for ended, _ in one.values()) and all(runs) else 1


def run(tests: Sequence[str]) -> Run:
    """Run the tests once, shown as they run, and return what came of each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-v", "-m", "slow or not slow", f"--junitxml={report}", *tests]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if not report.is_file():
            print(f"error: pytest wrote no report (exit status {status})", file=sys.stderr)
            return {}
        return read(report)


def read(report: Path) -> dict[str, tuple[str, float]]:
    """Return what a JUnit report says of each test."""
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        module = str(case.get("classname")).removeprefix("tests.")
        kinds = {child.tag for child in case}
        ended = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{module}: {plain(str(case.get('name')))}"] = (ended, float(case.get("time", 0)))
    return found


def plain(name: str) -> str:
    """Return a test's name as words."""
    return name.removeprefix("test_").replace("_", " ")


def page(runs: Sequence[Run], head: str) -> str:
    """Return the page: date, commit, and a line a test with the result and the seconds of each run."""
    names = list(dict.fromkeys(name for one in runs for name in one))
    counts = [one[name][0] for one in runs for name in one]
    lines = [
        "# Faults",
        "",
        "Every fault with real processes; always: nothing is lost, the champion keeps loading, a rerun converges.",
        f"`make faults` runs all of them {TIMES} times in a row and writes this page.",
        "",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- commit: {head}",
        f"- python: {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"- result: {told(counts)} in {len(runs)} runs",
        "",
        "| test | " + " | ".join(f"run {number}" for number in range(1, len(runs) + 1)) + " |",
        "|---|" + "---|" * len(runs),
    ]
    for name in names:
        cells = [f"{one[name][0]}, {one[name][1]:.0f} s" if name in one else "not run" for one in runs]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def told(counts: Sequence[str]) -> str:
    """Return how many of each end there are, in words."""
    return ", ".join(f"{counts.count(kind)} {kind}" for kind in ("passed", "failed", "skipped"))


if __name__ == "__main__":
    sys.exit(main())
