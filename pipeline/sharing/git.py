"""git, called so that it asks nobody, runs nobody's hooks, and says in English what went wrong."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# In a git hook these name the repository that called, whatever the folder.
_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
# Hooks and signatures are for what people do: at night nobody answers them.
UNATTENDED = ("-c", f"core.hooksPath={os.devnull}", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false")


class GitError(ValueError):
    """git refused; the message is what it said."""


def git(root: Path, *arguments: str) -> str:
    """Run git in a folder and return what it printed, without the last line feed.

    Raises:
        GitError: it refused.
    """
    done = attempt(root, *arguments)
    if done.returncode != 0:
        name = next((each for each in arguments if not each.startswith("-") and "=" not in each), "git")
        raise GitError(f"git {name}: {said(done)}")
    return done.stdout.strip("\n")


def attempt(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder; its exit status is the caller's to judge."""
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def environment() -> dict[str, str]:
    """Return the environment under which git asks nothing and answers in English."""
    inherited = {key: value for key, value in os.environ.items() if key not in _PLACES}
    return {**inherited, "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C"}


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command said when it failed, on one line."""
    return " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"


def identity(root: Path) -> list[str]:
    """Return options that name a committer where git knows none, as on a fresh machine."""
    if attempt(root, "var", "GIT_COMMITTER_IDENT").returncode == 0:
        return []
    return ["-c", "user.name=Style Atelier", "-c", "user.email=atelier@localhost"]


def is_ancestor(root: Path, earlier: str, later: str) -> bool:
    """Whether one commit is the other or lies in its history."""
    return attempt(root, "merge-base", "--is-ancestor", earlier, later).returncode == 0


def commit_of(root: Path, name: str) -> str | None:
    """Return the commit that a branch, tag or hash names, or None where it names none here."""
    done = attempt(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return done.stdout.strip() if done.returncode == 0 else None
