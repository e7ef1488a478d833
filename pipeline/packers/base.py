"""What the package stage asks of a task, and what its packers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.colour import lab_statistics
from pipeline.data import read_index
from pipeline.export import Graph
from pipeline.workspace import Workspace

PAIRS = 4  # pictures of a preview, each way

Networks: TypeAlias = Mapping[str, nn.Module]


class Packer(ABC):
    """What is particular to a task when its networks are packaged."""

    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Return which averaged networks are packaged; `generator` is the first."""
        del config
        return ("generator",)

    @abstractmethod
    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        """Return what a network's ONNX graph takes and gives."""

    @abstractmethod
    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is added to the training's config for whoever loads the package."""

    def files(self, config: Mapping[str, Any], workspace: Workspace) -> dict[str, bytes]:
        """Return what else the package holds, by file name."""
        del config, workspace
        return {}

    @abstractmethod
    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        """Return a picture of what the model does."""


def noise(*shape: int) -> Tensor:
    """Return numbers in [-1, 1] that are always the same: what a graph is traced and checked with."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def views(prepared: Path) -> list[Image.Image]:
    """Return the first held-out views of a collection; the same number of each, or a grid has holes."""
    found = []
    for entry in read_index(prepared)["test"][:PAIRS]:
        with Image.open(prepared / entry["file"]) as image:
            found.append(image.convert("RGB"))
    return found


def palette(prepared: Path) -> dict[str, list[float]]:
    """Return mean and deviation of the training paintings' pixels in Lab: what Lab colour transfer aims at."""
    crops = []
    for entry in read_index(prepared)["train"]:
        with Image.open(prepared / entry["file"]) as image:
            crops.append(np.asarray(image))
    mean, deviation = lab_statistics(crops)
    return {"lab_mean": [float(v) for v in mean], "lab_std": [float(v) for v in deviation]}
