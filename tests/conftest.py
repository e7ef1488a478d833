"""What all tests share: an offline environment, few threads, workspaces to work in, and which tests are slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Set before anything that reads them is imported; a person's own servers and settings stay out of the tests.
os.environ.update(
    {
        "DO_NOT_TRACK": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "DVC_NO_ANALYTICS": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
)
for _name in ("PREFECT_API_URL", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
    os.environ.pop(_name, None)

# A shell starts what it runs in the background with Ctrl-C ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, and no test asserts that.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow") or "slow" in (config.getoption("markexpr") or ""):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def _homes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep Prefect out of the user's home, in this process and in children."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two cores are shared; a test's result must not depend on their number either."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A really started Prefect server with a database of its own, for all tests that ask for it; yields its API."""
    import socket
    import time
    import urllib.request

    home = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, "PREFECT_HOME": str(home)}, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, "the Prefect server did not start"
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Return what puts a fresh MLflow database into a workspace: made once (seconds), copied then."""
    import shutil
    import sqlite3

    from pipeline.tracking import client
    from pipeline.workspace import Workspace

    first = Workspace(tmp_path_factory.mktemp("store"))
    client(first)

    def put(root: Path) -> None:
        target = Workspace(root).var / "mlflow.db"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first.var / "mlflow.db", target)
        with sqlite3.connect(target) as connection:  # artifacts must not land beside the original
            connection.execute(
                "update experiments set artifact_location = replace(artifact_location, ?, ?)",
                (str(first.root), str(root)),
            )

    return put


def copy_checkout(target: Path) -> Path:
    """Copy the checkout's files (tracked, or new and not ignored) to `target`: a git and DVC repository of its own.

    Its parameters are those of the smoke preset.
    """
    from pipeline.presets import apply_changes, read_preset

    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(source.read_bytes())
    apply_changes(target / "params.yaml", read_preset(target / "presets", "smoke"))
    git(target, "init", "-q", "-b", "main")
    git(target, "config", "user.name", "A Tester")
    git(target, "config", "user.email", "tester@localhost")
    git(target, "add", "-A")
    git(target, "commit", "-q", "-m", "A studio")
    return target


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it printed."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def new_workspace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return a maker of workspaces: fresh copies of one copy of the checkout, with the smoke preset."""
    first: list[Path] = []

    def make() -> Path:
        if not first:
            first.append(copy_checkout(tmp_path_factory.mktemp("checkout") / "studio"))
        target = tmp_path_factory.mktemp("workspace") / "studio"
        subprocess.run(["cp", "-a", str(first[0]), str(target)], check=True)
        return target

    return make


@pytest.fixture(scope="session")
def built(new_workspace: Callable[[], Path]) -> Path:
    """A workspace whose first retrain is done: one style, `ink`, version 1, committed and tagged. Copy it."""
    from tests.flows.studio import command, drop

    root = new_workspace()
    drop(root, "photos", 0, 12)
    drop(root, "ink", 0, 8)
    done = command(root, "flows", "retrain")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def studio(built: Path, tmp_path: Path) -> Path:
    """A copy of the workspace `built`, of the test's own."""
    target = tmp_path / "studio"
    subprocess.run(["cp", "-a", str(built), str(target)], check=True)
    from pipeline.databases import move_paths
    from pipeline.workspace import Workspace

    there, here = Workspace(built).artifacts, Workspace(target).artifacts
    for old, new in ((there.as_uri(), here.as_uri()), (str(there), str(here))):
        move_paths(here.parent / "mlflow.db", old, new)
    return target


@pytest.fixture
def workspace(new_workspace: Callable[[], Path]) -> Path:
    """A workspace of the test's own: the checkout's files, a git and DVC repository, the smoke preset."""
    return new_workspace()
