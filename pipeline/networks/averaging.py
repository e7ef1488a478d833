"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Holds a copy of a network that follows it: a += (1 - decay) (w - a) each step.

    Early on the decay is lower, (1 + n) / (10 + n) after n updates, so that the start is forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the network's present weights."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards `network` after step number `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mean, value in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for held, present in zip(self.network.buffers(), network.buffers(), strict=True):
            held.copy_(present)
