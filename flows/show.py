"""What people see while a flow runs: lines on the terminal, and logs and artifacts in the Prefect UI."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger

from flows.environment import server_answers
from flows.stages import Board
from pipeline.due import Dueness
from pipeline.params import load_params
from pipeline.plan import RecipePlan
from pipeline.progress import Progress
from pipeline.quality import facts, summary
from pipeline.tracking import TrainingLog, experiment_of, training_log
from pipeline.workspace import Workspace

_SHEETS = {"overview": "Photographs and paintings", "worst": "Where it does worst: before, after, what was changed"}
_PICTURE = 900  # px
_LOGGER = logging.getLogger(__name__)


def say(sentence: str) -> None:
    """Tell the person at the terminal and the run's log in Prefect."""
    print(sentence, file=sys.stderr, flush=True)
    note(sentence)


def note(line: str) -> None:
    """Write to the run's log in Prefect alone."""
    with contextlib.suppress(Exception):  # outside of a run, or the server is gone: the work goes on
        get_run_logger().info(line)


def _shown(create: Any, *arguments: Any, **named: Any) -> Any:
    """Make an artifact; a server that does not answer costs the artifact, not the work it shows, nor its time.

    Prefect asks a server that it had found once for a minute, each time.
    """
    if not server_answers():
        return None
    try:
        return create(*arguments, **named)
    except Exception as error:
        _LOGGER.warning("Prefect took no artifact: %s", error)
        return None


def _key(*parts: str) -> str:
    """Return a legal artifact key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def markdown(text: str, *key: str) -> None:
    """Show a text in Prefect."""
    _shown(create_markdown_artifact, text, key=_key(*key))


def link(path: Path, text: str, *key: str) -> None:
    """Show a link to a local file in Prefect."""
    _shown(create_link_artifact, path.resolve().as_uri(), text, key=_key(*key))


def pictures(folder: Path, title: str, *key: str) -> None:
    """Show a report's overview and worst cases in Prefect, in the text itself: its UI opens no local file."""
    parts = [f"## {title}"]
    for name, words in _SHEETS.items():
        if (folder / f"{name}.jpg").is_file():
            parts += [f"### {words}", f"![{words}](data:image/jpeg;base64,{_light(folder / f'{name}.jpg')})"]
    markdown("\n\n".join(parts), *key)


def _light(path: Path) -> str:
    """Return a picture in base64, so reduced that the server's database does not grow by megabytes a run."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((_PICTURE, 2 * _PICTURE))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=72)
    return base64.b64encode(stream.getvalue()).decode()


def quality(workspace: Workspace, collection: str) -> None:
    """Show a collection's main figures and its training-set score in Prefect; a report is no reason to stop."""
    try:
        params = load_params(workspace.params_file)
        found = facts.gather(workspace, collection, params)
    except ValueError as error:
        note(f"no quality report on {collection}: {error}")
        return
    title = f"Quality of {summary.headline(found, params)}"
    _shown(create_table_artifact, summary.table(found, params), key=_key("quality", collection), description=title)


def show_plan(plans: Sequence[RecipePlan], due: Mapping[str, Dueness]) -> None:
    """Show in Prefect what a retrain will build, what not, and why."""
    words = {"current": "nothing to do", "due": "builds", "waits": "waits"}
    rows = [
        {
            "recipe": each.recipe,
            "": words[due[each.recipe].state],
            "why": due[each.recipe].why,
            "stages": ", ".join(stage.name for stage in each.stages if stage.reasons),
        }
        for each in plans
    ]
    _shown(create_table_artifact, rows, key="plan", description="What this retrain builds, and why")


def show_run(workspace: Workspace, recipe: str, run_id: str) -> None:
    """Show a link to a version's run in MLflow's pages."""

    def create() -> None:
        pages = load_params(workspace.params_file).serve.mlflow.rstrip("/")
        address = f"{pages}/#/experiments/{experiment_of(workspace, run_id)}/runs/{run_id}"
        create_link_artifact(address, f"Run of {recipe} in MLflow", key=_key("mlflow", recipe))

    _shown(create)


class BuildShow:
    """Shows one recipe's build: a table of its stages, and the training's progress from the trainer's own log."""

    def __init__(self, workspace: Workspace, recipe: str) -> None:
        """Show nothing yet."""
        self.workspace, self.recipe = workspace, recipe
        self.artifact: UUID | None = None
        self.bar: Progress | None = None
        self.offset = 0
        self.log: TrainingLog | None = None
        self.share = 0.0  # of the training, as last shown in Prefect

    def changed(self, board: Board) -> None:
        """Show the stages anew, and say which began."""
        if board.running:
            say(f"  {board.running} ...")
        _shown(
            create_table_artifact,
            board.table(),
            key=_key("stages", self.recipe),
            description=f"Stages of {self.recipe}",
        )

    def tick(self, board: Board) -> None:
        """Show how far the training is, if one runs."""
        if board.running != f"train@{self.recipe}":
            return
        log = training_log(self.workspace, self.recipe)
        if log is None or log.path.stat().st_mtime < board.since:
            return  # no log yet, or the one of the training before this
        if log != self.log:
            self.log, self.offset = log, 0
        events, self.offset = log.events(min(self.offset, log.path.stat().st_size))
        fresh = [event for event in events if event.time >= board.since and event.steps]
        if fresh:
            self._progress(fresh[-1].step, fresh[-1].steps)

    def _progress(self, step: int, steps: int) -> None:
        if self.bar is None:
            self.bar = Progress(f"  train@{self.recipe}", steps, done=step)
        self.bar.update(step)
        share = 100 * step / steps
        if self.artifact is None:
            self.artifact = _shown(create_progress_artifact, share, key=_key("training", self.recipe))
        elif share - self.share >= 1 or step >= steps:
            _shown(update_progress_artifact, self.artifact, share)
        self.share = share
