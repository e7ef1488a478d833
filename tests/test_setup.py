"""Set-up on a fresh machine: the lock, the preflight, an installation that is cut short, the Makefile, CI."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
WANTED = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["dev"],
    *PROJECT["build-system"]["requires"],
]
# A Python that installs nothing: it notes what is asked of it, and fails where FAIL is in the question.
FAKE_PYTHON = """\
#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
    *"$FAIL"*) [ -n "$FAIL" ] && exit 1 ;;
esac
case "$*" in
    "-m venv --clear "*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    *sys.executable*) echo "$0" ;;
esac
exit 0
"""


def _executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _locked(python: str) -> dict[str, str]:
    found = {}
    environment = {"python_version": python, "platform_system": "Linux"}
    for line in LOCK:
        entry = Requirement(line)
        if entry.marker is None or entry.marker.evaluate(environment):
            assert canonicalize_name(entry.name) not in found, f"{entry.name} is locked twice for {python}"
            found[canonicalize_name(entry.name)] = next(iter(entry.specifier)).version
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12"])
@pytest.mark.parametrize("wanted", WANTED)
def test_the_lock_satisfies_every_requirement(python: str, wanted: str) -> None:
    requirement = Requirement(wanted)
    locked = _locked(python)
    name = canonicalize_name(requirement.name)
    assert name in locked, f"{name} is not locked; run `make lock`"
    assert requirement.specifier.contains(locked[name], prereleases=True)


def test_the_lock_holds_names_and_versions_and_nothing_else() -> None:
    line = re.compile(r'[a-z0-9-]+==[0-9a-zA-Z.+!]+( ; (python_version|platform_system) == "[\w.]+")?')
    assert [entry for entry in LOCK if not line.fullmatch(entry)] == []
    assert len(LOCK) > 100


def _preflight(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
    command = ["/bin/sh", str(SCRIPTS / "preflight.sh"), str(tmp_path / ".venv")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _tools(folder: Path, *names: str) -> Path:
    """Return a folder with links to a few real tools, to stand for a machine that has no others."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def test_preflight_takes_a_python_that_runs_and_passes_over_a_shim_that_does_not(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    for name in ("python3.12", "python3.11"):
        _executable(shims / name, "#!/bin/sh\necho 'version not installed' >&2\nexit 127\n")
    (shims / "python3").symlink_to(sys.executable)
    done = _preflight(tmp_path, PATH=f"{shims}:{os.environ['PATH']}", ATELIER_NEED_GB="0")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == Path(sys.executable).resolve()


def test_preflight_says_how_to_get_a_python(tmp_path: Path) -> None:
    tools = _tools(tmp_path / "bin", "git", "df", "awk", "dirname")
    done = _preflight(tmp_path, PATH=str(tools), ATELIER_NEED_GB="0")
    assert done.returncode == 2
    assert "missing: Python 3.11 or 3.12" in done.stderr
    assert "package manager" in done.stderr
    assert done.stdout == ""


def test_preflight_names_the_venv_package_and_git_together(tmp_path: Path) -> None:
    tools = _tools(tmp_path / "bin", "df", "awk", "dirname")
    _executable(tools / "apt-get", "#!/bin/sh\n")
    real = sys.executable
    _executable(tools / "python3.11", f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec {real} "$@"\n')
    done = _preflight(tmp_path, PATH=str(tools), ATELIER_NEED_GB="0")
    assert done.returncode == 2
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"apt-get install -y python{version}-venv" in done.stderr
    assert "apt-get install -y git" in done.stderr


def test_preflight_asks_for_space_only_before_the_first_installation(tmp_path: Path) -> None:
    done = _preflight(tmp_path, ATELIER_NEED_GB="99999")
    assert done.returncode == 2
    assert "about 99999 GB needed" in done.stderr
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".stamp").touch()
    assert _preflight(tmp_path, ATELIER_NEED_GB="99999").returncode == 0


class Machine:
    """A checkout with the real scripts and a Python that only takes notes."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.log = folder / "log"
        self.python = _executable(folder / "python", FAKE_PYTHON)
        shutil.copytree(SCRIPTS, self.root / "scripts")
        (self.root / "requirements.lock").write_text("a==1\nsetuptools==80\n")
        (self.root / "pyproject.toml").write_text("[project]\n")

    def setup(self, fail: str = "") -> tuple[int, str]:
        self.log.write_text("")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHON": str(self.python),
            "LOG": str(self.log),
            "FAIL": fail,
            "ATELIER_NEED_GB": "0",
        }
        command = ["/bin/sh", "scripts/setup.sh"]
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, self.log.read_text()

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / ".stamp"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_setup_installs_from_the_lock_without_letting_pip_choose(machine: Machine) -> None:
    status, log = machine.setup()
    assert status == 0
    steps = ["setuptools==80", "--requirement requirements.lock", "--editable ."]
    installs = [line for line in log.splitlines() if line.startswith("-m pip install ")]
    assert [line.endswith(step) for line, step in zip(installs, steps, strict=True)] == [True] * 3
    assert all("--no-deps" in line for line in installs)
    assert all("--no-build-isolation" in line for line in installs[1:])
    assert "-m pip check" in log
    assert machine.stamp.is_file()


def test_setup_again_does_nothing(machine: Machine) -> None:
    machine.setup()
    status, log = machine.setup()
    assert status == 0
    assert "pip" not in log


def test_setup_follows_a_changed_lock(machine: Machine) -> None:
    machine.setup()
    (machine.root / "requirements.lock").write_text("a==2\nsetuptools==80\n")
    _, log = machine.setup()
    assert "--requirement requirements.lock" in log
    assert "-m venv" not in log  # the environment itself stays


@pytest.mark.parametrize("where", ["--requirement", "--editable", "pip check"])
def test_an_installation_that_was_cut_short_is_redone_from_the_start(machine: Machine, where: str) -> None:
    status, _ = machine.setup(fail=where)
    assert status != 0
    assert not machine.stamp.exists()
    status, log = machine.setup()
    assert status == 0
    assert "-m venv --clear" in log
    assert "--requirement requirements.lock" in log
    assert machine.stamp.is_file()


def _make(*arguments: str) -> str:
    done = subprocess.run(["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_help_lists_every_target() -> None:
    text = _make("help")
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert f"make {target} " in text


def test_make_demo_hands_over_the_users_folders() -> None:
    text = _make("--dry-run", "demo", "ARTWORKS=my art", "PHOTOS=shots")
    assert "-m pipeline.demo --artworks 'my art' --photos 'shots'" in text


def test_make_test_checks_style_and_types_before_the_tests() -> None:
    text = _make("--dry-run", "test")
    assert text.index("ruff check") < text.index("mypy") < text.index("pytest")


@pytest.mark.parametrize(("status", "line"), [(0, "3 passed in 1.0s"), (1, "1 failed, 2 passed in 1.0s")])
def test_ci_ends_with_pytests_closing_line_and_its_status(tmp_path: Path, status: int, line: str) -> None:
    _executable(tmp_path / "make", f"#!/bin/sh\necho \"$1 called\"\necho '{line}'\necho later\nexit {status}\n")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([str(ROOT / ".ci" / "run")], env=environment, capture_output=True, text=True, check=False)
    assert "test called" in done.stdout
    assert done.stdout.splitlines()[-1] == line
    assert done.returncode == min(status, 1)


def test_pre_commit_needs_no_network() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert {hook["language"] for repository in config["repos"] for hook in repository["hooks"]} == {"system"}


def test_the_licence_is_the_whole_of_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
