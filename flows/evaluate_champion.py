"""Are the champions still as good on today's data? Scored anew, and held against what they were registered with."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import Any, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Failed

from flows.limits import in_turn, within
from flows.proc import Deadline, DeadlineError, run
from flows.show import markdown, note, say
from pipeline import drift, registry
from pipeline.dvc import dvc
from pipeline.params import load_params
from pipeline.plan import stages_of
from pipeline.recipes import Recipe, load_book
from pipeline.terminal import child_environment
from pipeline.workspace import Workspace, find_workspace

Found = dict[str, Any]


class ScoringError(Exception):
    """A champion could not be scored; the message says why."""


@flow(name="evaluate-champion", persist_result=True, result_serializer="json", validate_parameters=True)
def evaluate_champion(recipes: list[str] | None = None) -> State[list[Found]] | list[Found]:
    """Score production on today's held-out images and say what moved beyond noise since it was registered.

    Args:
        recipes: names from recipes.yaml; all that have a champion without.
    """
    workspace = find_workspace(Path.cwd())
    minutes = load_params(workspace.params_file).up.flow_minutes
    book, found, failed = load_book(workspace), [], []
    with within(minutes), in_turn(workspace):
        for recipe in [book.recipe(name) for name in recipes] if recipes else book.recipes.values():
            try:
                found += look(recipe.name, minutes)
            except (ScoringError, ValueError) as error:  # the others are scored all the same
                failed.append(recipe.name)
                say(f"{recipe.name}: not scored: {error}")
    markdown("\n".join(f"- {one['sentence']}" for one in found) or "There is no champion yet.", "drift")
    if failed:
        return cast("State[list[Found]]", Failed(message=f"not scored: {', '.join(failed)}", data=found))
    return found


@task(name="score", task_run_name="score {recipe}", cache_policy=NO_CACHE)
def look(recipe: str, minutes: float) -> list[Found]:
    """Score a recipe's champion, keep and show what came of it, and return that; nothing without a champion."""
    workspace = find_workspace(Path.cwd())
    champion = registry.champion(workspace, recipe)
    if champion is None:
        return []
    deadline = Deadline(minutes * 60)
    prepare(workspace, load_book(workspace).recipe(recipe), deadline)
    run_command(workspace, [sys.executable, "-P", "-m", "pipeline.drift", recipe], deadline)
    found = drift.last(workspace, recipe)
    assert found is not None
    say(str(found["sentence"]))
    return [{key: found[key] for key in ("recipe", "version", "sentence", "moved", "data_changed")}]


def prepare(workspace: Workspace, recipe: Recipe, deadline: Deadline) -> None:
    """Bring the held-out images up to date with what was ingested, which trains nothing but a style's first judge."""
    stages = [stage for stage in stages_of(recipe) if stage.startswith(("prepare", "judge", "group"))]
    run_command(workspace, dvc(workspace, "repro", *stages), deadline)


def run_command(workspace: Workspace, command: list[str], deadline: Deadline) -> None:
    """Run `python -P -m MODULE ARGUMENTS ...` in the workspace.

    Raises:
        ScoringError: it failed, or took too long.
    """
    tail: deque[str] = deque(maxlen=20)

    def take(line: str) -> None:
        tail.append(line)
        note(line)

    does = " ".join(command[3:5])
    try:
        code = run(
            command,
            cwd=workspace.root,
            env=child_environment(workspace),
            deadline=deadline,
            on_line=take,
        )
    except DeadlineError as error:
        raise ScoringError(f"{does}: {error} (up.flow_minutes)") from error
    if code:
        said = tail[-1].removeprefix("error: ") if tail else "no output"
        raise ScoringError(f"{does} failed (exit status {code}): {said}")
