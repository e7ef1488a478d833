"""The unit for systemd is one, and starts a command that exists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from pipeline.cli import app

UNIT = Path(__file__).parents[1] / "deploy" / "style-atelier.service"


def test_it_starts_the_command_in_the_foreground() -> None:
    [start] = [line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart=")]
    program, name, *options = start.partition("=")[2].split()
    assert program.endswith("/.venv/bin/atelier")
    get_command(app).commands[name].make_context(name, [*options], resilient_parsing=False)  # type: ignore[attr-defined]
    assert options == ["--foreground"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The unit's own paths are those of a person's home; whether the program is there is not asked.
    unit.write_text(UNIT.read_text().replace("%h/style-atelier/.venv/bin/atelier", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
