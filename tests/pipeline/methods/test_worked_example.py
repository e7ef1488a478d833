"""The worked example of docs/methods.md, taken from the page as it stands: a new method in few lines, that works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.catalogue import METHODS

ROOT = Path(__file__).parents[3]
_STEP = re.compile(
    r"(?:New file `(?P<new>[^`]+)`|"
    r"(?:In `(?P<file>[^`]+)`, |and )?(?P<where>above|below) the (?P<what>line that begins with|class) "
    r"`(?P<anchor>[^`\n]+)`):\n\n```\w+\n(?P<code>.*?)```\n",
    re.DOTALL,
)


def _section() -> str:
    return (ROOT / "docs" / "methods.md").read_text().partition("## Adding a method")[2]


def _steps() -> list[re.Match[str]]:
    return list(_STEP.finditer(_section()))


def _follow(root: Path) -> None:
    """Do in a checkout what the page says, no more and no less."""
    path = root
    for step in _steps():
        if step["new"]:
            (root / step["new"]).write_text(step["code"])
            continue
        path = root / step["file"] if step["file"] else path  # "and above ...": of the same file
        lines = path.read_text().splitlines(keepends=True)
        begins = step["anchor"] if step["what"].startswith("line") else f"class {step['anchor']}:"
        found = [number for number, line in enumerate(lines) if line.strip().startswith(begins)]
        assert len(found) == 1, f"{path.name}: {begins!r} begins {len(found)} lines"
        place = found[0] + (step["where"] == "below")
        while step["what"] == "class" and lines[place - 1].startswith("@"):
            place -= 1
        path.write_text("".join([*lines[:place], step["code"], *lines[place:]]))


def test_every_piece_of_code_on_the_page_is_a_step_and_all_are_few_lines() -> None:
    steps = _steps()
    assert len(steps) == _section().count("```") // 2
    assert sum(len(step["code"].splitlines()) for step in steps) < 80
    new = [step["new"] for step in steps if step["new"]]
    assert new == ["pipeline/methods/gcgan.py", "pipeline/params/methods/gcgan.py"]
    edited = [step for step in steps if not step["new"] and not (step["file"] or "yaml").endswith("yaml")]
    assert len(edited) == 1  # the registry: an import, and one line (the next step, of the same file)
    assert "gcgan" not in METHODS  # or the example would be tested against itself


def _checkout(root: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes((ROOT / name).read_bytes())
    return root


def _run(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_the_worked_example_passes_the_conformance_suite(tmp_path: Path) -> None:
    root = _checkout(tmp_path)
    _follow(root)
    assert "written anew" in _run(root, "scripts.deps")
    assert "pipeline/methods/gcgan.py" in (root / "dvc.yaml").read_text()
    _run(root, "ruff", "check", "pipeline")
    assert "gcgan: GcGAN" in _run(root, "pipeline.cli", "methods")
    told = _run(root, "pytest", "--run-slow", "tests/pipeline/methods/test_conformance.py", "-k", "gcgan")
    passed = re.search(r"(\d+) passed", told)
    assert passed
    assert int(passed[1]) >= 15
    _run(root, "pytest", "tests/test_structure.py", "-k", "dependencies or downwards")
