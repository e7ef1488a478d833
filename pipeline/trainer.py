"""One optimisation step of any method, and all the state that it carries."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from pipeline.methods.base import Batch, Losses, Method
from pipeline.networks.averaging import Average
from pipeline.params import Train

State = dict[str, Any]


class Trainer:
    """Optimisers, schedule and averages around a method. The next state depends on state, batch and step alone."""

    def __init__(self, method: Method, settings: Train, device: torch.device) -> None:
        """Move the method to `device` and make one Adam a player."""
        method.to(device)
        self.method, self.settings = method, settings
        self.optimisers = {
            player: torch.optim.Adam(
                method.player_parameters(player),
                lr=settings.learning_rate,
                betas=(settings.beta1, settings.beta2),
            )
            for player in method.players
        }
        self.averages = {name: Average(method.networks[name], settings.ema) for name in method.averaged}

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Train every player that has a loss at step number `step` (from 0); return the losses, detached.

        All gradients come from one forward pass before any weight moves: each player's losses are
        differentiated by its own parameters alone, so no gradient is computed only to be thrown away.
        """
        losses = self.method.step(batch, step, draw)
        self._differentiate(losses)
        for player in losses:
            optimiser = self.optimisers[player]
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(self.settings, step)
            optimiser.step()
        for name, average in self.averages.items():
            average.update(self.method.networks[name], step)
        return {player: {name: loss.detach() for name, loss in named.items()} for player, named in losses.items()}

    def state(self) -> State:
        """Return everything that resuming needs, as tensors and plain values."""
        return {
            "networks": {name: network.state_dict() for name, network in self.method.networks.items()},
            "averages": {name: average.network.state_dict() for name, average in self.averages.items()},
            "optimisers": {player: optimiser.state_dict() for player, optimiser in self.optimisers.items()},
        }

    def load(self, state: State) -> None:
        """Go back to a `state`."""
        for name, network in self.method.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, average in self.averages.items():
            average.network.load_state_dict(state["averages"][name])
        for player, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][player])

    def _differentiate(self, losses: Losses) -> None:
        remaining = len(losses)
        for player, named in losses.items():
            remaining -= 1
            parameters = self.method.player_parameters(player)
            total = torch.stack(list(named.values())).sum()
            gradients = torch.autograd.grad(total, parameters, retain_graph=remaining > 0, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient


def learning_rate(settings: Train, step: int) -> float:
    """Return the rate at step number `step`: constant, then linear to 0 over the last part (CycleGAN's schedule)."""
    start = settings.decay_from * settings.steps
    if step < start:
        return settings.learning_rate
    return settings.learning_rate * (settings.steps - step) / (settings.steps - start)


def step_randomness(seed: int, step: int) -> torch.Generator:
    """Return the random stream of one step: a function of seed and step, so resuming needs no saved stream."""
    digest = hashlib.sha256(f"{seed}:{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def scalars(losses: Losses) -> dict[str, float]:
    """Return {"player/loss": value}; on a GPU this waits for the step to finish."""
    flat: dict[str, Tensor] = {f"{player}/{name}": v for player, named in losses.items() for name, v in named.items()}
    values = torch.stack(list(flat.values())).tolist()
    return dict(zip(flat, values, strict=True))
