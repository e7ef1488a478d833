"""What a studio shares with others in the tests: a bare git remote, a DVC remote, a colleague's clone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import git
from tests.flows.studio import command

WHO = ("-c", "user.name=A Colleague", "-c", "user.email=colleague@localhost")


@dataclass
class Team:
    """A studio and the places that it publishes to."""

    root: Path
    bare: Path
    store: Path

    def publish(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(self.root, "flows", "publish", *arguments)

    def tip(self, ref: str = "refs/heads/main") -> str:
        return git(self.bare, "rev-parse", ref)

    def clone(self, name: str) -> Path:
        target = self.bare.parent / name
        git(self.bare.parent, "clone", "-q", "-b", "main", str(self.bare), str(target))
        return target

    def colleague(self, old: str, new: str, file: str = "params.yaml", branch: str = "main") -> str:
        """Let a colleague change a file and push it; return the commit."""
        clone = self.clone(f"colleague-{branch}-{len(list(self.bare.parent.iterdir()))}")
        text = (clone / file).read_text()
        assert old in text
        (clone / file).write_text(text.replace(old, new, 1))
        git(clone, *WHO, "commit", "-q", "-a", "-m", "A colleague's change")
        git(clone, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return git(clone, "rev-parse", "HEAD")

    def build(self, text: str, tag: str) -> str:
        """Make a commit as a retrain would, here of a comment in recipes.yaml, with a version's tag."""
        path = self.root / "recipes.yaml"
        path.write_text(path.read_text() + f"# {text}\n")
        git(self.root, "commit", "-q", "--only", "-m", f"Build ink ({text})", "--", "recipes.yaml")
        git(self.root, "tag", tag)
        return git(self.root, "rev-parse", "HEAD")


def team_of(root: Path) -> Team:
    """Give a studio a bare git remote `origin` and a default DVC remote, both beside it; publish nothing yet."""
    bare, store = root.parent / "remote.git", root.parent / "store"
    git(root.parent, "init", "-q", "--bare", "-b", "main", str(bare))
    # Both relative, as a person may name them, and DVC's in no commit yet.
    git(root, "remote", "add", "origin", "../remote.git")
    dvc(root, "remote", "add", "--default", "store", "../store")
    return Team(root, bare, store)


def dvc(root: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run DVC in a folder, with that folder's code."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=check,
    )


def stale(root: Path) -> subprocess.CompletedProcess[str]:
    """Run what a CI without data runs: does dvc.lock describe what is checked out?"""
    stages = dvc(root, "stage", "list", "--name-only").stdout.split()
    return dvc(
        root, "repro", "--allow-missing", "--dry", *(s for s in stages if s.startswith("evaluate@")), check=False
    )
