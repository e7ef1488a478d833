"""Databases as older Prefects and MLflows left them: made by their own steps, all but the newest two."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from pipeline.services import MLFLOW, PREFECT
from pipeline.up import schema
from pipeline.up.schema import MLFLOW_USERS
from pipeline.workspace import Workspace

FLOW, EXPERIMENT, MODEL, USER = "a-flow-of-old", "an-experiment-of-old", "a-model-of-old", "a-guest-of-old"


def make_older(place: Workspace, guest: str = "no-password-at-all") -> None:
    """Put all three databases into a workspace, in each of them something that an upgrade must keep."""
    prefect, mlflow, users = (one.path for one in schema.databases_of(place))
    prefect.parent.mkdir(parents=True)
    home = {**os.environ, "PREFECT_HOME": str(prefect.parent)}
    _run(["-m", "prefect", "server", "database", "upgrade", "-y", "-r", earlier(PREFECT)], home)
    _run(["-c", _MLFLOW, f"sqlite:///{mlflow}", earlier(MLFLOW)])
    url = ["--url", f"sqlite:///{users}", "--revision", earlier(MLFLOW_USERS)]
    _run(["-m", "mlflow.server.auth", "db", "upgrade", *url])
    _tell(prefect, "insert into flow (name, tags, labels) values (?, '[]', '{}')", FLOW)
    _tell(
        mlflow,
        "insert into experiments (experiment_id, name, lifecycle_stage, artifact_location) "
        "values (7, ?, 'active', 'file:///nowhere')",
        EXPERIMENT,
    )
    _tell(mlflow, "insert into registered_models (name) values (?)", MODEL)
    from werkzeug.security import generate_password_hash

    hashed = generate_password_hash(guest)
    _tell(users, "insert into users (username, password_hash, is_admin) values (?, ?, 0)", USER, hashed)


def kept(place: Workspace) -> list[str]:
    """Return what is there of the things that `make_older` put in."""
    prefect, mlflow, users = (one.path for one in schema.databases_of(place))
    asked = {
        (prefect, "flow", "name"): FLOW,
        (mlflow, "experiments", "name"): EXPERIMENT,
        (mlflow, "registered_models", "name"): MODEL,
        (users, "users", "username"): USER,
    }
    found = []
    for (path, table, column), text in asked.items():
        with closing(sqlite3.connect(path)) as database:
            found += database.execute(f"select {column} from {table} where {column} = ?", (text,)).fetchall()
    return [row[0] for row in found]


def earlier(name: str) -> str:
    """Return the revision two steps before the newest of a database."""
    head, _ = schema.head(name)
    package, folder = schema._STEPS[name]
    root = Path(str(importlib.util.find_spec(package).origin)).parent / folder  # type: ignore[union-attr]
    before = dict(schema._step(path) for path in root.glob("*.py"))
    return before[before[head][0]][0]


_MLFLOW = """
import sys
import sqlalchemy
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
url, revision = sys.argv[1:]
engine = sqlalchemy.create_engine(url)
Base.metadata.create_all(engine)
config = _get_alembic_config(url)
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
"""


def _run(arguments: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _tell(path: Path, sentence: str, *values: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sentence, values)
