"""What a package holds besides weights, task by task: its ONNX graph, facts for whoever loads it, a preview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.catalogue import Task
from pipeline.colour import lab_statistics
from pipeline.data import read_index
from pipeline.export import Graph
from pipeline.generation import Sampler
from pipeline.images import grid
from pipeline.inference import Stylizer
from pipeline.networks.latent import LatentGenerator
from pipeline.workspace import PHOTOS, Workspace

_PAIRS = 4  # photographs of a preview
_ROWS, _COLUMNS = 4, 8  # images of a preview


class Packer(Protocol):
    """What the package stage asks of a task."""

    def graph(self, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        """Return what the ONNX graph takes and gives."""
        ...

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is added to the training's config for whoever loads the package."""
        ...

    def preview(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        """Return a picture of what the model does."""
        ...


@dataclass(frozen=True)
class _Stylize:
    def graph(self, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        multiple = 2 ** config["network"]["arguments"]["downsamplings"]
        side = 16 * multiple
        axes = {0: "batch", 2: "height", 3: "width"}
        probes = [(_noise(1, 3, side, side),), (_noise(2, 3, side // 2, side * 2),)]
        return Graph(("photo",), "painting", {"photo": axes, "painting": axes}, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        return {
            "multiple": network.multiple,
            "palette": _palette(workspace.prepared(config["style"])),
            "input": "RGB in [-1, 1], (N, 3, H, W); H and W multiples of `multiple`, at least four times it",
        }

    def preview(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        stylizer = Stylizer(network, dict(config), "", torch.device("cpu"))
        prepared, views = workspace.prepared(PHOTOS), []
        for entry in read_index(prepared)["test"][:_PAIRS]:
            with Image.open(prepared / entry["file"]) as image:
                views.append(image.convert("RGB"))
        return grid([views, [stylizer(view) for view in views]])


@dataclass(frozen=True)
class _Generate:
    def graph(self, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        del config
        assert isinstance(network, LatentGenerator)
        draw = torch.Generator().manual_seed(0)
        probes = [(network.draw(count, draw),) for count in (2, 1, 3)]
        return Graph(("latent",), "image", {"latent": {0: "batch"}, "image": {0: "batch"}}, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        del config, workspace
        assert isinstance(network, LatentGenerator)
        return {
            "side": network.side,
            "latent": network.latent,
            "truncates": network.truncates,
            "input": "latents (N, `latent`), as `pipeline.generation` draws them of a seed; images are in [-1, 1]",
        }

    def preview(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        del workspace
        images = list(Sampler(network, config, "", torch.device("cpu"))(range(_ROWS * _COLUMNS)))
        return grid([images[row * _COLUMNS : (row + 1) * _COLUMNS] for row in range(_ROWS)], gap=4)


PACKERS: Mapping[Task, Packer] = MappingProxyType({"stylize": _Stylize(), "generate": _Generate()})


def _noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _palette(prepared: Path) -> dict[str, list[float]]:
    """Return mean and deviation of the training paintings' pixels in Lab: what Lab colour transfer aims at."""
    crops = []
    for entry in read_index(prepared)["train"]:
        with Image.open(prepared / entry["file"]) as image:
            crops.append(np.asarray(image))
    mean, deviation = lab_statistics(crops)
    return {"lab_mean": [float(v) for v in mean], "lab_std": [float(v) for v in deviation]}
