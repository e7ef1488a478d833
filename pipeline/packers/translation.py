"""The packer of networks that repaint photographs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import nn

from pipeline.export import Graph
from pipeline.images import grid
from pipeline.inference import Stylizer
from pipeline.packers.base import Networks, Packer, noise, palette, views
from pipeline.workspace import PHOTOS, Workspace


class TranslationPacker(Packer):
    """Photographs in, paintings out; both ways if the method has learnt both."""

    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Return which averaged networks are packaged; `generator` is the first."""
        return ("generator", "reverse") if config["reverse"] else ("generator",)

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        """Return what a network's ONNX graph takes and gives."""
        del network
        given, made = ("painting", "photo") if name == "reverse" else ("photo", "painting")
        multiple = 2 ** config["network"]["arguments"]["downsamplings"]
        axes = {0: "batch", 2: "height", 3: "width"}
        probes = [(noise(1, 3, 16 * multiple, 16 * multiple),), (noise(2, 3, 8 * multiple, 32 * multiple),)]
        multiples = {"height": multiple, "width": multiple}
        return Graph((given,), made, {given: axes, made: axes}, probes, multiples, steered=True)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is added to the training's config for whoever loads the package."""
        return self.basics(network, config, workspace) | {
            "statistics": "(N, S, 2), which the ONNX graph gives of what it saw; a picture's, as `statistics_given`, "
            "let its parts be painted alike"
        }

    def basics(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is told of every network that repaints."""
        return {
            "multiple": network.multiple,
            "palette": palette(workspace.prepared(config["style"])),
            "input": "RGB in [-1, 1], (N, 3, H, W); H and W multiples of `multiple`, at least four times it",
        }

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        """Return a picture of what the model does."""
        back = networks.get("reverse")
        stylizer = Stylizer(networks["generator"], dict(config), "", torch.device("cpu"), back)
        shown = views(workspace.prepared(PHOTOS))
        rows = [shown, [stylizer(view) for view in shown]]
        if back is not None:
            shown = views(workspace.prepared(config["style"]))
            rows += [shown, [stylizer(view, reverse=True) for view in shown]]
        return grid(rows)
