"""Stage: trained generator -> model package. Every byte follows from the stage's inputs."""

from __future__ import annotations

import argparse
import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from pipeline import warm_start
from pipeline.colour import lab_statistics
from pipeline.data import read_index
from pipeline.entry import run_stage
from pipeline.files import read_json, sha256_file, staged_directory, write_atomic, write_json
from pipeline.images import grid
from pipeline.inference import Stylizer, build_network, generator_weights, package_digest
from pipeline.recipes import load_book, recipe_params
from pipeline.workspace import PHOTOS, Workspace

TRAINED_ON = "trained_on.json"
FILES = {"last": "networks.npz", "best": "best.npz"}  # what `train.package` chooses from
PARITY = 1e-3  # largest difference between torch and ONNX, in [-1, 1]
_PREVIEW = 4  # before/after pairs


def main(recipe: str, workspace: Workspace) -> Path:
    """Write `models/<recipe>/` and return it: weights, ONNX graph, config, preview, training images and manifest.

    Raises:
        ValueError: the training's result is missing, or not finite.
    """
    trained = workspace.trained(recipe)
    if not (trained / "config.json").is_file():
        raise ValueError(f"{trained} holds no trained networks; run `dvc repro train@{recipe}` first")
    config = read_json(trained / "config.json")
    which = recipe_params(workspace, load_book(workspace).recipe(recipe)).train.package
    with staged_directory(workspace.package(recipe)) as folder:
        network = _write_network(folder, "generator", config, trained / FILES[which])
        reverse = _write_network(folder, "reverse", config, trained / FILES[which]) if config["reverse"] else None
        digests = config.pop("digests")
        config |= {
            "packaged": {"which": which, "step": config["validation"][which]["step"], "why": _why(config, which)},
            "multiple": network.multiple,
            "palette": _palette(workspace.prepared(config["style"])),
            "input": "RGB in [-1, 1], (N, 3, H, W); H and W multiples of `multiple`, at least four times it",
        }
        write_json(folder / "config.json", config)
        collections = {name: workspace.prepared(name) for name in (PHOTOS, config["style"])}
        write_json(folder / TRAINED_ON, _learnt(collections, workspace.warm_start(config["warm_start"])))
        stylizer = Stylizer(network, config, "", torch.device("cpu"), reverse)
        _write_preview(folder, stylizer, workspace.prepared(PHOTOS), workspace.prepared(config["style"]))
        write_manifest(folder, digests)
    return workspace.package(recipe)


def _write_network(folder: Path, name: str, config: Mapping[str, Any], trained: Path) -> nn.Module:
    """Write the weights and the ONNX graph of one trained generator, and return it."""
    network = build_network(config["network"])
    weights = generator_weights(trained, name)
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    write_atomic(folder / f"{name}.safetensors", save(weights))
    ends = ("painting", "photo") if name == "reverse" else ("photo", "painting")
    export_onnx(network, folder / f"{name}.onnx", config["network"]["arguments"]["downsamplings"], ends)
    return network


def export_onnx(
    network: nn.Module, path: Path, downsamplings: int, ends: tuple[str, str] = ("photo", "painting")
) -> None:
    """Write an ONNX graph with dynamic batch, height and width, and check it against torch at two sizes.

    Args:
        network: the generator.
        path: of the file.
        downsamplings: how often the generator halves its input.
        ends: the names of what goes in and of what comes out.

    The tracing exporter is used: its graph holds no stack traces (hence no paths), which the newer one writes.
    """
    side = 16 * 2**downsamplings
    buffer = io.BytesIO()
    dynamic = {name: {0: "batch", 2: "height", 3: "width"} for name in ends}
    with warnings.catch_warnings():
        # The exporter announces its successor on every call; the reason to stay is above.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, side, side),),
            buffer,  # type: ignore[arg-type]  # the tracing exporter writes to any binary stream
            dynamo=False,
            opset_version=18,
            input_names=[ends[0]],
            output_names=[ends[1]],
            dynamic_axes=dynamic,
        )
    onnx.checker.check_model(onnx.load_from_string(buffer.getvalue()))
    write_atomic(path, buffer.getvalue())
    for shape in ((1, 3, side, side), (2, 3, side // 2, side * 2)):
        _check_parity(network, path, shape)


def write_manifest(folder: Path, digests: dict[str, str]) -> dict[str, Any]:
    """Write and return the manifest of a package folder: content-determined fields only."""
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.name != "manifest.json"}
    manifest: dict[str, Any] = {"format": 1, "files": files, "digests": digests}
    manifest["package"] = package_digest(manifest)
    write_json(folder / "manifest.json", manifest)
    return manifest


def _check_parity(network: nn.Module, path: Path, shape: tuple[int, ...]) -> None:
    photo = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at import; else a device id is kept in the home folder
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (painted,) = session.run(None, {session.get_inputs()[0].name: photo.numpy()})
    with torch.inference_mode():
        difference = float((network(photo) - torch.from_numpy(painted)).abs().max())
    if not difference <= PARITY:
        raise RuntimeError(f"the ONNX graph differs from torch by {difference} at {shape}, more than {PARITY}")


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


def _palette(prepared: Path) -> dict[str, list[float]]:
    """Return mean and deviation of the training paintings' pixels in Lab: what Lab colour transfer aims at."""
    crops = []
    for entry in read_index(prepared)["train"]:
        with Image.open(prepared / entry["file"]) as image:
            crops.append(np.asarray(image))
    mean, deviation = lab_statistics(crops)
    return {"lab_mean": [float(v) for v in mean], "lab_std": [float(v) for v in deviation]}


def _write_preview(folder: Path, stylizer: Stylizer, photos: Path, paintings: Path) -> None:
    views = _views(photos)
    rows = [views, [stylizer(view) for view in views]]
    if stylizer.reverse is not None:
        views = _views(paintings)
        rows += [views, [stylizer(view, reverse=True) for view in views]]
    data = io.BytesIO()
    grid(rows).save(data, "JPEG", quality=90)
    write_atomic(folder / "preview.jpg", data.getvalue())


def _views(prepared: Path) -> list[Image.Image]:
    """Return the first held-out views of a collection; the same number of each, or a grid has holes."""
    views = []
    for entry in read_index(prepared)["test"][:_PREVIEW]:
        with Image.open(prepared / entry["file"]) as image:
            views.append(image.convert("RGB"))
    return views


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
