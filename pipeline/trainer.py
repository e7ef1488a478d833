"""One optimisation step of any method, and all the state that it carries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from pipeline.devices import choose_precision
from pipeline.distributed import ALONE, Team
from pipeline.methods.base import Batch, Losses, Method
from pipeline.networks.averaging import Average
from pipeline.params import Train

State = dict[str, Any]


@dataclass(frozen=True)
class Health:
    """How many steps were skipped because a loss or a gradient was not finite."""

    bad_in_a_row: int  # up to the last step
    bad_total: int


class Trainer:
    """Optimisers, schedule and averages around a method. The next state depends on state, batch and step alone."""

    def __init__(self, method: Method, settings: Train, device: torch.device, team: Team = ALONE) -> None:
        """Move the method to `device` and make one Adam a player; `team` is who takes the same steps beside it.

        Raises:
            ValueError: the device does not have the precision that is asked for.
        """
        self.device, self.precision = device, choose_precision(settings.precision, device)
        method.to(device)
        self.method, self.settings, self.team = method, settings, team
        method.team = team
        self.optimisers = {
            player: torch.optim.Adam(
                method.player_parameters(player),
                lr=settings.learning_rate,
                betas=(settings.beta1, settings.beta2),
                fused=True,
            )
            for player in method.players
        }
        self.averages = {name: Average(method.networks[name], settings.ema) for name in method.averaged}
        if settings.compile:
            method.compile()
        torch.backends.cudnn.benchmark = True  # all steps have the same shapes
        changing = (*method.networks.values(), *method.memories.values())
        self.buffers = [buffer for module in changing for buffer in module.buffers()]
        self.bad_in_a_row = torch.zeros((), dtype=torch.int64, device=device)
        self.bad_total = torch.zeros((), dtype=torch.int64, device=device)
        self.pace = 1.0

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Train every player that has a loss at step number `step` (from 0); return the losses, detached.

        All gradients come from one forward pass before any weight moves: each player's losses are
        differentiated by its own parameters alone, so no gradient is computed only to be thrown away.

        When a loss or a gradient of any player is not finite, nothing moves at all: weights, buffers, moments and
        averages stay as they were, and the step is counted (see `health`). That is decided on the device, without
        waiting for it.

        In a team, gradients and losses are means over its processes, so that all of them decide and move alike.
        """
        before = [buffer.clone() for buffer in self.buffers]
        with torch.autocast(self.device.type, self.precision, enabled=self.precision == torch.bfloat16):
            losses = self.method.step(batch, step, draw)
        self._differentiate(losses)
        result = {
            player: {name: loss.detach().clone() for name, loss in named.items()} for player, named in losses.items()
        }
        bad = self._agree(result)
        for player in losses:
            self._move(player, step, bad)
        for buffer, kept in zip(self.buffers, before, strict=True):
            buffer.copy_(torch.where(bad, kept, buffer))
        for name, average in self.averages.items() if self.team.leads else ():
            average.update(self.method.networks[name], step, share=(~bad).float())
        self.bad_total += bad
        self.bad_in_a_row += 1
        self.bad_in_a_row *= bad
        return result

    def health(self) -> Health:
        """Return how many steps were skipped; on a GPU this waits for the last step to finish."""
        return Health(*torch.stack([self.bad_in_a_row, self.bad_total]).tolist())

    def slow_down(self, factor: float) -> None:
        """Multiply the learning rate by `factor` from now on. It is part of the state: loading one brings its own."""
        self.pace *= factor

    def state(self) -> State:
        """Return everything that resuming needs, as tensors and plain values."""
        return {
            "networks": {name: network.state_dict() for name, network in self.method.networks.items()},
            "averages": {name: average.network.state_dict() for name, average in self.averages.items()},
            "optimisers": {player: optimiser.state_dict() for player, optimiser in self.optimisers.items()},
            "memories": {name: memory.state_dict() for name, memory in self.method.memories.items()},
            "bad_in_a_row": self.bad_in_a_row.clone(),
            "bad_total": self.bad_total.clone(),
            "pace": self.pace,
        }

    def load(self, state: State) -> None:
        """Go back to a `state`."""
        for name, network in self.method.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, average in self.averages.items():
            average.network.load_state_dict(state["averages"][name])
        for player, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][player])
        for name, memory in self.method.memories.items():
            memory.load_state_dict(state["memories"][name])
        self.bad_in_a_row.copy_(state["bad_in_a_row"])
        self.bad_total.copy_(state["bad_total"])
        self.pace = state["pace"]

    def _differentiate(self, losses: Losses) -> None:
        remaining = len(losses)
        for player, named in losses.items():
            remaining -= 1
            self.optimisers[player].zero_grad()
            total = torch.stack(list(named.values())).sum()
            # `backward` and not `autograd.grad`, whose results may lie in memory in another order than the weights:
            # a fused optimiser walks both as they lie.
            total.backward(  # type: ignore[no-untyped-call]  # torch leaves it without types
                inputs=self.method.player_parameters(player), retain_graph=remaining > 0
            )

    def _agree(self, losses: Losses) -> Tensor:
        """Average losses and gradients over the team; return whether any is not finite, a boolean on the device."""
        values = [loss for named in losses.values() for loss in named.values()]
        gradients = [
            parameter.grad
            for player in losses
            for parameter in self.method.player_parameters(player)
            if parameter.grad is not None
        ]
        self.team.average([*values, *gradients])
        return ~torch.stack([*values, get_total_norm(gradients, norm_type=torch.inf)]).isfinite().all()

    def _move(self, player: str, step: int, bad: Tensor) -> None:
        optimiser = self.optimisers[player]
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, step) * self.pace
        # How torch's GradScaler tells a fused optimiser to leave all as it is, without reading the flag on the host.
        optimiser.found_inf = bad.float()  # type: ignore[attr-defined]
        optimiser.step()


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
