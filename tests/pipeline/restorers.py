"""Small packages of the task `restore`, made by hand as the package stage makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipeline.files import write_json
from pipeline.inference import build_network
from pipeline.package import write_manifest
from tests.pipeline.training import smoke_params


def write_restorer(
    folder: Path, task: str = "inpaint", scale: int = 1, seed: int = 0, damage: Mapping[str, Any] | None = None
) -> Path:
    """Write a package with a tiny random network and return its folder; `damage` of its recipe in place of ours."""
    torch.manual_seed(seed)
    arguments = {"task": task, "scale": scale, "channels": 4, "depth": 3, "norm": "none", "dropout": 0.0}
    network = {"name": "restoration", "arguments": arguments}
    folder.mkdir(parents=True)
    save_file(build_network(network).state_dict(), folder / "generator.safetensors")
    settings = smoke_params(pix2pix={"task": task, "scale": max(2, scale), "damage": damage or {}}).tree()["pix2pix"]
    config = {
        "format": 1,
        "recipe": folder.name,
        "style": "ink",
        "method": "pix2pix",
        "task": "restore",
        "restores": task,
        "scale": scale,
        "seed": seed,
        "network": network,
        "training": {"pix2pix": settings},
    }
    write_json(folder / "config.json", config)
    write_manifest(folder, {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64})
    return folder
