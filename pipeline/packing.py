"""What a package holds besides weights, task by task: its ONNX graph, facts for whoever loads it, a preview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.catalogue import Task
from pipeline.colour import lab_statistics
from pipeline.damage.held_out import Wear
from pipeline.data import read_index
from pipeline.export import Graph
from pipeline.generation import Sampler
from pipeline.images import grid
from pipeline.inference import Stylizer, references_file, write_references
from pipeline.networks.adain import AdainGenerator
from pipeline.networks.filling import LEVELS
from pipeline.networks.latent import LatentGenerator
from pipeline.networks.unet import RestorationGenerator
from pipeline.restoration import Restorer
from pipeline.workspace import PHOTOS, Workspace

_PAIRS = 4  # pictures of a preview, each way
_REFERENCES = 8  # crops of each style that a package holds to paint after
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

    def files(self, config: Mapping[str, Any], workspace: Workspace) -> dict[str, bytes]:
        """Return what else the package holds, by file name."""
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
        side = 16 * 2 ** config["network"]["arguments"]["downsamplings"]
        axes = {0: "batch", 2: "height", 3: "width"}
        probes = [(_noise(1, 3, side, side),), (_noise(2, 3, side // 2, side * 2),)]
        return Graph((given,), made, {given: axes, made: axes}, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        return {
            "multiple": network.multiple,
            "palette": _palette(workspace.prepared(config["style"])),
            "input": "RGB in [-1, 1], (N, 3, H, W); H and W multiples of `multiple`, at least four times it",
        }

    def files(self, config: Mapping[str, Any], workspace: Workspace) -> dict[str, bytes]:
        del config, workspace
        return {}

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
class _Refer:
    """Photographs repainted after references: one graph takes both, and the package brings some of each style."""

    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        del config
        return ("generator",)

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        del name, config
        assert isinstance(network, AdainGenerator)
        side = 8 * network.multiple
        probes = []
        for photos, references, strength in ((2, 2, 0.5), (1, 3, 1.0)):
            given = _noise(photos, 3, side * photos, side), _noise(references, 3, side, side + network.multiple)
            probes.append((*given, torch.full((references,), 1 / references), torch.tensor([strength])))
        free = {
            "photo": {0: "batch", 2: "height", 3: "width"},
            "reference": {0: "references", 2: "reference_height", 3: "reference_width"},
            "weights": {0: "references"},
            "painting": {0: "batch", 2: "height", 3: "width"},
        }
        return Graph(("photo", "reference", "weights", "strength"), "painting", free, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        return _Stylize().facts(network, config, workspace) | {
            "references": "RGB in [-1, 1], (R, 3, h, w) of any size, with weights (R,) of sum 1; strength is (1,)"
        }

    def files(self, config: Mapping[str, Any], workspace: Workspace) -> dict[str, bytes]:
        return {
            references_file(style): write_references(_references(workspace.prepared(style)))
            for style in config["styles"]
        }

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        styles = {style: _references(workspace.prepared(style))[:1] for style in config["styles"][:_PAIRS]}
        stylizer = Stylizer(networks["generator"], dict(config), "", torch.device("cpu"), references=styles)
        views = _views(workspace.prepared(PHOTOS))
        blank = Image.new("RGB", views[0].size, "white")
        rows = [[blank, *views]]
        for style, (reference,) in styles.items():
            painted = [stylizer(view, style=style) for view in views]
            rows.append([reference.resize(blank.size, Image.Resampling.LANCZOS), *painted])
        return grid(rows)


@dataclass(frozen=True)
class _Generate:
    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        return ("generator", *config.get("beside", {}))

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        if name != "generator":
            side = config["network"]["arguments"]["side"]
            images = [(_noise(count, 3, side, side),) for count in (2, 1, 3)]
            return Graph(("image",), "told", {"image": {0: "batch"}, "told": {0: "batch"}}, images)
        assert isinstance(network, LatentGenerator)
        draw = torch.Generator().manual_seed(0)
        probes = [(network.draw(count, draw),) for count in (2, 1, 3)]
        return Graph(("latent",), "image", {"latent": {0: "batch"}, "image": {0: "batch"}}, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
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

    def files(self, config: Mapping[str, Any], workspace: Workspace) -> dict[str, bytes]:
        del config, workspace
        return {}

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        del workspace
        sampler = Sampler(networks["generator"], config, "", torch.device("cpu"))
        images = list(sampler(range(_ROWS * _COLUMNS)))
        return grid([images[row * _COLUMNS : (row + 1) * _COLUMNS] for row in range(_ROWS)], gap=4)


@dataclass(frozen=True)
class _Restore:
    def names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        del config
        return ("generator",)

    def graph(self, name: str, network: nn.Module, config: Mapping[str, Any]) -> Graph:
        del name, config
        assert isinstance(network, RestorationGenerator)
        side, axes = _multiple(network), {0: "batch", 2: "height", 3: "width"}
        shapes = [(1, side, side), (2, side, 2 * side)]
        made = {key: f"{name} x {network.scale}" if key and network.scale > 1 else name for key, name in axes.items()}
        if not network.masked:
            probes: list[tuple[Tensor, ...]] = [(_noise(n, 3, h, w),) for n, h, w in shapes]
            return Graph(("picture",), "restored", {"picture": axes, "restored": made}, probes)
        probes = [(_noise(n, 3, h, w), (_noise(n, 1, h, w) > 0.5).float()) for n, h, w in shapes]
        return Graph(("picture", "holes"), "restored", {"picture": axes, "holes": axes, "restored": made}, probes)

    def facts(self, network: nn.Module, config: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
        del config, workspace
        assert isinstance(network, RestorationGenerator)
        holes = "; holes (N, 1, H, W), 1 where the picture is lost" if network.masked else ""
        return {
            "restores": network.task,
            "scale": network.scale,
            "multiple": _multiple(network),
            "input": f"RGB in [-1, 1], (N, 3, H, W); of the graph, H and W multiples of `multiple`{holes}",
        }

    def files(self, config: Mapping[str, Any], workspace: Workspace) -> dict[str, bytes]:
        del config, workspace
        return {}

    def preview(self, networks: Networks, config: Mapping[str, Any], workspace: Workspace) -> Image.Image:
        restorer = Restorer(networks["generator"], config, "", torch.device("cpu"))
        wear, views = Wear.of_package(config), _views(workspace.prepared(config["style"]))
        left = [wear.specimen(str(i), np.asarray(view), wear.grades[-1]) for i, view in enumerate(views)]
        made = [restorer(one.picture, one.mask) for one in left]
        size = views[0].size
        return grid([[one.picture.resize(size, Image.Resampling.NEAREST) for one in left], made, views])


PACKERS: Mapping[Task, Packer] = MappingProxyType(
    {"stylize": _Stylize(), "generate": _Generate(), "restore": _Restore()}
)


def _multiple(network: RestorationGenerator) -> int:
    """Return what sides must be multiples of in the graph, which is traced where no layer has an odd one."""
    return int(2 ** max(len(network.unet.widths), LEVELS if network.masked else 0))


def packer_of(config: Mapping[str, Any]) -> Packer:
    """Return what packs a training's networks."""
    return _Refer() if config.get("reference") else PACKERS[config["task"]]


def _noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _views(prepared: Path) -> list[Image.Image]:
    """Return the first held-out views of a collection; the same number of each, or a grid has holes."""
    views = []
    for entry in read_index(prepared)["test"][:_PAIRS]:
        with Image.open(prepared / entry["file"]) as image:
            views.append(image.convert("RGB"))
    return views


def _references(prepared: Path) -> list[Image.Image]:
    """Return the first crop of the first training paintings of a collection, by hash: nobody picked them."""
    crops = []
    for entry in read_index(prepared)["train"][:_REFERENCES]:
        with Image.open(prepared / entry["file"]) as strip:
            crops.append(strip.convert("RGB").crop((0, 0, strip.width, strip.width)))
    return crops


def _palette(prepared: Path) -> dict[str, list[float]]:
    """Return mean and deviation of the training paintings' pixels in Lab: what Lab colour transfer aims at."""
    crops = []
    for entry in read_index(prepared)["train"]:
        with Image.open(prepared / entry["file"]) as image:
            crops.append(np.asarray(image))
    mean, deviation = lab_statistics(crops)
    return {"lab_mean": [float(v) for v in mean], "lab_std": [float(v) for v in deviation]}
