"""Codes beside the noise that decides an image: their names, how they are drawn, set, and read off an image again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

FARTHEST = 2.0
"""How far from 0 a continuous code may be set; it is trained from -1 to 1."""
_LEAST = 0.05  # deviation of what is told of a continuous code: no certainty is rewarded without bound


class Told(NamedTuple):
    """What is told of codes: a distribution each."""

    logits: tuple[Tensor, ...]  # (N, categories) of each categorical code
    mean: Tensor  # (N, continuous codes)
    log_deviation: Tensor  # (N, continuous codes), from log 0.05 to 0


@dataclass(frozen=True)
class Codes:
    """Categorical codes `k1`, `k2`, ... and continuous ones `c1`, `c2`, ...

    In a latent they are one-hot, then numbers from -1 to 1, all uniform (Chen et al. 2016, section 7.2).
    """

    categories: tuple[int, ...] = ()
    continuous: int = 0

    @property
    def width(self) -> int:
        """Numbers that they take in a latent."""
        return sum(self.categories) + self.continuous

    @property
    def told(self) -> int:
        """Numbers that it takes to tell a distribution of them: see `read`."""
        return sum(self.categories) + 2 * self.continuous

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, categorical ones first."""
        return (*_numbered("k", len(self.categories)), *_numbered("c", self.continuous))

    def draw(self, count: int, draw: torch.Generator) -> Tensor:
        """Return random codes (count, width)."""
        parts = [
            F.one_hot(torch.randint(many, (count,), generator=draw), many).float() for many in self.categories
        ]
        return torch.cat([*parts, torch.rand(count, self.continuous, generator=draw) * 2 - 1], dim=1)

    def split(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the one-hot rows of each categorical code, and the continuous codes, of (N, width)."""
        *parts, continuous = torch.split(rows, [*self.categories, self.continuous], dim=1)
        return tuple(parts), continuous

    def read(self, told: Tensor) -> Told:
        """Return the distributions that numbers (N, `told`) stand for."""
        sizes = [*self.categories, self.continuous, self.continuous]
        *logits, mean, raw = torch.split(told.float(), sizes, dim=1)
        return Told(tuple(logits), mean, (_LEAST + (1 - _LEAST) * raw.sigmoid()).log())

    def assign(self, rows: Tensor, values: Mapping[str, float]) -> Tensor:
        """Return codes (N, width) with some set, by name: a category's number from 0, or a number from -2 to 2.

        Raises:
            ValueError: no code has that name, or it cannot have that value.
        """
        rows = rows.clone()
        for name, value in values.items():
            first, many = self._place(name)
            if many == 1:
                rows[:, first] = _within(name, value)
            else:
                rows[:, first : first + many] = F.one_hot(torch.tensor(_category(name, value, many)), many).to(rows)
        return rows

    def values(self, name: str, steps: int) -> Sequence[float]:
        """Return what to show of a code: all its categories, or `steps` numbers from -1 to 1."""
        _, many = self._place(name)
        return [float(value) for value in (range(many) if many > 1 else torch.linspace(-1, 1, steps).tolist())]

    def _place(self, name: str) -> tuple[int, int]:
        """Return where in a row a code begins, and how many numbers it takes."""
        for known, first, many in self._places():
            if known == name:
                return first, many
        raise ValueError(f"no code is named {name!r}; this model has {', '.join(self.names) or 'none'}")

    def _places(self) -> Iterator[tuple[str, int, int]]:
        first = 0
        for name, many in zip(self.names, [*self.categories, *[1] * self.continuous], strict=True):
            yield name, first, many
            first += many


NO_CODES = Codes()


def _numbered(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(1, count + 1)]


def _category(name: str, value: float, many: int) -> int:
    if not (value == int(value) and 0 <= value < many if math.isfinite(value) else False):
        raise ValueError(f"the code {name} is {value:g}; it must be a whole number from 0 to {many - 1}")
    return int(value)


def _within(name: str, value: float) -> float:
    if not -FARTHEST <= value <= FARTHEST:
        raise ValueError(
            f"the code {name} is {value:g}; it must be between {-FARTHEST:g} and {FARTHEST:g} (it was trained from "
            f"-1 to 1)"
        )
    return value
