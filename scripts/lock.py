"""Write requirements.lock: the versions pip chooses for pyproject.toml, on Python 3.11 and 3.12 alike.

Names and versions only: no addresses, no hashes, no paths, so that the file works with any package index.
pip resolves without installing; the standard library is all that is needed. Both Pythons must be on PATH
(or be named: `scripts/lock.py python3.11 /opt/python3.12/bin/python3`). `--keep FILE` holds the versions in
FILE (another lock, or `pip freeze`) where they still fit.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
HEADER = """\
# What `make setup` installs, written by `make lock`: names and versions for Python 3.11 and 3.12.
# Do not edit: change pyproject.toml, run `make lock`, then `make test-full` (two versions that pip finds
# compatible break the scheduler without an error, and only the tests see it).
"""
# torch asks for these on Linux alone.
LINUX_ONLY = re.compile(r"^(nvidia|cuda)-|^triton$")
# The environment's own pip stays: replacing it while it runs gains nothing.
LEFT_OUT = frozenset({"pip", "style-atelier"})


def requirements() -> list[str]:
    """Return what pyproject.toml asks for, development tools and build backend included."""
    tree = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = tree["project"]
    return [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *tree["build-system"]["requires"],
    ]


def canonical(name: str) -> str:
    """Return a package name as indexes compare it: lower case, runs of `-_.` as one `-`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(python: str, wanted: list[str], kept: dict[str, str]) -> dict[str, str]:
    """Return name -> version as pip for `python` chooses them, with the versions in `kept` held."""
    with tempfile.TemporaryDirectory() as folder:
        report, constraints = Path(folder) / "report.json", Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in kept.items()))
        environment = Path(folder) / "environment"  # a bare one, so that nothing installed has a say
        subprocess.run([python, "-m", "venv", str(environment)], check=True)
        command = [str(environment / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        command += ["--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
        subprocess.run([*command, "--constraint", str(constraints), *wanted], check=True)
        installs = json.loads(report.read_text())["install"]
    found = {canonical(item["metadata"]["name"]): item["metadata"]["version"] for item in installs}
    return {name: version for name, version in sorted(found.items()) if name not in LEFT_OUT}


def read_versions(path: Path) -> dict[str, str]:
    """Return the `name==version` lines of a lock or of `pip freeze`."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", path.read_text(), re.MULTILINE)
    return {canonical(name): version for name, version in lines if canonical(name) not in LEFT_OUT}


def lock_text(resolved: dict[str, dict[str, str]]) -> str:
    """Return the lock's content for `3.11` -> versions and `3.12` -> versions."""
    lines = []
    for name in sorted({name for versions in resolved.values() for name in versions}):
        by_version: dict[str, list[str]] = {}
        for python, versions in resolved.items():
            if name in versions:
                by_version.setdefault(versions[name], []).append(python)
        for version, pythons in by_version.items():
            markers = [f'python_version == "{pythons[0]}"'] if len(pythons) < len(resolved) else []
            markers += ['platform_system == "Linux"'] if LINUX_ONLY.search(name) else []
            lines.append(f"{name}=={version}" + (f" ; {' and '.join(markers)}" if markers else ""))
    return HEADER + "\n".join(lines) + "\n"


def main() -> None:
    """Resolve for both Pythons, the second held to the first, and write the lock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pythons", nargs="*", default=["python3.11", "python3.12"])
    parser.add_argument("--keep", type=Path, help="a lock or `pip freeze` whose versions are held")
    arguments = parser.parse_args()
    kept = read_versions(arguments.keep) if arguments.keep else {}
    resolved: dict[str, dict[str, str]] = {}
    for python in arguments.pythons:
        ask = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            version = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            sys.exit(f"error: {python} does not run; install it, or name both: scripts/lock.py PYTHON3.11 PYTHON3.12")
        print(f"resolving for Python {version} (a minute)", flush=True)
        resolved[version] = resolve(python, requirements(), kept)
        kept = {**kept, **resolved[version]}
    LOCK.write_text(lock_text(resolved))
    print(f"wrote {LOCK.name}: {LOCK.read_text().count('==')} lines; run `make test-full` before committing it")


if __name__ == "__main__":
    main()
