"""Random numbers for a batch of pictures, one row a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.devices import to_device


class Dice:
    """Draws from a stream of the CPU. Of many processes with the same stream, each gets its own pictures' rows."""

    def __init__(
        self, draw: torch.Generator, count: int, device: torch.device, rank: int = 0, ranks: int = 1
    ) -> None:
        """Draw for `count` pictures on `device`; `rank` of `ranks` processes, which have as many pictures each."""
        self.count, self.device = count, device
        self._draw, self._rank, self._ranks = draw, rank, ranks

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return (count, *shape) numbers from `low` to `high`."""
        return low + (high - low) * self._own(torch.rand(self._everyone(shape), generator=self._draw))

    def normal(self, *shape: int) -> Tensor:
        """Return (count, *shape) numbers of mean 0 and deviation 1."""
        return self._own(torch.randn(self._everyone(shape), generator=self._draw))

    def integer(self, below: int, *shape: int) -> Tensor:
        """Return (count, *shape) whole numbers from 0 to `below` - 1."""
        return self._own(torch.randint(below, self._everyone(shape), generator=self._draw))

    def _everyone(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (self.count * self._ranks, *shape)

    def _own(self, drawn: Tensor) -> Tensor:
        return to_device(drawn[self._rank * self.count :][: self.count], self.device)
