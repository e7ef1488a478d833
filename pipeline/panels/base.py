"""What the loop asks of a panel: figures of a network on the same material each time, and a picture of it.

Panels are made of training crops: held-out images are for the evaluation alone (but for what sample pictures show),
and nothing here is shared with what `pipeline.metrics` measures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.methods.base import Batch, Method
from pipeline.params import Collapse

_CELLS = 16  # a picture's composition: averages over a grid of this many cells a side
FLOOR = 1e-3  # beside which no distance is small


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


BLIND = Rule("accuracy", "max_accuracy", "the discriminator is right {:.1%} of the time: it teaches nothing")
"""Whatever the task: the accuracy is counted by the watch, not by the panel."""


class Material(Protocol):
    """Where a panel takes its images from."""

    @property
    def method(self) -> Method:
        """Whose networks are watched."""
        ...

    def crops(self, count: int, draw: torch.Generator) -> Batch:
        """Return `count` training crops of each kind, drawn as a step draws them."""
        ...

    def views(self, count: int) -> Tensor:
        """Return at most `count` held-out photographs (N, 3, H, W), for pictures alone."""
        ...


class Panel(ABC):
    """The same inputs at every watch, and what becomes of them."""

    rules: ClassVar[tuple[Rule, ...]]
    """The ways to collapse that its figures show."""

    @abstractmethod
    def look(self, network: nn.Module) -> dict[str, float]:
        """Return figures of a network by name; among them `validation`: less is better."""

    @abstractmethod
    def picture(self, network: nn.Module) -> Image.Image:
        """Return a grid of what the network makes now."""


def composition(x: Tensor) -> Tensor:
    """Return (N, features): averages over a coarse grid, in which strokes and noise count for nothing."""
    return F.adaptive_avg_pool2d(x, min(_CELLS, *x.shape[2:])).flatten(1)


def apart(x: Tensor) -> Tensor:
    """Return the mean distance between two rows."""
    distance: Tensor = F.pdist(x).mean() / x.shape[1] ** 0.5
    return distance


def directions(shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Return random unit filters of a shape (count, channels, side, side)."""
    raw = torch.randn(shape, generator=draw)
    return F.normalize(raw.flatten(1), dim=1).view(shape)
