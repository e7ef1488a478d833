"""Hold requirements.lock against the known vulnerabilities, where pip-audit and its database can be had.

`make audit`. pip-audit is no dependency: it is used if it is installed beside this Python (`pip install pip-audit`).
Exit status 0: nothing is known, or nothing could be asked, and then one line says `skipped: ` and why. 1: something
is known. Nothing of this workspace is sent but names and versions of public packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PATIENCE = 600  # seconds; some hundred packages, one question each
# What pip-audit, or the library that it asks with, says when its database does not answer.
UNREACHABLE = ("ServiceError", "ConnectionError", "Connection", "timed out", "Max retries", "resolve", "HTTPError")


def main() -> int:
    """Ask, say what was found, and return the exit status."""
    if find_spec("pip_audit") is None:
        return skipped("pip-audit is not installed (pip install pip-audit)")
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.txt"
        asked.write_text("".join(f"{line}\n" for line in pinned(LOCK)))
        command = [sys.executable, "-m", "pip_audit", "-r", str(asked), "--no-deps", "--disable-pip", "-f", "json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return skipped(f"its database did not answer within {PATIENCE} s")
    return verdict(done.returncode, done.stdout, done.stderr)


def pinned(lock: Path) -> list[str]:
    """Return `name==version` of every package that the lock names for this Python and platform."""
    lines = [line for line in lock.read_text().splitlines() if line.strip() and not line.startswith("#")]
    wanted = [Requirement(line) for line in lines]
    return [f"{item.name}{item.specifier}" for item in wanted if item.marker is None or item.marker.evaluate()]


def verdict(status: int, answer: str, errors: str) -> int:
    """Say what pip-audit found and return the exit status.

    Args:
        status: its exit status.
        answer: its JSON.
        errors: its stderr.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (errors.strip().splitlines() or [f"exit status {status}"])[-1]
        if any(word in errors for word in UNREACHABLE):
            return skipped(f"its database does not answer ({last[:200]})")
        print(f"error: pip-audit failed: {last}", file=sys.stderr)
        return 1
    known = [(one, hole) for one in packages for hole in one.get("vulns", [])]
    for one, hole in known:
        mended = ", ".join(hole.get("fix_versions", [])) or "no version"
        print(f"{one['name']} {one['version']}: {hole['id']}, mended in {mended}")
    left_out = [one["name"] for one in packages if "skip_reason" in one]
    if left_out:
        print(f"not asked about: {', '.join(left_out)}")
    print(f"{len(packages) - len(left_out)} packages, {len(known)} known vulnerabilities")
    return 1 if known else 0


def skipped(why: str) -> int:
    """Say that nothing was audited, and why."""
    print(f"skipped: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
