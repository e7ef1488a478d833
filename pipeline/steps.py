"""The steps of one run: its collections, its networks, and this process's part of each batch."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline import warm_start
from pipeline.data import CropStore, Home, load_view, read_index
from pipeline.distributed import Team
from pipeline.methods import build_method
from pipeline.methods.base import Batch, Losses, Method
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
        self._styles, self._photos = recipe.styles, workspace.prepared(PHOTOS)
        method = build_method(recipe.method, params)
        self._stores = {name: CropStore.load(workspace.prepared(name), device, cache) for name in recipe.collections}
        method.warmed = warm_start.begin_with(method.networks, workspace.warm_start(recipe.warm_start))
        self.trainer = Trainer(method, settings, device, team)

    @property
    def homes(self) -> dict[str, Home]:
        """Where the crops of each collection live."""
        return {name: store.home for name, store in self._stores.items()}

    @property
    def method(self) -> Method:
        """Whose steps these are."""
        return self.trainer.method

    def crops(self, count: int, draw: torch.Generator) -> Batch:
        """Return `count` training crops of each kind, drawn as a step draws them."""
        return self._batch(count, draw)

    def views(self, count: int) -> Tensor:
        """Return at most `count` held-out photographs (N, 3, H, W)."""
        entries = read_index(self._photos)["test"][:count]
        return torch.stack([load_view(self._photos / entry["file"]) for entry in entries]).to(self._device)

    def take(self, step: int) -> Losses:
        """Take step number `step` with all followers and return the team's losses."""
        if self._team.leads:
            self._team.order_step(step)
        draw = step_randomness(self._seed, step)
        batch = self._batch(self._settings.batch, draw, self._team.rank, self._team.size)
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

    def _batch(self, count: int, draw: torch.Generator, rank: int = 0, ranks: int = 1) -> Batch:
        drawn = {
            name: store.batch(count, self._settings.crop, draw, rank, ranks) for name, store in self._stores.items()
        }
        if len(self._styles) == 1:
            return Batch(drawn.get(PHOTOS), drawn[self._styles[0]])
        which = torch.randint(len(self._styles), (count * ranks,), generator=draw)[rank * count : (rank + 1) * count]
        rows = zip(which.tolist(), range(count), strict=True)
        # Every style is drawn whole and one in each place kept: crops are cheap beside a step.
        return Batch(drawn.get(PHOTOS), torch.stack([drawn[self._styles[style]][place] for style, place in rows]))
