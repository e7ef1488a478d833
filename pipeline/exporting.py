"""Hand a package's network to other programs: ONNX (also in half precision), PyTorch's export format, safetensors."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from safetensors.torch import save
from torch import nn

from pipeline.export import PARITY, Graph, check_parity
from pipeline.files import write_atomic
from pipeline.inference import load_network, open_package, read_config, task_of
from pipeline.packers import packer_of

FORMATS = ("onnx", "pt2", "safetensors")
HALF_PARITY = 0.02  # largest difference between a graph in half precision and torch, in [-1, 1]: 2.5 levels of 255
# Sums over a picture, squares and quotients overflow or round away in half precision; they stay in single.
_SINGLE = ("ReduceMean", "Sqrt", "Reciprocal", "Div", "Pow", "Mul", "Add", "Sub", "Where", "Clip", "Greater", "Max")


def export(
    package: Path, out: Path, format: str, *, half: bool = False, name: str = "", expected: str | None = None
) -> Path:
    """Write a network of a package into one file, held against torch before it is there, and return it.

    Args:
        package: folder made by the package stage.
        out: the file.
        format: one of `FORMATS`. `onnx` and `pt2` take any batch and any size that the network takes; `safetensors`
            holds the weights, and the package's config in its metadata.
        half: convolutions in half precision, of `onnx` alone.
        name: which network; the generator, or `reverse`.
        expected: the package digest it must have, recorded outside of the folder.

    Raises:
        ValueError: an unknown format, a package that is damaged or has no such network.
        RuntimeError: the file's outputs are not torch's.
    """
    if format not in FORMATS:
        raise ValueError(f"--format {format}: choose one of {', '.join(FORMATS)}")
    if half and format != "onnx":
        raise ValueError(f"--half is of --format onnx, not of {format}")
    task = task_of(read_config(package))
    config, digest = open_package(package, task, expected)  # type: ignore[arg-type]  # what is no task is refused
    packer = packer_of(config)
    name = name or packer.names(config)[0]
    if name not in packer.names(config):
        raise ValueError(f"the package {package} has no network {name!r}; it has {', '.join(packer.names(config))}")
    network = load_network(package, config, name).eval().requires_grad_(False)
    graph = packer.graph(name, network, config)
    if format == "safetensors":
        told = {"config": json.dumps(config, sort_keys=True), "package": digest}
        return write_atomic(out, save(network.state_dict(), metadata=told))
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"network.{format}"
        if format == "onnx":
            _onnx(package / f"{name}.onnx", made, half)
            for probe in graph.probes:
                check_parity(network, made, graph, probe, HALF_PARITY if half else PARITY)
        else:
            _pt2(network, made, graph)
        data = made.read_bytes()
    return write_atomic(out, data)


def _onnx(source: Path, made: Path, half: bool) -> None:
    if not half:
        made.write_bytes(source.read_bytes())
        return
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    blocked = [*DEFAULT_OP_BLOCK_LIST, *_SINGLE]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are too small for half precision, which become 0
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True, op_block_list=blocked)
    made.write_bytes(model.SerializeToString())


def _pt2(network: nn.Module, made: Path, graph: Graph) -> None:
    """Write a torch program whose free axes are free, and hold it against the network."""
    example = max(graph.probes, key=lambda probe: len(probe[0]))  # a batch of one would be taken for a constant
    program = torch.export.export(network, example, dynamic_shapes=_free(graph))
    torch.export.save(program, made)
    loaded = torch.export.load(made).module()
    for probe in graph.probes:
        with torch.inference_mode():
            difference = float((network(*probe) - loaded(*probe)).abs().max())
        if not difference <= PARITY:
            raise RuntimeError(f"the exported program differs from torch by {difference}, more than {PARITY}")


def _free(graph: Graph) -> tuple[Mapping[int, Any], ...]:
    """Return the free axes of each input as torch names them."""
    dims: dict[str, Any] = {}
    for axis in {axis for name in graph.inputs for axis in graph.free[name].values()}:
        multiple = graph.multiples.get(axis, 1)
        dims[axis] = torch.export.Dim(axis) if multiple == 1 else multiple * torch.export.Dim(f"{axis}_", min=4)
    return tuple({place: dims[axis] for place, axis in graph.free[name].items()} for name in graph.inputs)
