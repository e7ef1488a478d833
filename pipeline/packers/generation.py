"""The packer of networks that make images out of noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from PIL import Image
from torch import nn

from pipeline.export import Graph
from pipeline.generation import Sampler
from pipeline.images import grid
from pipeline.networks.latent import LatentGenerator
from pipeline.packers.base import Networks, Packer, noise
from pipeline.workspace import Workspace

_ROWS, _COLUMNS = 4, 8  # images of a preview


class GenerationPacker(Packer):
    """Latents in, images out; beside it what reads codes off images, where there are codes."""

    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Return which averaged networks are packaged; `generator` is the first."""
        return ("generator", *config.get("beside", {}))

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        """Return what a network's ONNX graph takes and gives."""
        if name != "generator":
            side = config["network"]["arguments"]["side"]
            images = [(noise(count, 3, side, side),) for count in (2, 1, 3)]
            return Graph(("image",), "told", {"image": {0: "batch"}, "told": {0: "batch"}}, images)
        assert isinstance(network, LatentGenerator)
        draw = torch.Generator().manual_seed(0)
        probes = [(network.draw(count, draw),) for count in (2, 1, 3)]
        return Graph(("latent",), "image", {"latent": {0: "batch"}, "image": {0: "batch"}}, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        """Return what is added to the training's config for whoever loads the package."""
        del config, workspace
        assert isinstance(network, LatentGenerator)
        codes = {"codes": {"names": network.codes.names, **asdict(network.codes)}} if network.codes.names else {}
        return {
            **codes,
            "side": network.side,
            "latent": network.latent,
            "truncates": network.truncates,
            "input": "latents (N, `latent`), as `pipeline.generation` draws them of a seed; images are in [-1, 1]",
        }

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        """Return a picture of what the model does."""
        del workspace
        sampler = Sampler(networks["generator"], config, "", torch.device("cpu"))
        images = list(sampler(range(_ROWS * _COLUMNS)))
        return grid([images[row * _COLUMNS : (row + 1) * _COLUMNS] for row in range(_ROWS)], gap=4)
