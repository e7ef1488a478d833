"""`atelier prune`: what nothing names any more goes, by the retention in params.yaml.

Never what an alias or tag names. A version goes only when it is beyond the newest that are kept, no alias names it,
and the git tag that retrain gave it is gone too: `git tag -d monet/v3` is how a person lets go of version 3, and of
the data that it was made from.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.dvc import dvc
from pipeline.params import Prune
from pipeline.registry import delete
from pipeline.registry.named import Holding, Holdings, drop_run, holdings
from pipeline.terminal import capture
from pipeline.tracking import training_log
from pipeline.workspace import Workspace

Kind = Literal["version", "package", "run", "checkpoint", "log", "cache"]
PRUNER = "prune"
_DAY = 86_400.0  # seconds
_STRAY_AGE = 1.0  # days: younger ones may be a registration that is under way
_MLFLOW_GC = (sys.executable, "-P", "-m", "mlflow", "gc", "--backend-store-uri")
_GC = ("gc", "--workspace", "--all-branches", "--all-tags", "--force")


@dataclass(frozen=True)
class Item:
    """One thing that may go."""

    kind: Kind
    what: str
    size: int  # bytes; 0 where nobody can say
    path: Path | None = None
    name: str = ""  # of the model, or the run's id
    version: int = 0


@dataclass(frozen=True)
class Plan:
    """What would go, and sentences about what stays although its time is over."""

    items: tuple[Item, ...]
    remarks: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all that would go."""
        return sum(item.size for item in self.items)


def plan(workspace: Workspace, keep: Prune, now: float | None = None) -> Plan:
    """Return what may go. Changes nothing.

    Args:
        workspace: where.
        keep: how long what nothing names is kept.
        now: seconds since 1970; the clock's without.

    Raises:
        RegistryLostError: the registry's database is missing or damaged, so that nobody can say what is named.
    """
    now = time.time() if now is None else now
    held = holdings(workspace)
    tags = frozenset(capture(workspace, ["git", "tag", "--list"]).stdout.split())
    going, remarks = _versions(held, tags, keep)
    items = [
        *(Item("version", f"{one.name} version {one.version}", _size(one.folder), None, one.name, one.version)
          for one in going),
        *(Item("package", f"{path.name}, of no version", _size(path), path) for path in held.strays
          if _age(path, now) > _STRAY_AGE),
        *_runs(held, going, keep, now),
        *_checkpoints(workspace, held, keep, now),
        *_logs(workspace, keep, now),
    ]  # fmt: skip
    if keep.dvc_cache:
        unnamed = [one for one in held.versions if one.aliases and one.git_tag not in tags]
        if unnamed:
            which = ", ".join(f"{one.name} version {one.version} ({one.aliases[0]})" for one in unnamed)
            remarks.append(f"DVC's cache is left as it is: no git tag says what {which} was made from")
        else:
            items += _cache(workspace)
    return Plan(tuple(items), tuple(remarks))


def carry_out(workspace: Workspace, items: Sequence[Item]) -> None:
    """Let the items of a plan go. The caller keeps retrains away meanwhile.

    Raises:
        ValueError: one of them cannot go; those before it are gone. Run again, the rest goes.
    """
    for item in items:
        if item.kind == "version":
            delete(workspace, item.name, item.version, "beyond the retention of params.yaml", PRUNER)
        elif item.kind == "run":
            drop_run(workspace, item.name)
        elif item.kind != "cache" and item.path is not None:
            shutil.rmtree(item.path) if item.path.is_dir() else item.path.unlink(missing_ok=True)
    runs = [item.name for item in items if item.kind == "run"]
    if runs:
        _tool(workspace, [*_MLFLOW_GC, workspace.tracking_uri, "--run-ids", ",".join(runs)])
    if any(item.kind == "cache" for item in items):
        _tool(workspace, dvc(workspace, *_GC))


def _versions(held: Holdings, tags: frozenset[str], keep: Prune) -> tuple[list[Holding], list[str]]:
    """Return the versions that may go, and what stays only because a git tag names it."""
    models: dict[str, list[Holding]] = defaultdict(list)
    for one in held.versions:
        models[one.name].append(one)
    old = [one for versions in models.values() for one in versions[: -keep.versions] if not one.aliases]
    tagged = [one.git_tag for one in old if one.git_tag in tags]
    remarks = []
    if tagged:
        some = " ".join(tagged[:3]) + (" ..." if len(tagged) > 3 else "")
        remarks.append(
            f"{len(tagged)} old version(s) stay because git tags name them; `git tag -d {some}` lets them go"
        )
    return [one for one in old if one.git_tag not in tags], remarks


def _runs(held: Holdings, going: Sequence[Holding], keep: Prune, now: float) -> Iterator[Item]:
    """Yield the old runs that no version needs, those of versions that go now among them."""
    needed = {one.run for one in held.versions if one not in going}
    for run, (recipe, key, began) in held.runs.items():
        if run not in needed and now - began > keep.runs_days * _DAY:
            yield Item("run", f"run {run[:8]} of {recipe} ({key[:12]})", 0, None, run)


def _checkpoints(workspace: Workspace, held: Holdings, keep: Prune, now: float) -> Iterator[Item]:
    """Yield the old checkpoints of trainings that are neither a recipe's last nor of a version with an alias."""
    for recipe in sorted(workspace.checkpoints("*").parent.glob("*/")):
        log = training_log(workspace, recipe.name)
        kept = held.keys | ({log.key} if log else set())
        for folder in sorted(recipe.glob("*/")):
            if folder.name not in kept and _age(folder, now) > keep.checkpoints_days:
                yield Item("checkpoint", f"{recipe.name} {folder.name[:12]}", _size(folder), folder)


def _logs(workspace: Workspace, keep: Prune, now: float) -> Iterator[Item]:
    """Yield old logs, and old results of flows, which Prefect keeps for ever."""
    folders = (workspace.var / "logs", workspace.var / "prefect" / "storage")
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and _age(path, now) > keep.logs_days:
            yield Item("log", path.relative_to(workspace.root).as_posix(), path.stat().st_size, path)


def _cache(workspace: Workspace) -> Iterator[Item]:
    """Yield what DVC would drop: its own dry run tells."""
    if not (workspace.root / ".dvc").is_dir():
        return
    told = _tool(workspace, dvc(workspace, *_GC, "--dry"))
    paths = [Path(line) for line in re.findall(r"^Removing (.+)$", told, re.MULTILINE)]
    if paths:
        yield Item("cache", f"{len(paths)} objects of DVC's cache", sum(_size(path) for path in paths))


def _tool(workspace: Workspace, command: Sequence[str]) -> str:
    """Run `python -P -m TOOL VERB ...` and return its output."""
    done = capture(workspace, command)
    if done.returncode:
        raise ValueError(f"`{' '.join(command[3:5])}` failed: {' '.join(done.stderr.split())[-400:]}")
    return done.stdout


def _age(path: Path, now: float) -> float:
    """Return how many days ago anything in it was changed."""
    changed = (
        [each.lstat().st_mtime for each in (path, *path.rglob("*"))] if path.is_dir() else [path.stat().st_mtime]
    )
    return (now - max(changed)) / _DAY


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.lstat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size if path.exists() else 0
