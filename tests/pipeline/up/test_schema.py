"""Databases of other versions are told apart, and older ones brought up to date with a copy kept."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import services
from pipeline.databases import damage, user
from pipeline.services import MLFLOW, PREFECT, Service, identity
from pipeline.up import schema
from pipeline.up.schema import MLFLOW_USERS
from pipeline.up.upgrade import upgrade
from pipeline.workspace import Workspace
from tests.pipeline.up.older import EXPERIMENT, FLOW, MODEL, USER, kept, make_older


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    (tmp_path / "dvc.yaml").touch()
    return Workspace(tmp_path)


def write_revision(path: Path, revision: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table if not exists alembic_version (version_num text)")
        database.execute("delete from alembic_version")
        database.execute("insert into alembic_version values (?)", (revision,))


def alembic_heads(name: str) -> list[str]:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if name == "prefect":
        import prefect.server.database as package

        root = Path(str(package.__file__)).parent
        config = Config(root / "alembic.ini")
        config.set_main_option("script_location", str(root / "_migrations"))
        config.set_main_option("version_locations", str(root / "_migrations/versions/sqlite"))
    else:
        migrations: ModuleType = import_module(
            "mlflow.store.db_migrations" if name == "mlflow" else "mlflow.server.auth.db.migrations"
        )
        config = Config()
        config.set_main_option("script_location", next(iter(migrations.__path__)))
    return list(ScriptDirectory.from_config(config).get_heads())


@pytest.mark.parametrize("name", [PREFECT, MLFLOW, MLFLOW_USERS])
def test_the_head_is_the_one_that_alembic_finds(name: str) -> None:
    head, known = schema.head(name)
    assert [head] == alembic_heads(name)
    assert head in known


def test_a_new_workspace_has_no_database_and_nothing_to_upgrade(place: Workspace) -> None:
    schema.require_current(place)
    assert upgrade(place) == (None, [])
    assert not (place.var / "backups").exists()


def test_older_newer_and_damaged_databases_are_refused_in_one_sentence(place: Workspace) -> None:
    mlflow = place.var / "mlflow.db"
    head, known = schema.head("mlflow")
    write_revision(mlflow, head)
    schema.require_current(place)
    write_revision(mlflow, sorted(known - {head})[0])
    with pytest.raises(ValueError, match=r"older version of mlflow .* run `atelier upgrade`"):
        schema.require_current(place)
    write_revision(mlflow, "from tomorrow")
    with pytest.raises(ValueError, match=r"newer version of mlflow .*make setup"):
        schema.require_current(place)
    with pytest.raises(ValueError, match="newer version of mlflow"):
        upgrade(place)
    mlflow.write_bytes(mlflow.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cut off .*atelier restore"):
        schema.require_current(place)


def test_while_a_server_runs_nothing_is_upgraded(place: Workspace) -> None:
    services.write(place, [Service(PREFECT, os.getpid(), identity(os.getpid()) or "", "", "http://127.0.0.1:1")])
    with pytest.raises(ValueError, match="atelier down"):
        upgrade(place)


def test_a_migration_that_fails_leaves_the_database_as_it_was(place: Workspace) -> None:
    mlflow = place.var / "mlflow.db"
    older = sorted(schema.head("mlflow")[1] - {schema.head("mlflow")[0]})[0]
    write_revision(mlflow, older)  # and none of the tables that the steps from there would change
    with closing(sqlite3.connect(mlflow)) as database, database:
        database.execute("create table kept (what text)")
        database.execute("insert into kept values ('this')")
    with pytest.raises(ValueError, match=r"not be brought up to date: .*upgrade-mlflow\.log.* as it was before"):
        upgrade(place)
    with closing(sqlite3.connect(mlflow)) as database:
        assert database.execute("select what from kept").fetchall() == [("this",)]
        assert database.execute("select version_num from alembic_version").fetchall() == [(older,)]
    assert not list(place.var.glob(".*upgrading*"))


@pytest.fixture
def older(workspace: Path) -> Workspace:
    """A workspace whose databases are of older versions, with something in each."""
    place = Workspace(workspace)
    make_older(place)
    return place


def test_a_database_that_does_not_say_its_version_is_refused(place: Workspace) -> None:
    path = place.var / "mlflow.db"
    write_revision(path, "")
    with pytest.raises(ValueError, match=r"does not say of which version of mlflow .*atelier restore"):
        schema.require_current(place)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("alter table alembic_version rename to lost")
    with pytest.raises(ValueError, match="does not say of which version of mlflow"):
        upgrade(place)


def test_one_that_another_process_brings_up_to_date_is_waited_for(place: Workspace) -> None:
    """A new database passes through all older versions; whoever looks then must not call it old."""
    path, (head, known) = place.var / "mlflow.db", schema.head("mlflow")
    write_revision(path, min(known - {head}))
    maker = subprocess.Popen(
        [sys.executable, "-c", _MAKER, str(path), head], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert maker.stdout is not None
        assert maker.stdin is not None
        maker.stdout.readline()
        with pytest.raises(ValueError, match=rf"process {maker.pid} has .* open"):
            upgrade(place)
        maker.stdin.close()  # now it goes on, in a second
        schema.require_current(place)
    finally:
        maker.kill()
        maker.wait()


_MAKER = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1])
database.execute("select * from alembic_version").fetchall()
print("open", flush=True)
sys.stdin.read()
time.sleep(1)
database.execute("update alembic_version set version_num = ?", (sys.argv[2],))
database.commit()
"""


