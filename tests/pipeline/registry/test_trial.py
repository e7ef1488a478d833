"""Before it becomes champion a version does what its task asks: it paints, makes, mends, after references or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline import group, package, train
from pipeline.files import read_json, write_json
from pipeline.inference import build_network
from pipeline.package import write_manifest
from pipeline.params import load_params
from pipeline.recipes import add_recipe
from pipeline.registry import RegistryError, Version
from pipeline.registry.trial import try_out
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.restorers import write_restorer
from tests.pipeline.training import prepare_by_hand, tiny_workspace

DIGESTS = {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64}


def sampler(folder: Path) -> None:
    torch.manual_seed(0)
    network = {"name": "dcgan", "arguments": {"latent": 6, "channels": 4, "side": 16}}
    folder.mkdir(parents=True)
    save_file(build_network(network).state_dict(), folder / "generator.safetensors")
    config = {"format": 1, "recipe": folder.name, "style": "ink", "method": "dcgan", "task": "generate", "side": 16}
    write_json(folder / "config.json", {**config, "seed": 0, "network": network})
    write_manifest(folder, DIGESTS)


def referring(workspace: Workspace) -> None:
    torch.set_num_threads(1)
    tiny_workspace(workspace.root, "adain")
    prepare_by_hand(workspace.prepared("lines"), "paintings", load_params(workspace.params_file), seed=7)
    workspace.recipes_file.write_text(workspace.recipes_file.read_text().replace("- dots", "- dots\n- lines"))
    add_recipe(workspace, "many", "adain", ["dots", "lines"])
    for style in ("dots", "lines"):
        group.main("many-styles", style, workspace)
    train.main("many", workspace)
    package.main("many", workspace)


MAKERS: dict[str, Callable[[Workspace], object]] = {
    "paints": lambda w: write_package(w, "many"),
    "makes": lambda w: sampler(w.package("many")),
    "fills holes": lambda w: write_restorer(w.package("many")),
    "cleans": lambda w: write_restorer(w.package("many"), "restore"),
    "enlarges": lambda w: write_restorer(w.package("many"), "super_resolution", scale=2),
    "paints after references": referring,
}


def version(workspace: Workspace) -> Version:
    folder = workspace.package("many")
    return Version("many", 1, read_json(folder / "manifest.json")["package"], {}, folder)


@pytest.mark.parametrize("what", MAKERS)
def test_what_works_passes_and_what_does_not_is_named(what: str, tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    MAKERS[what](workspace)
    try_out(workspace, version(workspace))
    folder = workspace.package("many")
    weights = load_file(folder / "generator.safetensors")
    floats = [name for name, values in weights.items() if values.is_floating_point()]
    name = min(floats, key=lambda name: weights[name].numel())
    weights[name] = torch.full_like(weights[name], torch.nan)
    save_file(weights, folder / "generator.safetensors")
    digests = read_json(folder / "manifest.json")["digests"]
    write_manifest(folder, digests)
    with pytest.raises(RegistryError, match="many version 1 cannot be used: "):
        try_out(workspace, version(workspace))


def test_a_package_of_a_task_that_nobody_knows_is_not_put_to_use(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    write_package(workspace, "many")
    folder = workspace.package("many")
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "task": "sing"})
    write_manifest(folder, DIGESTS)
    with pytest.raises(RegistryError, match="many version 1 cannot be used: "):
        try_out(workspace, version(workspace))
