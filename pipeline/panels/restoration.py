"""The panel of networks that restore pictures."""

from __future__ import annotations

from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import losses
from pipeline.images import grid, to_image
from pipeline.methods.conditions import Mask
from pipeline.networks.unet import RestorationGenerator
from pipeline.panels.base import BLIND, FLOOR, Material, Panel, Rule

PANEL = 24  # crops
_SHOWN = 6  # of them in a sample picture


class RestorationPanel(Panel):
    """Training crops, and what is left of each, which is always the same."""

    rules: ClassVar[tuple[Rule, ...]] = (BLIND,)

    def __init__(self, originals: Tensor, pictures: Tensor, holes: Tensor | None) -> None:
        """Hold crops (N, 3, H, W) in [-1, 1], what is left of them, and where they are lost, (N, 1, H, W)."""
        self.originals, self.pictures, self.holes = originals, pictures, holes

    @torch.no_grad()
    def look(self, network: nn.Module) -> dict[str, float]:
        """Return `validation`: the mean error in parts of the first guess's, 1; less is better."""
        assert isinstance(network, RestorationGenerator)
        guess, made = network.guess(self.pictures, self.holes), self._restored(network)
        far, start = (losses.g_restored(x, self.originals, self.holes) for x in (made, guess))
        return {"validation": float(far) / (float(start) + FLOOR)}

    @torch.no_grad()
    def picture(self, network: nn.Module) -> Image.Image:
        """Return what is left on top, then what the network makes of it, then the originals."""
        left = F.interpolate(self.pictures[:_SHOWN], size=self.originals.shape[2:], mode="nearest")
        rows = (left, self._restored(network, _SHOWN), self.originals[:_SHOWN])
        return grid([[to_image(image.cpu()) for image in row] for row in rows])

    def _restored(self, network: nn.Module, count: int = PANEL) -> Tensor:
        """Return what the network makes of the first crops, one at a time: memory stays small."""
        return torch.cat(
            [
                network(self.pictures[i : i + 1], None if self.holes is None else self.holes[i : i + 1])
                for i in range(min(count, len(self.pictures)))
            ]
        )


def restoration(material: Material, draw: torch.Generator) -> RestorationPanel:
    """Return the panel of a training."""
    originals = material.crops(PANEL, draw).paintings
    pictures, condition = material.method.damage(originals, draw)
    return RestorationPanel(originals, pictures, condition.holes if isinstance(condition, Mask) else None)
