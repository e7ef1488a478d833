"""After an update of the packages: databases of an older version, brought up to date for real, and killed at it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipeline import services
from pipeline.databases import damage, settle
from pipeline.up import schema
from pipeline.workspace import Workspace
from tests.flows.upping import ask, atelier, ended, quiet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
Rows = dict[tuple[str, ...], list[tuple[object, ...]]]


def run(root: Path, *arguments: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def before_head(name: str, steps: int) -> str:
    """Return the revision some steps before the newest."""
    package, folder = schema._STEPS[name]
    found = __import__("importlib.util").util.find_spec(package)
    before = dict(schema._step(path) for path in (Path(found.origin).parent / folder).glob("*.py"))
    revision, _ = schema.head(name)
    for _ in range(steps):
        [revision] = before[revision]
    return revision


@pytest.fixture(scope="module")
def older(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a registered version and past runs, taken back by the tools' own steps to an older version."""
    root = tmp_path_factory.mktemp("older") / "studio"
    subprocess.run(["cp", "-a", str(built), str(root)], check=True)
    quiet(root)
    place = Workspace(root)
    url = f"sqlite:///{place.var / 'mlflow.db'}"
    script = (
        "from alembic import command; from mlflow.store.db.utils import _get_alembic_config;"
        f"command.downgrade(_get_alembic_config({url!r}), {before_head('mlflow', 3)!r})"
    )
    run(root, "-c", script)
    prefect = place.var / "prefect"
    line = ["-m", "prefect", "server", "database", "downgrade", "-y", "-r", before_head("prefect", 4)]
    run(
        root,
        *line,
        PREFECT_HOME=str(prefect),
        PREFECT_API_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{prefect / 'prefect.db'}",
    )
    users = schema.mlflow_users(place)
    line = ["--url", f"sqlite:///{users}", "--revision", before_head(schema.MLFLOW_USERS, 2)]
    run(root, "-m", "mlflow.server.auth", "db", "upgrade", *line)
    with closing(sqlite3.connect(users)) as database, database:
        database.execute("insert into users (username, password_hash, is_admin) values ('anna', 'scrypt:x', 0)")
    assert [one.state for one in schema.databases_of(place)] == ["older"] * 3
    return root


@pytest.fixture
def copy(older: Path, tmp_path: Path) -> Workspace:
    root = tmp_path / "studio"
    subprocess.run(["cp", "-a", str(older), str(root)], check=True)
    return Workspace(root)


def rows(path: Path, shape: Rows | None = None) -> Rows:
    """Return every row of every table, in the columns that it has, or that another look found and are still there."""
    found: Rows = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        names = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
        columns = {name: [row[1] for row in database.execute(f'pragma table_info("{name}")')] for name in names}
        for table, *wanted in shape or ((name, *columns[name]) for name in names):
            if table.startswith(("alembic_version", "sqlite_")):
                continue
            if shape is not None and not set(wanted) <= set(columns.get(table, ())):
                # MLflow itself drops columns on its way; what stood in them must not be lost.
                assert shape[(table, *wanted)] == [], f"{table} lost columns that held something"
                found[(table, *wanted)] = []
                continue
            listed = ", ".join(f'"{name}"' for name in wanted)
            found[(table, *wanted)] = sorted(database.execute(f'select {listed} from "{table}"'), key=repr)
    return found


def paths(place: Workspace) -> list[Path]:
    return [one.path for one in schema.databases_of(place)]


def states(place: Workspace) -> list[str]:
    return [one.state for one in schema.databases_of(place)]


