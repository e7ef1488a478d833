"""The panel of networks that repaint photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import losses
from pipeline.images import grid, to_image
from pipeline.panels.base import BLIND, FLOOR, Material, Panel, Rule, apart, composition, directions

PANEL = 12  # crops of each kind
SAMPLES = 6  # held-out photographs in a sample picture


class TranslationPanel(Panel):
    """Photographs, and paintings that what becomes of them is held against."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "diversity",
            "min_diversity",
            "the outputs look alike: they differ {:.2f} times as much as the photographs",
        ),
        Rule("change", "min_change", "the generator copies its input: it changes a pixel by {:.3f} of the range"),
        Rule("light", "min_light", "light and dark are lost or exchanged: correlation with the photograph's {:.2f}"),
        BLIND,
    )

    def __init__(self, photos: Tensor, paintings: Tensor, views: Tensor, draw: torch.Generator) -> None:
        """Hold crops (N, 3, H, W) in [-1, 1] of both kinds, and the photographs that sample pictures show."""
        self.photos, self.paintings, self.views = photos, paintings, views
        self._validation = Validation(photos, paintings, draw)

    def look(self, network: nn.Module) -> dict[str, float]:
        """Return the figures of `examine`, and `validation`."""
        outputs = torch.cat([network(photo[None]) for photo in self.photos])
        return examine(self.photos, outputs) | {"validation": self._validation(outputs)}

    @torch.no_grad()
    def picture(self, network: nn.Module) -> Image.Image:
        """Return the held-out photographs on top, and what the network makes of each below."""
        painted = torch.cat([network(photo[None]) for photo in self.views])
        return grid([[to_image(image.cpu()) for image in row] for row in (self.views, painted)])


class Validation:
    """How far a panel's outputs are from what is wanted: the paintings' hand, the photographs' subject.

    The mean, over texture, palette and contrast, of the distance to the paintings in parts of the untouched
    photographs' own, and the structure that was lost: 1 is what the photographs score, less is better.
    """

    def __init__(self, photos: Tensor, paintings: Tensor, draw: torch.Generator) -> None:
        """Fix the directions of the distances for good."""
        self._photos = photos
        texture, palette = (directions(shape, draw).to(photos) for shape in ((32, 1, 5, 5), (16, 3, 1, 1)))
        self._distances: tuple[Callable[[Tensor], Tensor], ...] = (
            lambda x: losses.g_texture(x, paintings, texture),
            lambda x: losses.g_palette(x, paintings, palette),
            lambda x: losses.g_contrast(x, paintings),
        )
        with torch.no_grad():
            self._start = [float(distance(photos)) + FLOOR for distance in self._distances]

    def __call__(self, outputs: Tensor) -> float:
        """Return the figure of outputs (N, 3, H, W)."""
        shares = [float(far(outputs)) / start for far, start in zip(self._distances, self._start, strict=True)]
        return sum(shares) / len(shares) + float(losses.g_structure(outputs, self._photos))


def translation(material: Material, draw: torch.Generator) -> TranslationPanel:
    """Return the panel of a training."""
    crops = material.crops(PANEL, draw)
    return TranslationPanel(crops.photos, crops.paintings, material.views(SAMPLES), draw)


def examine(photos: Tensor, outputs: Tensor) -> dict[str, float]:
    """Return the figures of a panel, both (N, 3, H, W) in [-1, 1].

    Returns:
        `diversity`, how much the outputs' compositions differ from each other, 1 being as much as the photographs';
        `change`, the mean change of a pixel, 1 being from black to white; `light`, the mean correlation of an
        output's luminance with the photograph's, -1 to 1.
    """
    before, after = (_centred(composition(losses.luminance(x))) for x in (photos, outputs))
    light = F.cosine_similarity(before, after, dim=1)
    return {
        "diversity": float(apart(composition(outputs)) / (apart(composition(photos)) + FLOOR)),
        "change": float((outputs - photos).abs().mean() / 2),
        "light": float(light.mean()),
    }


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(1, keepdim=True)
