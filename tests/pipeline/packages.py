"""Small packages, made by hand as the package stage makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.files import write_json
from pipeline.workspace import Workspace


def write_package(
    workspace: Workspace, recipe: str, seed: int = 0, trained_on: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Write `models/<recipe>/` with a tiny random generator; return the package's digest.

    Without `trained_on` (collection -> sha256s) it is one of before that was recorded.
    """
    import torch
    from safetensors.torch import save_file

    from pipeline.inference import build_network
    from pipeline.package import TRAINED_ON, write_manifest

    torch.manual_seed(seed)
    network = {"name": "resnet", "arguments": {"channels": 4, "blocks": 1, "downsamplings": 1, "antialias": False}}
    folder = workspace.package(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    built = build_network(network)
    save_file(built.state_dict(), folder / "generator.safetensors")
    write_json(
        folder / "config.json",
        {
            "format": 1,
            "recipe": recipe,
            "style": recipe,
            "method": "cut",
            "task": "stylize",
            "view": 32,
            "seed": seed,
            "network": network,
            "multiple": 2,
            "palette": {"lab_mean": [50.0, 0.0, 0.0], "lab_std": [10.0, 5.0, 5.0]},
        },
    )
    (folder / TRAINED_ON).unlink(missing_ok=True)
    if trained_on is not None:
        write_json(folder / TRAINED_ON, trained_on)
    return str(write_manifest(folder, {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64})["package"])


def empty_workspace(root: Path) -> Workspace:
    """Return a workspace without code or repository: enough for registry and tracking."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    return Workspace(root)