def test_up_refuses_until_upgrade_has_backed_up_and_migrated_and_all_data_are_there(copy: Workspace) -> None:
    root = copy.root
    old = {path: rows(path) for path in paths(copy)}
    before = {one.path.name: one.revision for one in schema.databases_of(copy)}
    mlflow = old[copy.var / "mlflow.db"]
    assert any(key[0] == "model_versions" and len(found) == 1 for key, found in mlflow.items())
    for command in (["up"], ["retrain", "ink"]):  # a retrain's temporary server would migrate without a copy
        done = atelier(root, *command)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "older version of prefect" in done.stderr
        assert "run `atelier upgrade`" in done.stderr
        assert done.stderr.count("\n") == 1
        assert states(copy) == ["older"] * 3
    assert services.read(copy) == {}
    done = atelier(root, "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(copy) == ["current"] * 3
    assert {path: rows(path, old[path]) for path in old} == old
    [folder] = (copy.var / "backups").iterdir()
    assert str(folder.relative_to(root)) in done.stdout
    for one in schema.databases_of(copy):
        assert damage(folder / one.path.name) is None
        assert schema.look(one.name, folder / one.path.name).revision == before[one.path.name]
        assert rows(folder / one.path.name) == old[one.path]
    assert not list(copy.var.rglob("*.upgrading.tmp*"))
    with ended(root):
        done = atelier(root, "up")
        assert done.returncode == 0, done.stdout + done.stderr
        [key] = [key for key in old[copy.var / "prefect" / "prefect.db"] if key[0] == "flow_run"]
        past = {row[key.index("name") - 1] for row in old[copy.var / "prefect" / "prefect.db"][key]}
        assert past
        assert past <= {one["name"] for one in ask(root, "/flow_runs/filter", {})}
        told = atelier(root, "history", "ink")
        assert (told.returncode, "version 1" in told.stdout or "v1" in told.stdout) == (0, True), told.stdout
        assert atelier(root, "down").returncode == 0


def copies(place: Workspace) -> bool:
    return any((place.var / "backups").glob(".*.tmp/*"))


def migrates(name: str) -> Callable[[Workspace], bool]:
    """Return whether a step of the migration of a database is under way: SQLite has a log beside the copy then."""

    def look(place: Workspace) -> bool:
        whole = place.var / name
        beside = whole.with_name(f".{whole.name}.upgrading.tmp")
        return any(beside.with_name(beside.name + end).is_file() for end in ("-wal", "-journal"))

    return look


@pytest.mark.parametrize(
    "moment",
    [copies, migrates("prefect/prefect.db"), migrates("mlflow.db"), migrates("mlflow-auth.db")],
    ids=["backup", "prefect", "mlflow", "users"],
)
def test_killed_in_the_middle_it_leaves_each_database_whole_and_a_rerun_ends_it(
    copy: Workspace, moment: Callable[[Workspace], bool]
) -> None:
    old = {path: rows(path) for path in paths(copy)}
    revisions = [one.revision for one in schema.databases_of(copy)]
    with (copy.root / "upgrade.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "upgrade"],
            cwd=copy.root,
            env={**os.environ, "PYTHONPATH": str(copy.root)},
            stdout=log,
            stderr=log,
        )
    while not moment(copy):
        assert process.poll() is None, (copy.root / "upgrade.log").read_text()
        time.sleep(0.0002)
    process.send_signal(signal.SIGKILL)  # itself alone: the tool that it runs must not go on without it
    process.wait()
    deadline = time.monotonic() + 60
    while children := [pid for pid in running() if str(copy.root) in running_line(pid)]:
        assert time.monotonic() < deadline, [running_line(pid) for pid in children]
        time.sleep(0.1)
    assert {path: rows(path, old[path]) for path in old} == old
    for one, revision in zip(schema.databases_of(copy), revisions, strict=True):
        assert damage(one.path) is None
        assert one.revision in (revision, one.head)
    assert "older" in states(copy)
    backups = [folder for folder in (copy.var / "backups").iterdir() if not folder.name.startswith(".")]
    assert len(backups) == (0 if moment is copies else 1)
    for folder in backups:
        for path in old:
            assert rows(folder / path.name) == old[path]
    time.sleep(1.1)  # a backup's folder is named by the second
    done = atelier(copy.root, "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(copy) == ["current"] * 3
    assert {path: rows(path, old[path]) for path in old} == old
    assert not list(copy.var.rglob("*.upgrading.tmp*"))
    assert not list((copy.var / "backups").glob(".*"))


def test_a_database_that_a_process_has_open_is_not_touched(copy: Workspace) -> None:
    path = copy.var / "mlflow.db"
    settle(path)
    holder = subprocess.Popen(
        [sys.executable, "-c", f"f = open({str(path)!r}); print('open', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        done = atelier(copy.root, "upgrade")
    finally:
        holder.kill()
        holder.wait()
    assert done.returncode == 2
    assert f"process {holder.pid} has {path} open" in done.stderr
    assert states(copy) == ["older"] * 3


def running() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def running_line(pid: int) -> str:
    """Return a process's folder and command line, if it is a migration's."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        return f"{Path(f'/proc/{pid}/cwd').readlink()} {line}" if " -m " in line else ""
    except OSError:
        return ""
