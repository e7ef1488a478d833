"""Ways in which a GAN goes wrong, watched for on a fixed panel while it trains; and which of its states was best.

The panel is made of training crops: held-out images are for the evaluation alone, and nothing here is shared with
what `pipeline.metrics` measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import losses
from pipeline.params import Collapse, Train

State = dict[str, Any]
PANEL = 12  # crops of each kind
_CELLS = 16  # a picture's composition: averages over a grid of this many cells a side
_FLOOR = 1e-3  # beside which no distance is small


@dataclass(frozen=True)
class Panel:
    """The same crops at every watch: photographs and paintings, (N, 3, H, W) each, in [-1, 1]."""

    photos: Tensor
    paintings: Tensor


@dataclass(frozen=True)
class Rule:
    """One way to collapse: the figure that shows it, its limit in `train.collapse`, and a sentence about a value."""

    figure: str
    limit: str
    sentence: str

    def broken(self, value: float, settings: Collapse) -> bool:
        """Whether a value is beyond the limit; one that is no number is."""
        bound = asdict(settings)[self.limit]
        return not (value <= bound if self.limit.startswith("max") else value >= bound)


RULES = (
    Rule("diversity", "min_diversity", "the outputs look alike: they differ {:.2f} times as much as the photographs"),
    Rule("change", "min_change", "the generator copies its input: it changes a pixel by {:.3f} of the range"),
    Rule("light", "min_light", "light and dark are lost or exchanged: correlation with the photograph's {:.2f}"),
    Rule("accuracy", "max_accuracy", "the discriminator is right {:.1%} of the time: it teaches nothing"),
)


@dataclass(frozen=True)
class Sight:
    """What one watch saw: every figure by name, and a sentence about each rule that has just been broken for good."""

    figures: dict[str, float]
    alarms: list[str]


def examine(photos: Tensor, outputs: Tensor) -> dict[str, float]:
    """Return the figures of a panel, both (N, 3, H, W) in [-1, 1].

    Returns:
        `diversity`, how much the outputs' compositions differ from each other, 1 being as much as the photographs';
        `change`, the mean change of a pixel, 1 being from black to white; `light`, the mean correlation of an
        output's luminance with the photograph's, -1 to 1.
    """
    before, after = (_centred(_composition(losses.luminance(x))) for x in (photos, outputs))
    light = F.cosine_similarity(before, after, dim=1)
    return {
        "diversity": float(_apart(_composition(outputs)) / (_apart(_composition(photos)) + _FLOOR)),
        "change": float((outputs - photos).abs().mean() / 2),
        "light": float(light.mean()),
    }


class Validation:
    """How far a panel's outputs are from what is wanted: the paintings' hand, the photographs' subject.

    The mean, over texture, palette and contrast, of the distance to the paintings in parts of the untouched
    photographs' own, and the structure that was lost: 1 is what the photographs score, less is better.
    """

    def __init__(self, panel: Panel, draw: torch.Generator) -> None:
        """Fix the directions of the distances for good."""
        self._panel = panel
        texture, palette = (_directions(shape, draw).to(panel.photos) for shape in ((32, 1, 5, 5), (16, 3, 1, 1)))
        self._distances: tuple[Callable[[Tensor], Tensor], ...] = (
            lambda x: losses.g_texture(x, panel.paintings, texture),
            lambda x: losses.g_palette(x, panel.paintings, palette),
            lambda x: losses.g_contrast(x, panel.paintings),
        )
        with torch.no_grad():
            self._start = [float(distance(panel.photos)) + _FLOOR for distance in self._distances]

    def __call__(self, outputs: Tensor) -> float:
        """Return the figure of outputs (N, 3, H, W)."""
        shares = [float(far(outputs)) / start for far, start in zip(self._distances, self._start, strict=True)]
        return sum(shares) / len(shares) + float(losses.g_structure(outputs, self._panel.photos))


class Watch:
    """Looks at the averaged generator now and then, counts what is beyond its limit, and keeps the best weights."""

    def __init__(self, settings: Train, panel: Panel, warmup: int, draw: torch.Generator) -> None:
        """Begin to count `train.collapse.after` steps behind a warm-up of `warmup` steps."""
        self.settings = settings.collapse
        self.begin = warmup + self.settings.after
        self.alarms: list[dict[str, Any]] = []
        """All alarms so far: {"step", "why"}."""
        self.best: State = {}
        """{"step", "validation", "weights"} of the best watch behind the warm-up."""
        self._warmup, self._panel, self._validation = warmup, panel, Validation(panel, draw)
        self._in_a_row = dict.fromkeys((rule.figure for rule in RULES), 0)
        self._right = torch.zeros(2, device=panel.photos.device)  # sum of accuracies, number of steps

    def count(self, accuracy: Tensor | None) -> None:
        """Take note of a step's accuracy of the discriminator, where it has one; this does not wait for it."""
        if accuracy is not None:
            self._right += torch.stack([accuracy, torch.ones_like(accuracy)])

    @torch.no_grad()
    def look(self, network: nn.Module, step: int) -> Sight:
        """Look at a network after `step` steps."""
        outputs = torch.cat([network(photo[None]) for photo in self._panel.photos])
        figures = examine(self._panel.photos, outputs) | {"validation": self._validation(outputs)}
        total, steps = self._right.tolist()
        if steps:
            figures["accuracy"] = total / steps
        self._right.zero_()
        if step > self._warmup and figures["validation"] < self.best.get("validation", float("inf")):
            weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}
            self.best = {"step": step, "validation": figures["validation"], "weights": weights}
        return Sight(figures, self._judge(figures, step) if step >= self.begin else [])

    @property
    def uneasy(self) -> bool:
        """Whether a limit was passed at the last watch: nothing to go back to."""
        return any(self._in_a_row.values())

    def state(self) -> State:
        """Return what resuming needs."""
        return {"in_a_row": dict(self._in_a_row), "right": self._right, "alarms": self.alarms, "best": self.best}

    def load(self, state: State) -> None:
        """Go back to a `state`."""
        self._in_a_row = dict(state["in_a_row"])
        self._right.copy_(state["right"])
        self.alarms = list(state["alarms"])
        self.best = dict(state["best"])

    def _judge(self, figures: dict[str, float], step: int) -> list[str]:
        said = []
        for rule in RULES:
            value = figures.get(rule.figure)
            broken = value is not None and rule.broken(value, self.settings)
            self._in_a_row[rule.figure] = self._in_a_row[rule.figure] + 1 if broken else 0
            if value is not None and self._in_a_row[rule.figure] == self.settings.patience:
                bound = asdict(self.settings)[rule.limit]
                said.append(f"{rule.sentence.format(value)} (train.collapse.{rule.limit} is {bound:g})")
        self.alarms += [{"step": step, "why": why} for why in said]
        return said


def _composition(x: Tensor) -> Tensor:
    """Return (N, features): averages over a coarse grid, in which strokes and noise count for nothing."""
    return F.adaptive_avg_pool2d(x, min(_CELLS, *x.shape[2:])).flatten(1)


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(1, keepdim=True)


def _apart(x: Tensor) -> Tensor:
    """Return the mean distance between two rows."""
    distance: Tensor = F.pdist(x).mean() / x.shape[1] ** 0.5
    return distance


def _directions(shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    raw = torch.randn(shape, generator=draw)
    return F.normalize(raw.flatten(1), dim=1).view(shape)
