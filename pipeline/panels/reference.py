"""The panel of networks that repaint photographs after references."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.images import grid, to_image
from pipeline.networks.adain import AdainGenerator
from pipeline.panels.base import Material
from pipeline.panels.translation import PANEL, SAMPLES, TranslationPanel, examine

_SHOWN = 4  # references in a sample picture


class ReferencePanel(TranslationPanel):
    """Photographs, each with a painting as its reference; the figures are those of all pairs together."""

    def look(self, network: nn.Module) -> dict[str, float]:
        """Return the figures of `examine`, and `validation`, on each photograph after its own reference."""
        pairs = zip(self.photos, self.paintings, strict=True)
        outputs = torch.cat([_painted(network, photo, painting) for photo, painting in pairs])
        return examine(self.photos, outputs) | {"validation": self._validation(outputs)}

    @torch.no_grad()
    def picture(self, network: nn.Module) -> Image.Image:
        """Return held-out photographs on top, and a row below for each of some references, which it begins with."""
        side = self.views.shape[2]
        blank = Image.new("RGB", (side, side), "white")
        rows = [[blank, *(to_image(view.cpu()) for view in self.views)]]
        for painting in self.paintings[:_SHOWN]:
            outputs = (to_image(_painted(network, view, painting)[0].cpu()) for view in self.views)
            rows.append([to_image(painting.cpu()).resize((side, side)), *outputs])
        return grid(rows)


def referring(material: Material, draw: torch.Generator) -> ReferencePanel:
    """Return the panel of a training."""
    crops = material.crops(PANEL, draw)
    return ReferencePanel(crops.photos, crops.paintings, material.views(SAMPLES), draw)


def _painted(network: nn.Module, photo: Tensor, reference: Tensor) -> Tensor:
    """Return the painting (1, 3, H, W) of one photograph after one reference."""
    assert isinstance(network, AdainGenerator)
    return network.paint(photo[None], network.code(reference[None], photo.new_ones(1)))
