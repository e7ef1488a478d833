"""What a package holds besides weights, task by task: its ONNX graph, facts for whoever loads it, a preview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

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

_PAIRS = 4  # pictures of a preview, each way
_ROWS, _COLUMNS = 4, 8  # images of a preview

Networks: TypeAlias = Mapping[str, nn.Module]


class Packer(Protocol):
    """What the package stage asks of a task."""

    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Return which averaged networks are packaged; `generator` is the first."""
        ...

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        """Return what a network's ONNX graph takes and gives."""
        ...

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is added to the training's config for whoever loads the package."""
        ...

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        """Return a picture of what the model does."""
        ...


@dataclass(frozen=True)
class _Stylize:
    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        return ("generator", "reverse") if config["reverse"] else ("generator",)

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        del network
        given, made = ("painting", "photo") if name == "reverse" else ("photo", "painting")
        multiple = 2 ** config["network"]["arguments"]["downsamplings"]
        axes = {0: "batch", 2: "height", 3: "width"}
        probes = [(_noise(1, 3, 16 * multiple, 16 * multiple),), (_noise(2, 3, 8 * multiple, 32 * multiple),)]
        multiples = {"height": multiple, "width": multiple}
        return Graph((given,), made, {given: axes, made: axes}, probes, multiples, steered=True)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        return {
            "multiple": network.multiple,
            "palette": _palette(workspace.prepared(config["style"])),
            "input": "RGB in [-1, 1], (N, 3, H, W); H and W multiples of `multiple`, at least four times it",
            "statistics": "(N, S, 2), which the ONNX graph gives of what it saw; a picture's, as `statistics_given`, "
            "let its parts be painted alike",
        }

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        back = networks.get("reverse")
        stylizer = Stylizer(networks["generator"], dict(config), "", torch.device("cpu"), back)
        views = _views(workspace.prepared(PHOTOS))
        rows = [views, [stylizer(view) for view in views]]
        if back is not None:
            views = _views(workspace.prepared(config["style"]))
            rows += [views, [stylizer(view, reverse=True) for view in views]]
        return grid(rows)


@dataclass(frozen=True)
class _Generate:
    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        del config
        return ("generator",)

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        del name, config
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

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        del workspace
        sampler = Sampler(networks["generator"], config, "", torch.device("cpu"))
        images = list(sampler(range(_ROWS * _COLUMNS)))
        return grid([images[row * _COLUMNS : (row + 1) * _COLUMNS] for row in range(_ROWS)], gap=4)


PACKERS: Mapping[Task, Packer] = MappingProxyType({"stylize": _Stylize(), "generate": _Generate()})


def _noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _views(prepared: Path) -> list[Image.Image]:
    """Return the first held-out views of a collection; the same number of each, or a grid has holes."""
    views = []
    for entry in read_index(prepared)["test"][:_PAIRS]:
        with Image.open(prepared / entry["file"]) as image:
            views.append(image.convert("RGB"))
    return views


def _palette(prepared: Path) -> dict[str, list[float]]:
    """Return mean and deviation of the training paintings' pixels in Lab: what Lab colour transfer aims at."""
    crops = []
    for entry in read_index(prepared)["train"]:
        with Image.open(prepared / entry["file"]) as image:
            crops.append(np.asarray(image))
    mean, deviation = lab_statistics(crops)
    return {"lab_mean": [float(v) for v in mean], "lab_std": [float(v) for v in deviation]}
