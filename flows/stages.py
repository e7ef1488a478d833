"""`dvc repro` as a flow sees it: which stage runs, which was skipped, which failed and why."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from flows.proc import Deadline, DeadlineError, run
from pipeline.dvc import dvc
from pipeline.params import Params
from pipeline.plan import stages_of
from pipeline.recipes import Recipe
from pipeline.terminal import child_environment
from pipeline.workspace import Workspace

State = Literal["waiting", "running", "done", "unchanged", "from cache", "failed"]
_RUNNING = re.compile(r"Running stage '([^']+)'")
_UNCHANGED = re.compile(r"^(?:Stage )?'([^']+)' didn't change, skipping")
_CACHED = re.compile(r"^Stage '([^']+)' is cached - skipping run")
_FAILED = re.compile(r"^ERROR: failed to reproduce '([^']+)'")
_TAIL = 200  # lines of output kept to explain a failure


class StageFailedError(Exception):
    """A stage of a recipe failed; the message says which and why, in one sentence."""


@dataclass
class Board:
    """The state of each stage of a recipe, read from the output of `dvc repro`."""

    stages: dict[str, State]
    seconds: dict[str, float] = field(default_factory=dict)
    running: str | None = None
    since: float = 0.0  # when it began, seconds since 1970

    def read(self, line: str) -> bool:
        """Take in a line of output; return whether a stage's state changed."""
        for pattern, state in _READINGS:
            found = pattern.search(line)
            if found and found[1] in self.stages:
                self._end("failed" if state == "failed" else "done")
                self.stages[found[1]] = state
                if state == "running":
                    self.running, self.since = found[1], time.time()
                return True
        return False

    def close(self, succeeded: bool) -> None:
        """Settle the stage that was running at the end."""
        self._end("done" if succeeded else "failed")

    @property
    def ran(self) -> list[str]:
        """Stages whose command was run."""
        return [name for name, state in self.stages.items() if state in ("done", "failed", "running")]

    def table(self) -> list[dict[str, str | float]]:
        """Return one row a stage: stage, state, seconds."""
        return [
            {"stage": name, "state": state, "seconds": round(self.seconds.get(name, 0.0), 1)}
            for name, state in self.stages.items()
        ]

    def _end(self, state: State) -> None:
        if self.running is not None:
            self.stages[self.running] = state
            self.seconds[self.running] = time.time() - self.since
            self.running = None


_READINGS: tuple[tuple[re.Pattern[str], State], ...] = (
    (_RUNNING, "running"),
    (_UNCHANGED, "unchanged"),
    (_CACHED, "from cache"),
    (_FAILED, "failed"),
)


def reproduce(
    workspace: Workspace,
    recipe: Recipe,
    params: Params,
    *,
    on_line: Callable[[str], None],
    on_change: Callable[[Board], None],
    on_tick: Callable[[Board], None],
) -> Board:
    """Bring a recipe up to date with `dvc repro evaluate@<recipe>` and return what each stage did.

    Args:
        workspace: where.
        recipe: which.
        params: `retrain.stage_timeout_minutes` is the time each single stage has.
        on_line: called with each line of output.
        on_change: called when a stage's state changed.
        on_tick: called about every second.

    Raises:
        StageFailedError: a stage failed or took too long.
    """
    board = Board(dict.fromkeys(stages_of(recipe), "waiting"))
    deadline = Deadline(params.retrain.stage_timeout_minutes * 60)
    tail: deque[str] = deque(maxlen=_TAIL)

    def take(line: str) -> None:
        tail.append(line)
        on_line(line)
        if board.read(line):
            deadline.restart()
            on_change(board)

    command = dvc(workspace, "repro", f"evaluate@{recipe.name}")
    try:
        code = run(
            command,
            cwd=workspace.root,
            env=child_environment(workspace),
            deadline=deadline,
            on_line=take,
            on_tick=lambda: on_tick(board),
        )
    except DeadlineError:
        late = board.running or "dvc repro"
        board.close(succeeded=False)
        on_change(board)
        minutes = params.retrain.stage_timeout_minutes
        raise StageFailedError(
            f"{late} took longer than retrain.stage_timeout_minutes ({minutes:g}) and was stopped; the next retrain "
            f"resumes from its checkpoint, or raise the limit"
        ) from None
    board.close(succeeded=code == 0)
    on_change(board)
    if code != 0:
        raise StageFailedError(_why(board, list(tail), code))
    return board


def _why(board: Board, tail: list[str], code: int) -> str:
    """Return one sentence on a failure: the stage's own where it gave one."""
    stage = next((name for name, state in board.stages.items() if state == "failed"), "dvc repro")
    told = [line.partition("error: ")[2] for line in tail if line.startswith("error: ")]
    if told:
        return f"{stage} failed: {told[-1]}"
    # Not DVC's own last word, "failed to run: ..., exited with 1": the line before it says more.
    said = [line.strip() for line in tail if not line.startswith(("ERROR: failed to reproduce", ">"))]
    return f"{stage} failed (exit status {code}): {said[-1] if said else 'no output'}"
