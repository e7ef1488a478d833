"""A commit checked out beside the workspace, with the workspace's DVC cache and remotes.

It is a git worktree: credentials, remotes and history are the repository's own. It is never on a branch, and the
workspace's own files, index and branch are not touched.
"""

from __future__ import annotations

import configparser
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.dvc import dvc
from pipeline.files import write_atomic
from pipeline.sharing.git import UNATTENDED, attempt, git, said
from pipeline.terminal import capture
from pipeline.workspace import Workspace

_PATHS = ("url", "keyfile", "credentialpath", "configpath")  # of a remote; a relative one counts from .dvc/


@contextmanager
def checked_out(
    workspace: Workspace, commit: str, folder: Path, *, remote: str = "", keep: bool = False
) -> Iterator[Workspace]:
    """Yield a worktree of a commit; afterwards it is gone, and so is what a killed one left there before.

    The caller holds a lock on `folder`.

    Args:
        workspace: whose repository, DVC cache and DVC remotes.
        commit: what to check out.
        folder: where, under `work/`.
        remote: DVC remote that counts as the default one there; empty: as in the workspace.
        keep: leave it when the block is over.

    Raises:
        GitError: there is no such commit, or git refused.
        ValueError: DVC is not set up in the workspace.
    """
    _drop(workspace, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Forced: the record of one whose folder is gone may still be there.
    git(workspace.root, *UNATTENDED, "worktree", "add", "--force", "--detach", str(folder), commit)
    try:
        _share_dvc(workspace, folder, remote)
        yield Workspace(folder)
    finally:
        if not keep:
            _drop(workspace, folder)


def _drop(workspace: Workspace, folder: Path) -> None:
    attempt(workspace.root, *UNATTENDED, "worktree", "remove", "--force", "--force", str(folder))
    shutil.rmtree(folder, ignore_errors=True)


def _share_dvc(workspace: Workspace, folder: Path, remote: str) -> None:
    """Give a worktree the workspace's DVC settings, also those that a person has not committed, and its cache."""
    asked = capture(workspace, dvc(workspace, "cache", "dir"))
    if asked.returncode != 0:
        raise ValueError(f"DVC does not tell where its cache lies: {said(asked)}")
    home = workspace.root / ".dvc"
    settings = configparser.RawConfigParser(strict=False)
    settings.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    settings.read([home / "config", home / "config.local"])
    for name in settings.sections():
        for option in _PATHS if "remote" in name else ():
            value = settings.get(name, option, fallback="")
            if value and "://" not in value and not value.startswith("~"):
                settings.set(name, option, str((home / value).resolve()))
    wanted = {"cache": {"dir": asked.stdout.strip()}, **({"core": {"remote": remote}} if remote else {})}
    for section, options in wanted.items():
        if not settings.has_section(section):
            settings.add_section(section)
        for option, value in options.items():
            settings.set(section, option, value)
    lines = []
    for name in settings.sections():
        lines += [f"[{name}]", *(f"    {option} = {value}" for option, value in settings.items(name))]
    path = folder / ".dvc" / "config.local"
    write_atomic(path, "\n".join(lines) + "\n")
    path.chmod(0o600)  # it may hold credentials
