"""The steps of one run: its collections, its networks, and this process's part of each batch."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline import warm_start
from pipeline.data import CropStore, Home
from pipeline.distributed import Team
from pipeline.methods import build_method
from pipeline.methods.base import Batch, Losses
from pipeline.params import Params
from pipeline.recipes import Recipe
from pipeline.trainer import Trainer, step_randomness
from pipeline.workspace import PHOTOS, Workspace


class Steps:
    """Takes steps by their number: batch and randomness follow from that and the seed alone."""

    def __init__(
        self, workspace: Workspace, recipe: Recipe, params: Params, device: torch.device, team: Team
    ) -> None:
        """Load the crops and build the networks of a recipe, on `device`."""
        settings = params.train
        torch.set_num_threads(settings.threads)
        self._seed, self._settings, self._device, self._team = params.seed, settings, device, team
        cache = workspace.work / "cache" / "crops"
        self._stores = {
            name: CropStore.load(workspace.prepared(name), device, cache) for name in (PHOTOS, recipe.style)
        }
        method = build_method(recipe.method, params)
        method.warmed = warm_start.begin_with(method.networks, workspace.warm_start(recipe.warm_start))
        self.trainer = Trainer(method, settings, device, team)

    @property
    def homes(self) -> dict[str, Home]:
        """Where the crops of each collection live."""
        return {name: store.home for name, store in self._stores.items()}

    def crops(self, count: int, draw: torch.Generator) -> list[Tensor]:
        """Return `count` photographs and `count` paintings, drawn as a step draws them."""
        return [store.batch(count, self._settings.crop, draw) for store in self._stores.values()]

    def take(self, step: int) -> Losses:
        """Take step number `step` with all followers and return the team's losses."""
        if self._team.leads:
            self._team.order_step(step)
        draw = step_randomness(self._seed, step)
        shape, part = (self._settings.batch, self._settings.crop), (self._team.rank, self._team.size)
        batch = Batch(*(store.batch(*shape, draw, *part) for store in self._stores.values()))
        return self.trainer.step(batch, step, draw)

    def share(self) -> None:
        """Give the leader's state to all followers: at the start, and whenever it went back to an earlier one."""
        self._team.order_state(self.trainer.state())

    def follow(self) -> None:
        """Do as the leader does until it ends."""
        for order in self._team.orders(self._device):
            if isinstance(order, dict):
                self.trainer.load(order)
            else:
                self.take(order)
