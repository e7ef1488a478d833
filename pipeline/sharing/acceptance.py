"""An edit of code that a person declares harmless: the stages it made stale are taken as they are (`dvc commit`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.dvc import dvc
from pipeline.params import load_params
from pipeline.plan import RecipePlan, plan
from pipeline.process import exclusive
from pipeline.recipes import load_book
from pipeline.sharing.declared import ACCEPTED, declare
from pipeline.sharing.git import UNATTENDED, attempt, git, identity, said
from pipeline.terminal import capture
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Accepted:
    """What was accepted."""

    recipes: tuple[str, ...]
    stages: tuple[str, ...]
    changes: tuple[str, ...]
    """Each file or command that had changed, in words."""
    commit: str | None
    """The commit that holds the new dvc.lock; None where a person has to make one."""
    open: tuple[str, ...]
    """Edits that are in no commit, with which dvc.lock belongs."""


def accept_code(workspace: Workspace, recipes: Sequence[str], reason: str = "") -> Accepted:
    """Let dvc.lock say that the stages of recipes, stale for their code alone, are as the code would make them.

    Nothing runs and no output changes. The recipes' next versions say so in their tags.

    Args:
        workspace: where.
        recipes: which; all without.
        reason: stands in the record.

    Raises:
        ValueError: a recipe is stale for anything else too, none is stale, a retrain runs, or DVC refuses.
    """
    with exclusive(workspace.var / "retrain.lock", f"a retrain of {workspace.root}"):
        book = load_book(workspace)
        wanted = [book.recipe(name).name for name in recipes] or list(book.recipes)
        plans = [each for each in plan(workspace) if each.recipe in wanted and each.stale]
        for each in plans:
            _require_code_alone(each)
        if not plans:
            raise ValueError(f"nothing is stale in {', '.join(wanted) or 'any recipe'}; there is nothing to accept")
        stages = _stages(plans)
        reasons = (reason for each in plans for stage in each.stages for reason in stage.reasons)
        changes = tuple(dict.fromkeys(reason.detail for reason in reasons if reason.kind == "code"))
        done = capture(workspace, dvc(workspace, "commit", "--force", *stages))
        if done.returncode != 0:
            raise ValueError(f"`dvc commit` failed: {said(done)}")
        left = [each.recipe for each in plan(workspace) if each.recipe in wanted and each.stale]
        if left:
            raise ValueError(f"{', '.join(left)}: still stale after `dvc commit`; see `atelier plan`")
        names = tuple(each.recipe for each in plans)
        sentence = f"{', '.join(changes)}: declared harmless" + (f": {reason.strip()}" if reason.strip() else "")
        for name in names:
            declare(workspace, ACCEPTED, name, sentence)
        commit, edits = _commit(workspace, names, sentence)
        return Accepted(names, stages, changes, commit, edits)


def _require_code_alone(found: RecipePlan) -> None:
    """Raise ValueError when a recipe is stale for more than its code."""
    for stage in found.stages:
        for reason in stage.reasons:
            if reason.kind not in ("code", "upstream"):
                raise ValueError(
                    f"{found.recipe} is not stale for its code alone: {stage.name}: {reason.detail} ({reason.kind}); "
                    f"`atelier retrain {found.recipe}` builds it"
                )


def _stages(plans: Sequence[RecipePlan]) -> tuple[str, ...]:
    """Return the stages that are stale by themselves; what merely follows them is not, once they count as fresh."""
    own = (s.name for p in plans for s in p.stages if any(reason.kind == "code" for reason in s.reasons))
    return tuple(dict.fromkeys(own))


def _commit(workspace: Workspace, recipes: Sequence[str], sentence: str) -> tuple[str | None, tuple[str, ...]]:
    """Commit dvc.lock alone, if the code that it now speaks of is committed, and params allow (retrain.commit)."""
    root = workspace.root
    edits = git(root, "status", "--porcelain", "--", "dvc.yaml", "pipeline").splitlines()
    names = tuple(sorted(line[3:] for line in edits))
    if names or not load_params(workspace.params_file).retrain.commit:
        return None, names
    if attempt(root, "diff", "--quiet", "HEAD", "--", "dvc.lock").returncode == 0:
        return git(root, "rev-parse", "HEAD"), ()
    message = f"Accept code of {', '.join(recipes)}\n\n{sentence}"
    git(root, *UNATTENDED, *identity(root), "commit", "-q", "--no-verify", "--only", "-m", message, "--", "dvc.lock")
    return git(root, "rev-parse", "HEAD"), ()
