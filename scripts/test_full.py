"""Run every test, the slow ones too, and write the result to benchmarks/results/test-full.txt.

Run by `make test-full`. The file says when, on which commit and with which Python the tests were run, how many
passed, and which did not; commit it with what it was run on.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "test-full.txt"


def main() -> int:
    """Run pytest, write the result and return pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--run-slow", f"--junitxml={report}", *sys.argv[1:]]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if not report.is_file():
            print(f"error: pytest wrote no report (exit status {status}); {RESULT.name} stays as it was")
            return status or 1
        text = summary(report, status)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(text)
    print(text, end="")
    print(f"written to {RESULT.relative_to(ROOT)}")
    return status


def summary(report: Path, status: int) -> str:
    """Return the result of a JUnit report in words: date, commit, Python, counts, and what did not pass."""
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    total, failed, errors, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    minutes = sum(float(suite.get("time", 0)) for suite in suites) / 60
    counts = f"{total - failed - errors - skipped} passed, {failed} failed, {errors} errors, {skipped} skipped"
    lines = [
        f"date    {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"commit  {commit()}",
        f"python  {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"result  {counts} in {minutes:.1f} minutes (exit status {status})",
    ]
    for case in (case for suite in suites for case in suite.iter("testcase")):
        for kind in ("failure", "error", "skipped"):
            found = case.find(kind)
            if found is not None:
                said = " ".join((found.get("message") or "").replace(str(ROOT), "").split())[:160]
                lines.append(f"{kind:7} {case.get('classname')}.{case.get('name')}: {said}")
    return "\n".join(lines) + "\n"


def commit() -> str:
    """Return the commit that was tested, and whether files differ from it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = len(changed.stdout.splitlines())
    return (head.stdout.strip() or "unknown") + (f" with {files} uncommitted files" if files else "")


if __name__ == "__main__":
    sys.exit(main())
