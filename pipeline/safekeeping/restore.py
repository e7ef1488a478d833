"""`atelier restore`: a backup takes the place of var/ in one step; what was there is kept beside it."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline import databases
from pipeline.files import fsync_directory, require_free_space, sha256_file, sync_filesystem, write_atomic
from pipeline.process import exclusive
from pipeline.safekeeping.backup import check
from pipeline.safekeeping.contents import DATABASES, INPUTS, PACKAGES, STATE, Contents
from pipeline.tracking import store_lock
from pipeline.workspace import Workspace

_UNFINISHED = "restore.tmp"  # in a folder that is still being filled; it never is part of a backup
_SWAP = 2  # RENAME_EXCHANGE of renameat2


@dataclass(frozen=True)
class Restored:
    """What a restore did: whose backup it was, and where the state before it lies, if there was one."""

    contents: Contents
    before: Path | None
    moved: int  # paths in MLflow's database that were rewritten, because the workspace lies elsewhere now


def restore(workspace: Workspace, folder: Path, force: bool = False) -> Restored:
    """Put a backup's state in the place of the workspace's.

    Everything is copied and checked beside var/ first; then the two change places in one step, so that a crash leaves
    the old state or the new one. Run again, it begins anew.

    Args:
        workspace: where.
        folder: the backup.
        force: take the place of a state that is there; it is kept as `var.before-<time>/`.

    Raises:
        ValueError: the backup is not whole; without `force`, there is a state, or inputs that differ; a process has a
            database open; the disk is too small.
    """
    contents = check(folder)
    if not force:
        _refuse_to_overwrite(workspace, folder, contents)
    with ExitStack() as stack:
        stack.enter_context(exclusive(workspace.var / "retrain.lock", f"a retrain of {workspace.root}"))
        stack.enter_context(store_lock(workspace, "registry"))
        databases.refuse_while_used([workspace.var / name for name in DATABASES])
        _sweep(workspace)
        size = sum((folder / name).stat().st_size for name in contents.files)
        require_free_space(workspace.root, size, "the restore")
        # Filled under the name that the old state will have: then one step does all.
        staging = _unused(workspace.root / f"var.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        moved = _stage(workspace, folder, contents, staging)
        replaced = _replace_inputs(workspace, folder, contents)
        exchange(staging, workspace.var)
        (workspace.var / _UNFINISHED).unlink()
    if not replaced and not _has_state(staging):
        shutil.rmtree(staging)
        return Restored(contents, None, moved)
    return Restored(contents, staging, moved)


def exchange(one: Path, other: Path) -> None:
    """Let two paths of one file system change places, in one step.

    Raises:
        OSError: they cannot.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), _SWAP):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))
    fsync_directory(one.parent)


def _unused(path: Path) -> Path:
    """Return a path that nothing has: of two restores in one second, the second is numbered."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def _stage(workspace: Workspace, folder: Path, contents: Contents, staging: Path) -> int:
    """Copy a backup's state beside var/, for this place, and check what was written; return how many paths moved."""
    staging.mkdir()
    (staging / _UNFINISHED).touch()
    for name in contents.files:
        if name.startswith(f"{STATE}/"):
            target = staging / name.removeprefix(f"{STATE}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target)
            if sha256_file(target) != contents.files[name]:
                raise ValueError(f"{target} was not written as it was read; check the disk")
    moved = _move_paths(workspace, contents, staging / DATABASES[0])
    for name in DATABASES:
        if (staging / name).is_file() and (why := databases.damage(staging / name)) is not None:
            raise ValueError(f"{staging / name} {why} after it was written; check the disk")
    if not contents.packages and (workspace.artifacts).is_dir():
        shutil.copytree(workspace.artifacts, staging / PACKAGES, copy_function=os.link)
    sync_filesystem(staging)
    return moved


def _move_paths(workspace: Workspace, contents: Contents, database: Path) -> int:
    """Let MLflow's database speak of this place, if the backup was made at another."""
    if contents.root == str(workspace.root) or not database.is_file():
        return 0
    there, here = Workspace(Path(contents.root)).artifacts, workspace.artifacts
    return databases.move_paths(database, there.as_uri(), here.as_uri()) + databases.move_paths(
        database, str(there), str(here)
    )


def _sweep(workspace: Workspace) -> None:
    """Remove what restores that were killed had begun to fill."""
    for left in workspace.root.glob(f"var.before-*/{_UNFINISHED}"):
        shutil.rmtree(left.parent)
    (workspace.var / _UNFINISHED).unlink(missing_ok=True)


def _replace_inputs(workspace: Workspace, folder: Path, contents: Contents) -> bool:
    """Write the inputs that differ; those that were there are kept, in var/. Return whether there were any."""
    kept = False
    for relative in _differing(workspace, folder, contents):
        target = workspace.root / relative
        if target.is_file():
            write_atomic(workspace.var / "replaced" / relative, target.read_bytes())
            kept = True
        write_atomic(target, (folder / INPUTS / relative).read_bytes())
    return kept


def _refuse_to_overwrite(workspace: Workspace, folder: Path, contents: Contents) -> None:
    if _has_state(workspace.var):
        raise ValueError(
            f"{workspace.var} holds a registry already; with --force the backup takes its place, and what is there "
            f"is kept as var.before-<time>/"
        )
    present = [name for name in _differing(workspace, folder, contents) if (workspace.root / name).is_file()]
    if present:
        raise ValueError(
            f"{', '.join(map(str, present))} differ from the backup's, which was made at commit "
            f"{contents.commit[:12] or 'none'}; check that out, or let --force take the backup's"
        )


def _differing(workspace: Workspace, folder: Path, contents: Contents) -> list[Path]:
    inputs = [Path(name).relative_to(INPUTS) for name in contents.files if name.startswith(f"{INPUTS}/")]
    return [
        relative
        for relative in inputs
        if not (workspace.root / relative).is_file()
        or (workspace.root / relative).read_bytes() != (folder / INPUTS / relative).read_bytes()
    ]


def _has_state(var: Path) -> bool:
    return any((var / name).is_file() for name in (*DATABASES, "promotions.jsonl"))
