"""Studios for the fault tests, in three states of one history, each built once (minutes) and copied for every test.

- `settled`: version 1 of `ink` is the champion, by a person's decision, and nothing is new;
- `waiting`: the same, and one more artwork waits in the inbox;
- `built`: the same, built and judged, and killed just before it was registered.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline import databases, registry
from pipeline.files import read_json, write_json
from pipeline.workspace import Workspace
from tests.conftest import copy_checkout
from tests.flows.studio import command, drop

Make = Callable[[str], Path]
PATIENCE = 240.0  # seconds until a test gives up waiting for something to begin
_KILLED_AT_REGISTRATION = """
import os, signal, sys
from pipeline import registry
registry.register = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from flows.__main__ import main
sys.argv = ["flows", "retrain"]
main()
"""


@dataclass(frozen=True)
class Studio:
    """A copy of the test's own, and what an undisturbed retrain makes of it."""

    root: Path
    champion: str
    """Digest of version 1's package."""
    coming: str
    """Digest of the package that an undisturbed retrain makes of the waiting artwork; empty where none waits."""
    server: str
    """The Prefect API that flows talk to."""

    @property
    def workspace(self) -> Workspace:
        """Its paths."""
        return Workspace(self.root)

    def run(self, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m module` in it."""
        return command(self.root, module, *arguments, **{"PREFECT_API_URL": self.server, **environment})

    def python(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script with its code, as a command."""
        return subprocess.run(
            [sys.executable, "-c", script], cwd=self.root, env=self.environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a program in it, in a session of its own; end it with `ended`."""
        return subprocess.Popen(
            arguments, cwd=self.root, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes."""
        inherited = {name: value for name, value in os.environ.items() if name != "PREFECT_HOME"}
        return {**inherited, "PYTHONPATH": str(self.root), "PREFECT_API_URL": self.server, "ATELIER_HINTS": "off"}

    def retrain(self, *recipes: str) -> subprocess.CompletedProcess[str]:
        """Run a retrain to its end, of what is due or of what is named."""
        return self.run("flows", "retrain", *recipes)

    def aliases(self) -> dict[str, int]:
        """Return what names what."""
        forget_connections()
        return registry.aliases_of(self.workspace, "ink")

    def assert_champion_loads(self) -> None:
        """Version 1 is in use, whole, and paints: asked for as a person asks, in a process of its own."""
        painted = self.root / "painted.png"
        painted.unlink(missing_ok=True)
        picture = next(self.workspace.collection("photos").glob("*.png"))
        done = self.run("pipeline.cli", "stylize", str(picture), str(painted), "--model", "ink")
        assert done.returncode == 0, done.stderr
        assert painted.is_file()
        forget_connections()
        found = registry.champion(self.workspace, "ink")
        assert found is not None
        assert found.package == self.champion

    def assert_converged(self) -> None:
        """A rerun comes to what a retrain comes to that nothing happened to, and one behind it does nothing."""
        done = self.retrain()
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.aliases() == {"champion": 1, "anchor": 1, "challenger": 2}
        assert registry.version_of(self.workspace, "ink", 2).package == self.coming
        assert not any(path.is_file() for path in (self.root / "inbox" / "ink").glob("*"))
        images = list(self.workspace.collection("ink").glob("*.png"))
        assert len(images) == 9
        self.assert_champion_loads()


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line in which a command said what is wrong."""
    assert done.returncode == 2, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if "Warning" not in line]
    assert [line for line in said if line.startswith("error: ")] == said[-1:], done.stderr
    assert "Traceback" not in done.stderr
    return said[-1]


def forget_connections() -> None:
    """Close what this process has open of any database: the next one finds it as a new process would."""
    for engine in [each for each in gc.get_objects() if type(each) is Engine]:
        engine.dispose()


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def trainer_of(workspace: Workspace, since: float) -> int:
    """Return the id of the trainer of `ink`, or 0: none is there, or none wrote a checkpoint since a time."""
    lock = workspace.checkpoints("ink") / "lock"
    with suppress(FileNotFoundError, ValueError):
        pid = int(lock.read_text())
        begun = [path.stat().st_mtime for path in lock.parent.rglob("step-*.ckpt")]
        if alive(pid) and begun and max(begun) >= since:
            return pid
    return 0


def ancestors(pid: int) -> Iterator[tuple[int, str]]:
    """Yield the parents of a process, nearest first: id and command line."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid, Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End a process, and all of its session, with the block."""
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def settled(make: Make, server: str) -> Studio:
    """Return a copy of the studio that has a champion and nothing new."""
    return _copy(_settled(make, server), make("settled") / "studio")


def waiting(make: Make, server: str) -> Studio:
    """Return a copy of the studio in whose inbox an artwork waits."""
    studio = _copy(_built(make, server), make("waiting") / "studio", _settled(make, server))
    drop(studio.root, "ink", 8, 1)
    return studio


def built(make: Make, server: str) -> Studio:
    """Return a copy of the studio whose new model waits to be registered."""
    return _copy(_built(make, server), make("built") / "studio")


def maker(factory: pytest.TempPathFactory) -> Make:
    """Return what makes the folders that studios lie in."""
    return factory.mktemp


def _copy(studio: Studio, root: Path, state: Studio | None = None) -> Studio:
    """Copy a studio (or what it was before); MLflow's database speaks of the new place then."""
    forget_connections()
    source = (state or studio).root
    shutil.copytree(source, root, symlinks=True)
    before, after = Workspace(source), Workspace(root)
    for old, new in ((before.artifacts.as_uri(), after.artifacts.as_uri()), (before.artifacts, after.artifacts)):
        databases.move_paths(root / "var" / "mlflow.db", str(old), str(new))
    return Studio(root, studio.champion, studio.coming, studio.server)


def _settled(make: Make, server: str) -> Studio:
    def build(root: Path) -> Studio:
        copy_checkout(root)
        drop(root, "photos", 0, 12)
        drop(root, "ink", 0, 8)
        first = Studio(root, "", "", server)
        done = first.retrain()
        assert done.returncode == 0, done.stdout + done.stderr
        promoted = first.run("flows", "promote", "ink", "1", "--reason", "the first")
        assert promoted.returncode == 0, promoted.stderr
        return Studio(root, registry.version_of(first.workspace, "ink", 1).package, "", server)

    return _once("settled", make, server, build)


def _built(make: Make, server: str) -> Studio:
    before = _settled(make, server)

    def build(root: Path) -> Studio:
        studio = _copy(before, root)
        drop(studio.root, "ink", 8, 1)
        done = studio.python(_KILLED_AT_REGISTRATION)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        coming = read_json(studio.workspace.package("ink") / "manifest.json")["package"]
        assert coming != studio.champion
        return Studio(studio.root, studio.champion, coming, server)

    return _once("built", make, server, build)


_folders: dict[str, Path] = {}


def _once(name: str, make: Make, server: str, build: Callable[[Path], Studio]) -> Studio:
    """Return a state, built by the first that asks for it.

    Of this process, or of all those that have the same ATELIER_FAULT_STUDIOS in their environment.
    """
    if name not in _folders:
        shared = os.environ.get("ATELIER_FAULT_STUDIOS")
        _folders[name] = Path(shared) / name if shared else make(name)
    folder = _folders[name]
    folder.mkdir(parents=True, exist_ok=True)
    root, digests = folder / "studio", folder / "digests.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not digests.is_file():
            shutil.rmtree(root, ignore_errors=True)
            studio = build(root)
            forget_connections()
            write_json(digests, {"champion": studio.champion, "coming": studio.coming})
    return Studio(root, **read_json(digests), server=server)
