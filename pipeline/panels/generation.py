"""The panel of networks that make images out of noise."""

from __future__ import annotations

from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from pipeline import losses
from pipeline.images import grid, to_image
from pipeline.networks.latent import LatentGenerator
from pipeline.networks.layers import shrink
from pipeline.panels.base import BLIND, FLOOR, Material, Panel, Rule, apart, composition, directions

PANEL = 64  # crops, and as many images
_SIDE = 8  # the sample picture shows so many images a row, and as many rows
_BATCH = 16  # images at a time
_LEVELS, _COARSEST = 3, 8  # of the pyramid that distances look at, and the least side of a level, px


class GenerationPanel(Panel):
    """Paintings that images are held against, and the latents of these, which are always the same."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "diversity", "min_diversity", "the outputs look alike: they differ {:.2f} times as much as the paintings"
        ),
        BLIND,
    )

    def __init__(self, paintings: Tensor, draw: torch.Generator) -> None:
        """Hold crops (N, 3, H, W) in [-1, 1], and fix for good what the images are made of."""
        self.paintings = paintings
        self._seed = int(torch.randint(2**31, (1,), generator=draw))
        self._texture, self._palette = (
            directions(shape, draw).to(paintings) for shape in ((32, 1, 5, 5), (16, 3, 1, 1))
        )

    @torch.no_grad()
    def look(self, network: nn.Module) -> dict[str, float]:
        """Return `diversity`, 1 being as diverse as the paintings, and `validation`.

        That is the mean, over texture, palette and contrast, of the distance of the images to the paintings, in parts
        of a blank canvas's in the paintings' mean colour: 1 is the canvas, less is better.
        """
        outputs = self._images(network)
        paintings = shrink(self.paintings, outputs.shape[2])
        blank = paintings.mean((0, 2, 3), keepdim=True).expand_as(paintings)
        shares = [
            far / (canvas + FLOOR)
            for far, canvas in zip(self._far(outputs, paintings), self._far(blank, paintings), strict=True)
        ]
        diversity = apart(composition(outputs)) / (apart(composition(paintings)) + FLOOR)
        return {"diversity": float(diversity), "validation": sum(shares) / len(shares)}

    @torch.no_grad()
    def picture(self, network: nn.Module) -> Image.Image:
        """Return a grid of the images."""
        images = [to_image(image.cpu()) for image in self._images(network)]
        return grid([images[start : start + _SIDE] for start in range(0, len(images), _SIDE)], gap=4)

    def _images(self, network: nn.Module) -> Tensor:
        assert isinstance(network, LatentGenerator)
        latents = network.draw(len(self.paintings), torch.Generator().manual_seed(self._seed))
        return torch.cat([network(some) for some in torch.split(latents, _BATCH)])

    def _far(self, images: Tensor, paintings: Tensor) -> list[float]:
        levels = max(1, min(_LEVELS, (images.shape[2] // _COARSEST).bit_length()))
        return [
            float(losses.g_texture(images, paintings, self._texture, levels)),
            float(losses.g_palette(images, paintings, self._palette)),
            float(losses.g_contrast(images, paintings, levels)),
        ]


def generation(material: Material, draw: torch.Generator) -> GenerationPanel:
    """Return the panel of a training."""
    return GenerationPanel(material.crops(PANEL, draw).paintings, draw)
