"""The workspace's git history: what a version was made from, committed and tagged. Touches no other file."""

from __future__ import annotations

from pathlib import Path

from pipeline.intake.tombstones import tombstones_file
from pipeline.sharing.git import GitError, identity
from pipeline.sharing.git import git as run_git
from pipeline.workspace import Workspace

__all__ = ["GitError", "commit", "head", "tag", "uncommitted_inputs"]

# What else decides a result; a person commits these.
_INPUTS = ("dvc.yaml", "pipeline")


def commit(workspace: Workspace, message: str) -> str:
    """Commit what decided a retrain (lock file, parameters, recipes, data, removals) if it changed, and return HEAD.

    Whatever else is staged or changed stays as it is, and in no commit of ours.

    Raises:
        GitError: git refused.
    """
    paths = [path.relative_to(workspace.root).as_posix() for path in _ours(workspace)]
    if paths and _git(workspace, "status", "--porcelain", "--", *paths):
        _git(workspace, "add", "--", *paths)
        # Not through hooks: they are for people's changes, and could stop a retrain at night.
        who = identity(workspace.root)
        _git(workspace, *who, "commit", "-q", "--no-verify", "--only", "-m", message, "--", *paths)
    return head(workspace)


def head(workspace: Workspace) -> str:
    """Return the commit that is checked out.

    Raises:
        GitError: there is no commit yet, or no repository.
    """
    return _git(workspace, "rev-parse", "--verify", "HEAD")


def uncommitted_inputs(workspace: Workspace) -> list[str]:
    """Return the files a result depends on that differ from HEAD and that `commit` leaves to a person."""
    lines = _git(workspace, "status", "--porcelain", "--", *_INPUTS).splitlines()
    return sorted(line.strip().split(maxsplit=1)[1] for line in lines)


def tag(workspace: Workspace, name: str, commit_id: str) -> None:
    """Tag a commit; a tag that is there stays.

    Raises:
        GitError: git refused.
    """
    if not _git(workspace, "tag", "--list", name):
        _git(workspace, "tag", name, commit_id)


def _ours(workspace: Workspace) -> list[Path]:
    data = workspace.root / "data"
    candidates = [
        workspace.root / "dvc.lock",
        workspace.params_file,
        workspace.recipes_file,
        data / ".gitignore",
        tombstones_file(workspace),
        data / "styles" / ".gitignore",
        *sorted(data.glob("*.dvc")),
        *sorted((data / "styles").glob("*.dvc")),
        *sorted((data / "licences").glob("*.txt")),
        workspace.root / "warm" / ".gitignore",
        *sorted((workspace.root / "warm").glob("*.dvc")),
    ]
    return [path for path in candidates if path.is_file()]


def _git(workspace: Workspace, *arguments: str) -> str:
    return run_git(workspace.root, *arguments)
