"""Databases brought to the version of the installed packages: backed up, then migrated by the tools' own commands."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from pipeline import databases, services
from pipeline.files import fsync_directory, require_free_space, staged_directory, sweep, sync_filesystem
from pipeline.process import die_with_parent, exclusive
from pipeline.services import KEEPER, MLFLOW, PREFECT, SERVE
from pipeline.terminal import child_environment
from pipeline.up.credentials import without_secrets
from pipeline.up.schema import MLFLOW_USERS, Database, databases_of, look
from pipeline.up.servers import last_words, log_file, prefect_settings
from pipeline.workspace import Workspace

_BESIDE = ("", "-wal", "-shm", "-journal")  # what SQLite keeps beside a database, and the database itself


def upgrade(workspace: Workspace, now: float | None = None) -> tuple[Path | None, list[Database]]:
    """Bring the databases up to date; return where they are backed up, and those that were older as they were.

    Without anything to do, nothing is backed up. A migration works on a copy, which takes the database's place in one
    step when it is whole: one that fails, or is killed, leaves the database as it was, and the next begins anew.

    Args:
        workspace: whose databases.
        now: seconds since 1970, which name the backup's folder; the clock's without.

    Raises:
        ValueError: a server, a retrain or another `up` runs; a database is damaged, in use, or of a newer version;
            the disk is too small; or a migration failed.
    """
    with (
        exclusive(workspace.var / "up.lock", f"`atelier up` or `down` of {workspace.root}"),
        exclusive(workspace.var / "retrain.lock", f"a retrain of {workspace.root}"),
    ):
        _require_down(workspace)
        there = [one for one in databases_of(workspace) if one.state != "absent"]
        databases.refuse_while_used(one.path for one in there if one.state != "current")
        if refusals := [one.refusal for one in there if one.refusal is not None]:
            raise ValueError(refusals[0])
        old = [one for one in there if one.state == "older"]
        if not old:
            return None, []
        if (workspace.var / "backups").is_dir():
            sweep(workspace.var / "backups")  # backups that were killed
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
        sizes = [one.path.stat().st_size for one in there]
        require_free_space(staged, sum(sizes) + max(sizes), "a backup of the databases and a copy to work on")
        for one in there:
            copy = staged / one.path.name
            databases.copy(one.path, copy)
            if (why := databases.damage(copy)) is not None:
                raise ValueError(f"the backup of {one.path} {why}; nothing was changed")
        sync_filesystem(staged)


def _migrate(workspace: Workspace, one: Database, folder: Path) -> None:
    """Run the tool's own migration on a copy, and put that in the database's place."""
    copy = one.path.with_name(f".{one.path.name}.upgrading.tmp")
    _remove(copy)  # of an upgrade that was killed
    log = log_file(workspace, f"upgrade-{one.name}")
    databases.settle(one.path)  # or the log beside it would be taken for the new one's
    databases.copy(one.path, copy)
    try:
        code = _run(workspace, _command(one.name, copy), copy, log)
        after = look(one.name, copy)
        if code != 0 or after.state != "current":
            raise ValueError(
                f"{one.path} could not be brought up to date: {last_words(log)} (all of it: {log}); it is as it was "
                f"before, and a copy is in {folder}"
            )
        databases.settle(copy)
        if (why := databases.damage(copy)) is not None:
            raise ValueError(f"{one.path} {why} once it was brought up to date; it is left as it was before")
        sync_filesystem(copy.parent)
        copy.replace(one.path)
        fsync_directory(one.path.parent)
    finally:
        _remove(copy)


def _command(name: str, path: Path) -> list[str]:
    if name == PREFECT:
        return ["prefect", "server", "database", "upgrade", "-y"]  # its environment says which
    if name == MLFLOW_USERS:
        return ["mlflow.server.auth", "db", "upgrade", "--url", f"sqlite:///{path}"]
    return ["mlflow", "db", "upgrade", f"sqlite:///{path}"]


def _run(workspace: Workspace, command: list[str], path: Path, log: Path) -> int:
    """Run a module's command and return its exit status; if this process is killed, it ends too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**without_secrets(child_environment(workspace)), **prefect_settings(workspace)}
    environment["PREFECT_API_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{path}"
    environment.pop("PREFECT_API_URL", None)
    with log.open("wb") as output:
        return subprocess.run(
            [sys.executable, "-P", "-m", *command],
            cwd=workspace.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
            check=False,
        ).returncode


def _remove(copy: Path) -> None:
    for ending in _BESIDE:
        copy.with_name(copy.name + ending).unlink(missing_ok=True)
