"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Average:
    """Holds a copy of a network that follows it: a += (1 - decay) (w - a) each step.

    Early on the decay is lower, (1 + n) / (10 + n) after n updates, so that the start is forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the network's present weights."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int, share: Tensor | float = 1.0) -> None:
        """Move towards `network` after step number `step`, counted from 0; `share` (0 to 1) of the usual way."""
        decay = min(self.decay, (1 + step) / (10 + step))
        means: list[Tensor] = list(self.network.parameters())
        ways = list(torch._foreach_sub(list(network.parameters()), means))
        torch._foreach_mul_(ways, (1 - decay) * share)
        torch._foreach_add_(means, ways)
        for held, present in zip(self.network.buffers(), network.buffers(), strict=True):
            held.copy_(present)
