"""Databases of other versions are told apart, and older ones brought up to date with a copy kept."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipeline import services
from pipeline.databases import damage
from pipeline.services import PREFECT, Service, identity
from pipeline.up import schema
from pipeline.up.upgrade import upgrade
from pipeline.workspace import Workspace


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
        import mlflow.store.db_migrations as migrations

        config = Config()
        config.set_main_option("script_location", next(iter(migrations.__path__)))
    return list(ScriptDirectory.from_config(config).get_heads())


@pytest.mark.parametrize("name", ["prefect", "mlflow"])
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


@pytest.fixture
def older(workspace: Path) -> Workspace:
    """A workspace whose two databases were made by alembic at an older revision, with an experiment in one."""
    place = Workspace(workspace)
    (place.var / "prefect").mkdir(parents=True)
    make_older_mlflow(place.var / "mlflow.db")
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y", "-r", _earlier("prefect")],
        env={**os.environ, "PREFECT_HOME": str(place.var / "prefect")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def _earlier(name: str) -> str:
    """Return the revision two steps before the head."""
    head, _ = schema.head(name)
    package, folder = schema._STEPS[name]
    import importlib.util

    root = Path(str(importlib.util.find_spec(package).origin)).parent / folder  # type: ignore[union-attr]
    before = dict(schema._step(path) for path in root.glob("*.py"))
    return before[before[head][0]][0]


def make_older_mlflow(path: Path) -> None:
    script = f"""
import sqlalchemy
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
url = "sqlite:///{path}"
engine = sqlalchemy.create_engine(url)
Base.metadata.create_all(engine)
config = _get_alembic_config(url)
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, "{_earlier("mlflow")}")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("insert into experiments (experiment_id, name, lifecycle_stage) values (7, 'old', 'active')")


@pytest.mark.slow
def test_older_databases_are_refused_by_up_and_brought_up_to_date(older: Workspace) -> None:
    from pipeline.up import run

    before = {one.name: one.revision for one in schema.databases_of(older)}
    assert [one.state for one in schema.databases_of(older)] == ["older", "older"]
    with pytest.raises(ValueError, match=r"older version of prefect .* run `atelier upgrade`"):
        run.up(older)
    assert services.read(older) == {}  # nothing was started
    folder, old = upgrade(older)
    assert folder is not None
    assert {one.name for one in old} == {"prefect", "mlflow"}
    assert folder.parent == older.var / "backups"
    for one in schema.databases_of(older):
        assert one.state == "current"
        copy = folder / one.path.name
        assert damage(copy) is None
        assert schema.revision(copy) == before[one.name]
    with closing(sqlite3.connect(older.var / "mlflow.db")) as database:
        assert database.execute("select name from experiments where experiment_id = 7").fetchall() == [("old",)]
    schema.require_current(older)
    assert upgrade(older) == (None, [])
