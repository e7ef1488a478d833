"""The packer of networks that restore pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.damage.held_out import Wear
from pipeline.export import Graph
from pipeline.images import grid
from pipeline.networks.filling import LEVELS
from pipeline.networks.unet import RestorationGenerator
from pipeline.packers.base import Networks, Packer, noise, views
from pipeline.restoration import Restorer
from pipeline.workspace import Workspace


class RestorationPacker(Packer):
    """Damaged pictures in, whole ones out."""

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        """Return what a network's ONNX graph takes and gives."""
        del name, config
        assert isinstance(network, RestorationGenerator)
        side, axes = _multiple(network), {0: "batch", 2: "height", 3: "width"}
        shapes = [(1, side, side), (2, side, 2 * side)]
        made = {key: f"{name} x {network.scale}" if key and network.scale > 1 else name for key, name in axes.items()}
        if not network.masked:
            probes: list[tuple[Tensor, ...]] = [(noise(n, 3, h, w),) for n, h, w in shapes]
            return Graph(("picture",), "restored", {"picture": axes, "restored": made}, probes)
        probes = [(noise(n, 3, h, w), (noise(n, 1, h, w) > 0.5).float()) for n, h, w in shapes]
        return Graph(("picture", "holes"), "restored", {"picture": axes, "holes": axes, "restored": made}, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is added to the training's config for whoever loads the package."""
        del config, workspace
        assert isinstance(network, RestorationGenerator)
        holes = "; holes (N, 1, H, W), 1 where the picture is lost" if network.masked else ""
        return {
            "restores": network.task,
            "scale": network.scale,
            "multiple": _multiple(network),
            "input": f"RGB in [-1, 1], (N, 3, H, W); of the graph, H and W multiples of `multiple`{holes}",
        }

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        """Return a picture of what the model does."""
        restorer = Restorer(networks["generator"], config, "", torch.device("cpu"))
        wear, shown = Wear.of_package(config), views(workspace.prepared(config["style"]))
        left = [wear.specimen(str(i), np.asarray(view), wear.grades[-1]) for i, view in enumerate(shown)]
        made = [restorer(one.picture, one.mask) for one in left]
        size = shown[0].size
        return grid([[one.picture.resize(size, Image.Resampling.NEAREST) for one in left], made, shown])


def _multiple(network: RestorationGenerator) -> int:
    """Return what sides must be multiples of in the graph, which is traced where no layer has an odd one."""
    return int(2 ** max(len(network.unet.widths), LEVELS if network.masked else 0))
