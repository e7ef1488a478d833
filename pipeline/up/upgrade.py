"""Databases brought to the version of the installed packages: backed up, then migrated by the tools' own commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from pipeline import databases, services
from pipeline.files import require_free_space, staged_directory, sync_filesystem
from pipeline.process import exclusive
from pipeline.services import KEEPER, MLFLOW, PREFECT, SERVE
from pipeline.terminal import child_environment
from pipeline.up.credentials import without_secrets
from pipeline.up.schema import Database, databases_of
from pipeline.up.servers import last_words, log_file, prefect_settings
from pipeline.workspace import Workspace


def upgrade(workspace: Workspace, now: float | None = None) -> tuple[Path | None, list[Database]]:
    """Bring the databases up to date; return where they are backed up, and those that were older as they were.

    Without anything to do, nothing is backed up. If a migration fails, the database is as it was.

    Args:
        workspace: whose databases.
        now: seconds since 1970, which name the backup's folder; the clock's without.

    Raises:
        ValueError: a server, a retrain or another `up` runs; a database is damaged or of a newer version; the disk is
            too small; or a migration failed.
    """
    with (
        exclusive(workspace.var / "up.lock", f"`atelier up` or `down` of {workspace.root}"),
        exclusive(workspace.var / "retrain.lock", f"a retrain of {workspace.root}"),
    ):
        _require_down(workspace)
        there = [one for one in databases_of(workspace) if one.state != "absent"]
        for one in there:
            if one.state == "newer":
                raise ValueError(
                    f"{one.path} was written by a newer version of {one.name} (it is at {one.revision}), and there "
                    f"is no way back but a backup: install what requirements.lock names with `make setup`"
                )
        old = [one for one in there if one.state == "older"]
        if not old:
            return None, []
        folder = workspace.var / "backups" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        _back_up(there, folder)
        for one in old:
            _migrate(workspace, one, folder)
    return folder, old


def _require_down(workspace: Workspace) -> None:
    running = [one.name for one in services.read(workspace).values() if one.pid and one.alive]
    if set(running) & {PREFECT, MLFLOW, SERVE, KEEPER}:
        raise ValueError(f"{' and '.join(running)} run(s), so the databases are in use; run `atelier down` first")


def _back_up(there: list[Database], folder: Path) -> None:
    """Copy the databases and read the copies again."""
    if folder.exists():
        raise ValueError(f"{folder} is there already; wait a second and try again")
    with staged_directory(folder) as staged:
        require_free_space(staged, sum(one.path.stat().st_size for one in there), "the backup of the databases")
        for one in there:
            copy = staged / one.path.name
            databases.copy(one.path, copy)
            if (why := databases.damage(copy)) is not None:
                raise ValueError(f"the backup of {one.path} {why}; nothing was changed")
        sync_filesystem(staged)


def _migrate(workspace: Workspace, one: Database, folder: Path) -> None:
    """Run the tool's own migration; if it fails, put the backup in place."""
    log = log_file(workspace, f"upgrade-{one.name}")
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**without_secrets(child_environment(workspace)), **prefect_settings(workspace)}
    environment["PREFECT_API_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{workspace.var / 'prefect/prefect.db'}"
    environment.pop("PREFECT_API_URL", None)
    commands = {
        "mlflow": ["mlflow", "db", "upgrade", f"sqlite:///{one.path}"],
        "prefect": ["prefect", "server", "database", "upgrade", "-y"],
    }
    with log.open("wb") as output:
        code = subprocess.run(
            [sys.executable, "-P", "-m", *commands[one.name]],
            cwd=workspace.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    after = next(each for each in databases_of(workspace) if each.name == one.name) if code == 0 else one
    if code != 0 or after.state != "current":
        for beside in ("-wal", "-shm", "-journal"):
            one.path.with_name(one.path.name + beside).unlink(missing_ok=True)
        spare = one.path.with_name(f".{one.path.name}.restored.tmp")
        shutil.copyfile(folder / one.path.name, spare)
        spare.replace(one.path)
        raise ValueError(
            f"{one.name}'s database could not be brought up to date: {last_words(log)} (all of it: {log}); it is as "
            f"it was before, and a copy is in {folder}"
        )