@pytest.mark.slow
def test_while_prefect_makes_its_first_database_nobody_calls_it_old(workspace: Path) -> None:
    """Two retrains in a new workspace: the one's temporary server makes the database while the other looks."""
    place = Workspace(workspace)
    path = place.var / "prefect" / "prefect.db"
    path.parent.mkdir(parents=True)
    maker = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env={**os.environ, "PREFECT_HOME": str(path.parent)},
        stdout=subprocess.DEVNULL,
    )
    try:
        states = set()
        while maker.poll() is None:
            states.add(schema.look("prefect", path).state)
            schema.require_current(place)
            time.sleep(0.02)
    finally:
        maker.kill()
        maker.wait()
    assert schema.look("prefect", path).state == "current"
    assert "absent" in states


@pytest.mark.slow
def test_older_databases_are_refused_by_up_and_brought_up_to_date(older: Workspace) -> None:
    from pipeline.up import run

    before = {one.name: one.revision for one in schema.databases_of(older)}
    assert [one.state for one in schema.databases_of(older)] == ["older"] * 3
    with pytest.raises(ValueError, match=r"older version of prefect .* run `atelier upgrade`"):
        run.up(older)
    assert services.read(older) == {}  # nothing was started
    folder, old = upgrade(older)
    assert folder is not None
    assert [one.name for one in old] == [PREFECT, MLFLOW, MLFLOW_USERS]
    assert folder.parent == older.var / "backups"
    for one in schema.databases_of(older):
        assert one.state == "current"
        copy = folder / one.path.name
        assert damage(copy) is None
        assert schema.look(one.name, copy).revision == before[one.name]
    assert kept(older) == [FLOW, EXPERIMENT, MODEL, USER]
    schema.require_current(older)
    assert upgrade(older) == (None, [])


@pytest.mark.slow
def test_killed_at_each_database_it_leaves_that_one_as_it_was_and_the_next_converges(older: Workspace) -> None:
    for number, one in enumerate(schema.databases_of(older)):
        backups = _backups(older)
        _kill_an_upgrade_at(older, one)
        states = [each.state for each in schema.databases_of(older)]
        assert states == ["current"] * number + ["older"] * (3 - number)
        assert damage(one.path) is None
        [backup] = _backups(older) - backups
        assert schema.look(one.name, backup / one.path.name).revision == one.revision
        assert damage(backup / one.path.name) is None
        assert kept(older) == [FLOW, EXPERIMENT, MODEL, USER]
    _, old = upgrade(older)
    assert [each.name for each in old] == [MLFLOW_USERS]
    schema.require_current(older)
    assert kept(older) == [FLOW, EXPERIMENT, MODEL, USER]
    assert not list(older.var.rglob(".*upgrading*"))


def _kill_an_upgrade_at(place: Workspace, one: schema.Database) -> None:
    """Begin an upgrade, and kill it once the migration of a database has that open and has changed nothing yet."""
    log, copy = place.var / "logs" / f"upgrade-{one.name}.log", one.path.with_name(f".{one.path.name}.upgrading.tmp")
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "upgrade"],
        cwd=place.root,
        env={**os.environ, "PYTHONPATH": str(place.root)},
        stdout=subprocess.DEVNULL,
    )
    try:
        _until(lambda: log.exists() or command.poll() is not None)
        with closing(sqlite3.connect(copy, isolation_level=None)) as held:
            held.execute("begin immediate")  # it cannot go on
            _until(lambda: user([copy]) is not None or command.poll() is not None)
            assert command.poll() is None
            command.kill()
            command.wait()
            _until(lambda: user([copy]) is None)  # the migration ends with the command
    finally:
        command.kill()
        command.wait()


def _backups(place: Workspace) -> set[Path]:
    folder = place.var / "backups"
    return {path for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
