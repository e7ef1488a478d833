"""Ways in which a GAN goes wrong, watched for on a fixed panel while it trains; and which of its states was best.

What is looked at is the panel's business (`pipeline.panels`, one module a task); when it counts, what it means for
the training and which weights are kept is decided here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.panels.base import Panel
from pipeline.params import Train

State = dict[str, Any]


@dataclass(frozen=True)
class Sight:
    """What one watch saw: every figure by name, and a sentence about each rule that has just been broken for good."""

    figures: dict[str, float]
    alarms: list[str]


class Watch:
    """Looks at the averaged generator now and then, counts what is beyond its limit, and keeps the best weights."""

    def __init__(self, settings: Train, panel: Panel, warmup: int, device: torch.device) -> None:
        """Begin to count `train.collapse.after` steps behind a warm-up of `warmup` steps."""
        self.settings, self.converged = settings.collapse, settings.converged
        self.begin = warmup + self.settings.after
        self.alarms: list[dict[str, Any]] = []
        """All alarms so far: {"step", "why"}."""
        self.best: State = {}
        """{"step", "validation", "weights"} of the best watch behind the warm-up."""
        self._warmup, self._panel = warmup, panel
        self._validations: list[float] = []  # of the watches that count
        self._in_a_row = dict.fromkeys((rule.figure for rule in panel.rules), 0)
        self._right = torch.zeros(2, device=device)  # sum of accuracies, number of steps

    def count(self, accuracy: Tensor | None) -> None:
        """Take note of a step's accuracy of the discriminator, where it has one; this does not wait for it."""
        if accuracy is not None:
            self._right += torch.stack([accuracy, torch.ones_like(accuracy)])

    @torch.no_grad()
    def look(self, network: nn.Module, step: int) -> Sight:
        """Look at a network after `step` steps."""
        figures = self._panel.look(network)
        total, steps = self._right.tolist()
        if steps:
            figures["accuracy"] = total / steps
        self._right.zero_()
        if step > self._warmup and figures["validation"] < self.best.get("validation", float("inf")):
            weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}
            self.best = {"step": step, "validation": figures["validation"], "weights": weights}
        if step >= self.begin:
            self._validations.append(figures["validation"])
        return Sight(figures, self._judge(figures, step) if step >= self.begin else [])

    @property
    def uneasy(self) -> bool:
        """Whether a limit was passed at the last watch: nothing to go back to."""
        return any(self._in_a_row.values())

    @property
    def settled(self) -> bool:
        """Whether `train.converged` says that training has nothing more to give.

        The best validation of the last `window` watches is no better than the best before them, less the share
        `tolerance`. It follows from the figures alone, so the same training stops at the same step everywhere.
        """
        window = self.converged.window
        if not window or len(self._validations) <= window:
            return False
        before, lately = min(self._validations[:-window]), min(self._validations[-window:])
        return not lately < before * (1 - self.converged.tolerance)

    def state(self) -> State:
        """Return what resuming needs."""
        return {
            "in_a_row": dict(self._in_a_row),
            "right": self._right,
            "alarms": self.alarms,
            "best": self.best,
            "validations": list(self._validations),
        }

    def load(self, state: State) -> None:
        """Go back to a `state`."""
        self._in_a_row = dict(state["in_a_row"])
        self._right.copy_(state["right"])
        self.alarms = list(state["alarms"])
        self.best = dict(state["best"])
        self._validations = list(state["validations"])

    def _judge(self, figures: dict[str, float], step: int) -> list[str]:
        said = []
        for rule in self._panel.rules:
            value = figures.get(rule.figure)
            broken = value is not None and rule.broken(value, self.settings)
            self._in_a_row[rule.figure] = self._in_a_row[rule.figure] + 1 if broken else 0
            if value is not None and self._in_a_row[rule.figure] == self.settings.patience:
                bound = asdict(self.settings)[rule.limit]
                said.append(f"{rule.sentence.format(value)} (train.collapse.{rule.limit} is {bound:g})")
        self.alarms += [{"step": step, "why": why} for why in said]
        return said
