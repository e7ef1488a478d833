"""`make audit`: what is known is said and fails; what could not be asked is one line that says skipped."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import audit

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with a folder before all others on the path of modules."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    command = [sys.executable, "-m", "scripts.audit"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def stand_in(folder: Path, script: str) -> Path:
    """Write a pip-audit that does what is told."""
    (folder / "pip_audit.py").write_text(script)
    return folder


@pytest.mark.skipif("pip_audit" in sys.modules or audit.find_spec("pip_audit") is not None, reason="it is installed")
def test_without_pip_audit_it_is_skipped_with_a_word(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "skipped: pip-audit is not installed (pip install pip-audit)\n"


def test_without_its_database_it_is_skipped_with_a_word(tmp_path: Path) -> None:
    script = "import sys\nsys.exit('pip_audit._service.interface.ConnectionError: Max retries exceeded')\n"
    done = run(stand_in(tmp_path, script))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"skipped: its database does not answer \(.*Max retries exceeded\)\n", done.stdout)


def test_it_is_asked_about_all_that_is_locked_and_says_what_is_known(tmp_path: Path) -> None:
    script = """
import json, sys
names = [line.strip() for line in open(sys.argv[sys.argv.index("-r") + 1])]
open("ASKED", "w").write(json.dumps(names))
holes = [{"id": "PYSEC-1", "fix_versions": ["9.9"]}]
rows = [dict(zip(("name", "version"), name.split("=="))) | {"vulns": holes if name.startswith("mlflow==") else []}
        for name in names]
print(json.dumps({"dependencies": rows}))
sys.exit(1)
""".replace("ASKED", str(tmp_path / "asked.json"))
    done = run(stand_in(tmp_path, script))
    assert done.returncode == 1, done.stderr
    assert re.search(r"^mlflow \S+: PYSEC-1, mended in 9\.9$", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1].endswith(" packages, 1 known vulnerabilities")
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert asked == audit.pinned(ROOT / "requirements.lock")
    assert len(asked) > 50
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+", line) for line in asked)


def test_nothing_known_is_no_error_and_what_broke_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.verdict(0, json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}), "") == 0
    assert capsys.readouterr().out == "1 packages, 0 known vulnerabilities\n"
    assert audit.verdict(2, "", "usage: no such option\n") == 1
    assert capsys.readouterr().err == "error: pip-audit failed: usage: no such option\n"


def test_it_is_no_dependency() -> None:
    for name in ("requirements.lock", "pyproject.toml"):
        assert not re.search(r"pip[-_]audit", (ROOT / name).read_text())
