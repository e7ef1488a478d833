"""What is stale and why: `dvc status`, read for each recipe as data, params, code or output. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.dvc import dvc
from pipeline.lockfile import check_lock
from pipeline.params import Tree, load_params, merge, read_tree
from pipeline.presets import Change, differences
from pipeline.recipes import Book, Recipe, load_book
from pipeline.terminal import capture
from pipeline.workspace import Workspace

# What DVC says while another of its commands holds the repository, or a file of it.
_IN_USE = ("Unable to acquire lock", "is busy, it is being blocked by")

_MEMBERS = {"group": "prepare", "group_judge": "judge"}  # a stage of a group's style -> what it follows

Kind = Literal["new", "data", "params", "code", "output", "upstream"]


@dataclass(frozen=True)
class Reason:
    """One reason why a stage would run."""

    kind: Kind
    detail: str


@dataclass(frozen=True)
class StagePlan:
    """One stage of a recipe: it would run if it has a reason to."""

    name: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class RecipePlan:
    """The stages of a recipe in the order in which they run."""

    recipe: str
    stages: tuple[StagePlan, ...]

    @property
    def stale(self) -> bool:
        """Whether anything would run."""
        return any(stage.reasons for stage in self.stages)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Why, in short: the kinds of reasons, without what merely follows from an earlier stage."""
        found = {reason.kind for stage in self.stages for reason in stage.reasons} - {"upstream"}
        order: tuple[Kind, ...] = ("new", "data", "params", "code", "output")
        return tuple(kind for kind in order if kind in found)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"recipe": self.recipe, "stale": self.stale, "why": list(self.kinds), **asdict(self)}


def stages_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of a recipe's stages in dvc.yaml, in the order in which they run."""
    name, group = recipe.name, recipe.group
    prepared = ["prepare_photos", *(f"{kind}@{style}" for style in recipe.styles for kind in ("prepare", "judge"))]
    if group:
        prepared += [f"{kind}@{group}-{style}" for style in recipe.styles for kind in ("group", "group_judge")]
    return (*prepared, f"train@{name}", f"package@{name}", f"evaluate@{name}")


def plan(workspace: Workspace) -> list[RecipePlan]:
    """Return what would run for every recipe, and why.

    Raises:
        ValueError: parameters or recipes are wrong, dvc.lock is damaged, or DVC cannot tell (it is running, or not
            set up).
    """
    book = load_book(workspace)
    if not book.recipes:
        return []
    load_params(workspace.params_file)
    check_lock(workspace)
    files = (workspace.params_file, workspace.recipes_file)
    values = {path.name: read_tree(path) for path in files}
    return explain(read_status(workspace), _read_lock(workspace), values, book)


def read_status(workspace: Workspace) -> Tree:
    """Return what `dvc status --json` says: stage or `.dvc` file -> list of changes.

    Raises:
        ValueError: DVC does not answer.
    """
    if not (workspace.root / ".dvc").is_dir():
        raise ValueError(f"{workspace.root} has no .dvc folder; run `dvc init` there (in a git repository)")
    done = capture(workspace, dvc(workspace, "status", "--json"))
    if done.returncode != 0:
        said = " ".join(done.stderr.split()).removeprefix("ERROR: ")
        if any(words in said for words in _IN_USE):
            said = f"another DVC command is running here ({said})"
        raise ValueError(f"`dvc status` failed: {said or f'exit status {done.returncode}'}")
    status: Tree = json.loads(done.stdout or "{}")
    return status


def explain(
    status: Mapping[str, Any], lock: Mapping[str, Any], values: Mapping[str, Tree], book: Book
) -> list[RecipePlan]:
    """Return every recipe's plan.

    Args:
        status: DVC's status: stage -> changes.
        lock: the stages in dvc.lock.
        values: parameter file -> its values now.
        book: the recipes.
    """
    return [_recipe_plan(recipe, status, lock, values) for recipe in book.recipes.values()]


def _recipe_plan(
    recipe: Recipe, status: Mapping[str, Any], lock: Mapping[str, Any], values: Mapping[str, Tree]
) -> RecipePlan:
    stages: list[StagePlan] = []
    for name in stages_of(recipe):
        if name in status and name not in lock:
            reasons = [Reason("new", "never built")]
        else:
            changes = status.get(name, [])
            reasons = [reason for change in changes for reason in _read(change, lock.get(name) or {}, values)]
        first = next((stage.name for stage in stages if stage.reasons and _feeds(stage.name, name)), None)
        if first and not any(reason.kind == "new" for reason in reasons):
            reasons.append(Reason("upstream", f"follows {first}"))
        stages.append(StagePlan(name, tuple(reasons)))
    return RecipePlan(recipe.name, tuple(stages))


def _feeds(earlier: str, later: str) -> bool:
    """Whether a change of `earlier` makes `later` run: the collections do not feed each other, nor the frozen judge.

    The judge is none of what a model is made from: it feeds the evaluation alone.
    """
    (before, what), (after, whom) = (name.partition("@")[::2] for name in (earlier, later))
    if after in _MEMBERS:
        return before == _MEMBERS[after] and whom.endswith(f"-{what}")
    if before in ("judge", "group_judge"):
        return after == "evaluate"
    return not (before.startswith("prepare") and after in ("prepare_photos", "prepare", "judge"))


def _read(change: Any, locked: Mapping[str, Any], values: Mapping[str, Tree]) -> list[Reason]:
    """Return the reasons in one entry of DVC's status."""
    if change == "changed command":
        return [Reason("code", "the stage's command in dvc.yaml changed")]
    if not isinstance(change, Mapping):
        return [Reason("code", str(change))]
    reasons = [
        Reason("output", f"{path} is {'missing' if how == 'deleted' else how}")
        for path, how in change.get("changed outs", {}).items()
    ]
    for path, how in change.get("changed deps", {}).items():
        if path in values:
            reasons += _params_reasons(path, how, locked, values[path])
        elif path.endswith(".py"):
            reasons.append(Reason("code", f"{path} {how}"))
        else:
            reasons.append(Reason("data", f"{path} {how}"))
    return reasons


def _params_reasons(file: str, how: Any, locked: Mapping[str, Any], now: Tree) -> list[Reason]:
    """Return one reason a changed value, with both values where dvc.lock holds the old one."""
    if not isinstance(how, Mapping):
        return [Reason("params", f"{file} {how}")]
    before: Mapping[str, Any] = (locked.get("params") or {}).get(file) or {}
    reasons: list[Reason] = []
    for key in how:
        old, new = before.get(key), _at(now, key)
        changes: list[Change] = [(key, old, new)]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes = differences(old, new, f"{key}.")
        reasons += [Reason("params", f"{name} {was} -> {is_now}") for name, was, is_now in changes]
    return reasons


def _at(tree: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _read_lock(workspace: Workspace) -> Tree:
    path = workspace.root / "dvc.lock"
    if not path.is_file():
        return {}
    stages = read_tree(path).get("stages")
    return merge(stages, {}) if isinstance(stages, Mapping) else {}
