"""The course of a run: its state, saved and found again, and the way back to the last good checkpoint.

What a run ends in must not depend on when it was stopped or killed. So it goes back only to checkpoints of a fixed
grid, every `train.checkpoint_every` steps, and never to one that was written because somebody pressed Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.checkpoints import drop_checkpoints, load_newest, save_checkpoint
from pipeline.collapse import Watch
from pipeline.params import Train
from pipeline.trainer import Health, Trainer

State = dict[str, Any]


class Course:
    """Where a run is, what it went through, and its checkpoints."""

    def __init__(self, folder: Path, settings: Train, trainer: Trainer, watch: Watch) -> None:
        """Keep the checkpoints of `trainer` and `watch` in `folder`, which this process has locked."""
        self.folder, self.settings, self.trainer, self.watch = folder, settings, trainer, watch
        self.rollbacks: list[dict[str, Any]] = []
        """What went wrong so far: {"at": step, "to": step, "why": a sentence}."""
        self._good = 0
        self._device = trainer.bad_total.device

    def begin(self) -> int:
        """Go to the newest checkpoint that is whole and return its step; where there is none, make that of step 0."""
        state = load_newest(self.folder, self._device)
        if state is None:
            self.save(0, good=True)
            return 0
        return self._load(state)

    def save(self, step: int, good: bool) -> None:
        """Write the checkpoint after `step` steps; a `good` one is what `go_back` goes back to.

        Raises:
            ValueError: it could not be written; the one before it is kept.
        """
        if good:
            self._good = step
        parts = {"trainer": self.trainer.state(), "watch": self.watch.state()}
        state = parts | {"step": step, "good": self._good, "rollbacks": self.rollbacks}
        save_checkpoint(self.folder, step, state, self.settings.keep_checkpoints, spare=self._good)

    def go_back(self, step: int, why: str) -> int:
        """Go from `step` back to the last good checkpoint, train more slowly from there, and return its step.

        Args:
            step: how many steps were done.
            why: a sentence without a full stop.

        Raises:
            ValueError: it went back `train.max_rollbacks` times already; the checkpoint is kept.
        """
        state = load_newest(self.folder, self._device, until=self._good)
        assert state is not None, "the first checkpoint is written before the first step"
        if len(state["rollbacks"]) >= self.settings.max_rollbacks:
            raise ValueError(
                f"training stopped at step {step}: {why}; it went back and slowed down {len(state['rollbacks'])} "
                f"times (train.max_rollbacks). The checkpoint after step {state['step']} is kept; lower "
                f"train.learning_rate"
            )
        self._load(state)
        self.rollbacks.append({"at": step, "to": state["step"], "why": why})
        self.trainer.slow_down(self.settings.rollback_rate)
        # What is newer goes first: killed here, the process resumes before the trouble and comes the same way.
        drop_checkpoints(self.folder, after=state["step"])
        self.save(state["step"], good=True)
        return self._good

    def at_ease(self) -> bool:
        """Whether nothing is going wrong, so that it may be gone back to; on a GPU this waits."""
        uneasy = self.settings.collapse.action == "rollback" and self.watch.uneasy
        return not uneasy and not self.trainer.health().bad_in_a_row

    def hear(self, alarms: Sequence[str], step: int) -> str | None:
        """Do what `train.collapse.action` says about alarms; return what is wrong if that is to go back, else None.

        Raises:
            ValueError: it is to stop.
        """
        action = self.settings.collapse.action
        if not alarms:
            return None
        if action == "stop":
            raise ValueError(
                f"training stopped at step {step}: {'; '.join(alarms)}. The checkpoint before it is kept; change the "
                f"method's weights, or set train.collapse.action to 'warn'"
            )
        if action == "rollback":
            return "; ".join(alarms)
        print(f"\nwarning: at step {step} {'; '.join(alarms)}", file=sys.stderr)
        return None

    def story(self) -> dict[str, Any]:
        """Return what the run went through, for its report."""
        settings = asdict(self.settings.collapse)
        return {
            "rollbacks": self.rollbacks,
            "skipped_steps": self.trainer.health().bad_total,
            "alarms": self.watch.alarms,
            "watched_from": self.watch.begin,
            "limits": {key: value for key, value in settings.items() if key.startswith(("min_", "max_"))},
        }

    def _load(self, state: State) -> int:
        self.trainer.load(state["trainer"])
        self.watch.load(state["watch"])
        self.rollbacks = list(state["rollbacks"])
        self._good = state["good"]
        step: int = state["step"]
        return step


def bad_steps(health: Health, settings: Train) -> str | None:
    """Return what is wrong when too many steps in a row were skipped, else None."""
    if health.bad_in_a_row < settings.max_bad_steps:
        return None
    return (
        f"{health.bad_in_a_row} steps in a row gave a loss or a gradient that is not finite (train.max_bad_steps is "
        f"{settings.max_bad_steps})"
    )


def not_finite(state: State) -> str | None:
    """Return what is wrong when a tensor in a nested state is not finite, else None; on a GPU this waits."""
    tensors = [tensor for tensor in _tensors(state) if tensor.is_floating_point()]
    if torch.stack([tensor.isfinite().all().cpu() for tensor in tensors]).all():
        return None
    return "the networks hold numbers that are not finite"


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
