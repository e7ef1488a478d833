"""Is a server's database of the version that the installed packages want? Told without importing them."""

from __future__ import annotations

import ast
import importlib.util
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline import databases
from pipeline.services import MLFLOW, PREFECT
from pipeline.workspace import Workspace

MLFLOW_USERS = "mlflow-auth"  # MLflow keeps who may come in a database of its own
# Where the packages keep their steps from version to version, one file each.
_STEPS = {
    PREFECT: ("prefect", "server/database/_migrations/versions/sqlite"),
    MLFLOW: ("mlflow", "store/db_migrations/versions"),
    MLFLOW_USERS: ("mlflow", "server/auth/db/migrations/versions"),
}
_PATIENCE = 120.0  # seconds that a process is given to make its database
_TABLE = {MLFLOW_USERS: "alembic_version_auth"}  # where the revision stands, if not in alembic's own


@dataclass(frozen=True)
class Database:
    """A server's database: where it lies, its revision and the one that is wanted."""

    name: str
    path: Path
    revision: str | None  # None: not there yet, or empty; "": it has tables, and does not say
    head: str
    known: bool  # whether the installed package knows the revision

    @property
    def package(self) -> str:
        """The package whose database it is."""
        return _STEPS[self.name][0]

    @property
    def state(self) -> Literal["absent", "current", "older", "newer", "unsaid"]:
        """How it stands to the installed package."""
        if self.revision is None:
            return "absent"
        if not self.revision:
            return "unsaid"
        if self.revision == self.head:
            return "current"
        return "older" if self.known else "newer"

    @property
    def refusal(self) -> str | None:
        """In one sentence why neither a server nor an upgrade can use it, or None."""
        if self.state == "newer":
            return (
                f"{self.path} was written by a newer version of {self.package} (it is at {self.revision}, which the "
                f"installed one does not know), and there is no way back: install what requirements.lock names with "
                f"`make setup`, or restore a backup with `atelier restore DIR`"
            )
        if self.state == "unsaid":
            return (
                f"{self.path} does not say of which version of {self.package} it is; bring it back with `atelier "
                f"restore DIR` from a backup"
            )
        return None


def databases_of(workspace: Workspace) -> list[Database]:
    """Return Prefect's and MLflow's databases, and that of MLflow's users.

    Raises:
        ValueError: one of them is damaged, or its revision cannot be read.
    """
    return [look(name, path) for name, path in _paths(workspace).items()]


def mlflow_users(workspace: Workspace) -> Path:
    """Return where MLflow's server keeps its users, if it asks for passwords."""
    return _paths(workspace)[MLFLOW_USERS]


def require_current(workspace: Workspace, damaged_too: bool = True) -> None:
    """Return when no database is of another version than the installed packages.

    One that a process is just making, step by step, is waited for.

    Args:
        workspace: whose databases.
        damaged_too: whether one that is damaged is refused here, and not passed over.

    Raises:
        ValueError: one is of another version, or damaged; the message says what to do.
    """
    for name, path in _paths(workspace).items():
        if not damaged_too and databases.trouble(path) is not None:
            continue
        one = _at_rest(name, path)
        if one.state == "older":
            raise ValueError(
                f"{one.path} is of an older version of {one.package} ({one.revision}, wanted {one.head}); run "
                f"`atelier upgrade`, which backs it up and brings it up to date"
            )
        if one.refusal is not None:
            raise ValueError(one.refusal)


def _at_rest(name: str, path: Path) -> Database:
    """Look at a database once nobody makes it any more: a new one passes through all that was ever older."""
    found, deadline = look(name, path), time.monotonic() + _PATIENCE
    while found.state not in ("absent", "current") and time.monotonic() < deadline:
        used = databases.user([path]) is not None
        found = look(name, path)  # after that: it may have been the last step
        if not used:
            break
        time.sleep(0.2)
    return found


def _paths(workspace: Workspace) -> dict[str, Path]:
    return {
        PREFECT: workspace.var / "prefect" / "prefect.db",
        MLFLOW: workspace.var / "mlflow.db",
        MLFLOW_USERS: workspace.var / "mlflow-auth.db",
    }


def revision(path: Path, table: str = "alembic_version") -> str | None:
    """Return the revision that stands in a table of a database, None where there is no database yet, or "".

    Raises:
        ValueError: it is damaged.
    """
    why = databases.trouble(path)
    if why in ("is missing", "is empty"):
        return None
    if why is not None:
        raise ValueError(f"{path} {why}; bring it back with `atelier restore DIR` from a backup")
    try:
        with databases.reading(path) as database:
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            if table not in tables:
                return "" if tables else None
            row = database.execute(f"SELECT version_num FROM {table}").fetchone()
    except sqlite3.Error as error:
        raise ValueError(
            f"{path} cannot be read ({error}); bring it back with `atelier restore DIR` from a backup"
        ) from error
    return str(row[0]) if row else ""


def head(name: str) -> tuple[str, frozenset[str]]:
    """Return the newest revision that an installed package knows, and all that it knows."""
    package, folder = _STEPS[name]
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    steps = [_step(path) for path in sorted((Path(spec.origin).parent / folder).glob("*.py"))]
    known = {own: before for own, before in steps if own}
    tips = set(known) - {each for before in known.values() for each in before}
    assert len(tips) == 1, f"{name} has the heads {sorted(tips)}"
    return tips.pop(), frozenset(known)


def look(name: str, path: Path) -> Database:
    """Return how a database of a name, or a copy of it, stands to the installed package.

    Raises:
        ValueError: it is damaged, or its revision cannot be read.
    """
    newest, known = head(name)
    found = revision(path, _TABLE.get(name, "alembic_version"))
    return Database(name, path, found, newest, found in known)


def _step(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the revision that a file leads to, and those that it comes from."""
    found: dict[str, Any] = {}
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision"):
                found[target.id] = ast.literal_eval(node.value)
    before = found.get("down_revision") or ()
    return str(found.get("revision") or ""), (before,) if isinstance(before, str) else tuple(before)
