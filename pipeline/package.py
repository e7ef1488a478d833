"""Stage: trained generator -> model package. Every byte follows from the stage's inputs."""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from pipeline import warm_start
from pipeline.data import read_index
from pipeline.entry import run_stage
from pipeline.export import export_onnx
from pipeline.files import read_json, sha256_file, staged_directory, write_atomic, write_json
from pipeline.inference import build_network, description_of, generator_weights, package_digest
from pipeline.networks.layers import plain_weights
from pipeline.packers import packer_of
from pipeline.recipes import load_book, recipe_params
from pipeline.workspace import Workspace

TRAINED_ON = "trained_on.json"
FILES = {"last": "networks.npz", "best": "best.npz"}  # what `train.package` chooses from


def main(recipe: str, workspace: Workspace) -> Path:
    """Write `models/<recipe>/` and return it: weights, ONNX graph, config, preview, training images and manifest.

    Raises:
        ValueError: the training's result is missing, or not finite.
    """
    trained = workspace.trained(recipe)
    if not (trained / "config.json").is_file():
        raise ValueError(f"{trained} holds no trained networks; run `dvc repro train@{recipe}` first")
    config = read_json(trained / "config.json")
    entry = load_book(workspace).recipe(recipe)
    which = recipe_params(workspace, entry).train.package
    packer = packer_of(config)
    networks = {name: _network(config, trained / FILES[which], name) for name in packer.names(config)}
    with staged_directory(workspace.package(recipe)) as folder:
        for name, network in networks.items():
            write_atomic(folder / f"{name}.safetensors", save(network.state_dict()))
            export_onnx(network, folder / f"{name}.onnx", packer.graph(name, network, config))
        digests = config.pop("digests")
        config |= {
            "packaged": {"which": which, "step": config["validation"][which]["step"], "why": _why(config, which)},
            **packer.facts(networks["generator"], config, workspace),
        }
        write_json(folder / "config.json", config)
        for name, content in packer.files(config, workspace).items():
            write_atomic(folder / name, content)
        collections = {name: workspace.prepared(name) for name in entry.collections}
        write_json(folder / TRAINED_ON, _learnt(collections, workspace.warm_start(config["warm_start"])))
        data = io.BytesIO()
        packer.preview(networks, config, workspace).save(data, "JPEG", quality=90)
        write_atomic(folder / "preview.jpg", data.getvalue())
        write_manifest(folder, digests)
    return workspace.package(recipe)


def _network(config: Mapping[str, Any], trained: Path, name: str) -> nn.Module:
    """Return an averaged network of a training, ready for use."""
    network = build_network(description_of(config, name))
    network.load_state_dict(plain_weights(generator_weights(trained, name)))
    return network.eval().requires_grad_(False)


def write_manifest(folder: Path, digests: dict[str, str]) -> dict[str, Any]:
    """Write and return the manifest of a package folder: content-determined fields only."""
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.name != "manifest.json"}
    manifest: dict[str, Any] = {"format": 1, "files": files, "digests": digests}
    manifest["package"] = package_digest(manifest)
    write_json(folder / "manifest.json", manifest)
    return manifest


def _why(config: Mapping[str, Any], which: str) -> str:
    """Return a sentence about which of a training's networks were taken, and what the others were like."""
    last, best = (config["validation"][name] for name in ("last", "best"))
    if best["step"] == last["step"]:
        return f"the last of {last['step']} steps, which is also the best on the watch's panel"
    figures = f"{best['validation']:.3f} at step {best['step']}, the last ({last['step']}) {last['validation']:.3f}"
    if which == "best":
        return f"the best on the watch's panel, as train.package says: {figures} (less is better)"
    return f"the last, as train.package says; the best on the watch's panel scored {figures} (less is better)"


def _learnt(collections: Mapping[str, Path], began_with: Path) -> dict[str, list[str]]:
    """Return all images that left a trace in the weights, collection -> sha256s: those of the warm start too."""
    learnt = {name: set(_trained_on(prepared)) for name, prepared in collections.items()}
    for name, images in warm_start.trained_on(began_with).items():
        learnt.setdefault(name, set()).update(images)
    return {name: sorted(images) for name, images in learnt.items()}


def _trained_on(prepared: Path) -> list[str]:
    """Return the sha256 of every image a collection was trained on, sorted; held-out images taught nothing."""
    return sorted(entry["image"] for entry in read_index(prepared)["train"])


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.package",
        description="Package a trained recipe. Example: python -m pipeline.package monet",
    )
    parser.add_argument("recipe")
    folder = main(parser.parse_args().recipe, Workspace(Path.cwd()))
    print(f"the model package is {folder}")


if __name__ == "__main__":
    run_stage(_command)
