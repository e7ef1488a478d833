"""`atelier backup`: a copy of what may not be lost, taken at one moment, whole or not there at all.

Databases are copied by SQLite's own backup, which waits for writers; the registry's lock keeps its journal, database
and packages together. DVC's cache is not in it: `dvc push` keeps that.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline import databases
from pipeline.files import require_free_space, staged_directory, sync_filesystem, write_json
from pipeline.safekeeping.contents import (
    DATABASES,
    INPUTS,
    LIST,
    STATE,
    Contents,
    differences,
    digests,
    input_files,
    read_contents,
    state_files,
)
from pipeline.terminal import capture
from pipeline.tracking import store_lock
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Backup:
    """Where a backup lies, how many files it has, and their bytes."""

    folder: Path
    files: int
    size: int


def default_folder(workspace: Workspace, now: float | None = None) -> Path:
    """Return where a backup goes that nobody gave a place: `backups/<time>` in the workspace, which git ignores."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return workspace.root / "backups" / stamp


def backup(workspace: Workspace, folder: Path, packages: bool = True) -> Backup:
    """Write a backup to a new folder, read it again, and return what is in it.

    Args:
        workspace: whose state.
        folder: must not exist, or be empty.
        packages: whether the registered packages are copied too; without them a restore needs DVC's cache.

    Raises:
        ValueError: the folder holds something, a database cannot be read, the disk is too small, or what was written
            is not what was read. Nothing is left then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something already; name a folder that is new, or none")
    if not workspace.var.is_dir():
        raise ValueError(f"{workspace.var} is not there yet: there is nothing to back up before the first retrain")
    with store_lock(workspace, "registry"), staged_directory(folder.absolute()) as staging:
        _sweep(workspace, folder.absolute(), staging)
        require_free_space(staging, _size(workspace, packages), "the backup")
        _copy_databases(workspace, staging / STATE)
        for relative in state_files(workspace, packages):
            _copy(workspace.var / relative, staging / STATE / relative)
        for relative in input_files(workspace):
            _copy(workspace.root / relative, staging / INPUTS / relative)
        contents = Contents(
            made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            root=str(workspace.root),
            commit=capture(workspace, ["git", "rev-parse", "--verify", "-q", "HEAD"]).stdout.strip(),
            packages=packages,
            files=digests(staging),
        )
        write_json(staging / LIST, contents.plain())
        sync_filesystem(staging)
        check(staging)
    return Backup(folder, len(contents.files), sum((folder / name).stat().st_size for name in contents.files))


def check(folder: Path) -> Contents:
    """Return the list of a backup after reading all of it.

    Raises:
        ValueError: it is no backup, a file is missing or changed, or a database in it is damaged.
    """
    contents = read_contents(folder)
    wrong = differences(folder, contents.files)
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(f"the backup {folder} is not whole: {', '.join(wrong[:3])}{more}; use another one")
    for name in DATABASES:
        if f"{STATE}/{name}" in contents.files and (why := databases.damage(folder / STATE / name)) is not None:
            raise ValueError(f"the backup {folder} is not whole: {STATE}/{name} {why}; use another one")
    return contents


def _sweep(workspace: Workspace, folder: Path, staging: Path) -> None:
    """Remove what backups that were killed had begun; the registry's lock keeps others that live away."""
    ours = folder.parent == workspace.root / "backups"
    for left in folder.parent.glob(".*.*.tmp" if ours else f".{folder.name}.*.tmp"):
        if left != staging and (left / STATE).is_dir():
            shutil.rmtree(left)


def _copy_databases(workspace: Workspace, target: Path) -> None:
    for name in DATABASES:
        source = workspace.var / name
        if not source.is_file():
            continue
        if (why := databases.trouble(source)) is not None:
            raise ValueError(f"{source} {why}, so there is nothing to copy; see `atelier doctor`")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        databases.copy(source, target / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _size(workspace: Workspace, packages: bool) -> int:
    there = [workspace.var / name for name in DATABASES if (workspace.var / name).is_file()]
    files = [*there, *(workspace.var / relative for relative in state_files(workspace, packages))]
    return sum(path.stat().st_size for path in files)
