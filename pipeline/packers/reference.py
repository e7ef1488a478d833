"""The packer of networks that repaint photographs after reference pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from pipeline.data import read_index
from pipeline.export import Graph
from pipeline.images import grid
from pipeline.inference import Stylizer, references_file, write_references
from pipeline.networks.adain import AdainGenerator
from pipeline.packers.base import PAIRS, Networks, noise, views
from pipeline.packers.translation import TranslationPacker
from pipeline.workspace import PHOTOS, Workspace

_REFERENCES = 8  # crops of each style that a package holds to paint after


class ReferencePacker(TranslationPacker):
    """Photographs repainted after references: one graph takes both, and the package brings some of each style."""

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        """Return what a network's ONNX graph takes and gives."""
        del name, config
        assert isinstance(network, AdainGenerator)
        side = 8 * network.multiple
        probes = []
        for photos, references, strength in ((2, 2, 0.5), (1, 3, 1.0)):
            given = noise(photos, 3, side * photos, side), noise(references, 3, side, side + network.multiple)
            probes.append((*given, torch.full((references,), 1 / references), torch.tensor([strength])))
        free = {
            "photo": {0: "batch", 2: "height", 3: "width"},
            "reference": {0: "references", 2: "reference_height", 3: "reference_width"},
            "weights": {0: "references"},
            "painting": {0: "batch", 2: "height", 3: "width"},
        }
        return Graph(("photo", "reference", "weights", "strength"), "painting", free, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is added to the training's config for whoever loads the package."""
        return self.basics(network, config, workspace) | {
            "references": "RGB in [-1, 1], (R, 3, h, w) of any size, with weights (R,) of sum 1; strength is (1,)"
        }

    def files(self, config: Mapping[str, Any], workspace: Workspace) -> dict[str, bytes]:
        """Return what else the package holds, by file name."""
        return {
            references_file(style): write_references(_references(workspace.prepared(style)))
            for style in config["styles"]
        }

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        """Return a picture of what the model does."""
        styles = {style: _references(workspace.prepared(style))[:1] for style in config["styles"][:PAIRS]}
        stylizer = Stylizer(networks["generator"], dict(config), "", torch.device("cpu"), references=styles)
        shown = views(workspace.prepared(PHOTOS))
        blank = Image.new("RGB", shown[0].size, "white")
        rows = [[blank, *shown]]
        for style, (reference,) in styles.items():
            painted = [stylizer(view, style=style) for view in shown]
            rows.append([reference.resize(blank.size, Image.Resampling.LANCZOS), *painted])
        return grid(rows)


def _references(prepared: Path) -> list[Image.Image]:
    """Return the first crop of the first training paintings of a collection, by hash: nobody picked them."""
    crops = []
    for entry in read_index(prepared)["train"][:_REFERENCES]:
        with Image.open(prepared / entry["file"]) as strip:
            crops.append(strip.convert("RGB").crop((0, 0, strip.width, strip.width)))
    return crops
