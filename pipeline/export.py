"""A network as an ONNX graph, held against torch on more than one shape."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from pipeline.files import write_atomic

PARITY = 1e-3  # largest difference between torch and ONNX, in [-1, 1]


@dataclass(frozen=True)
class Graph:
    """What a graph takes and gives: names, free axes, and inputs on which it must agree with torch."""

    inputs: tuple[str, ...]  # in the order of the network's arguments
    output: str
    free: Mapping[str, Mapping[int, str]]  # input or output -> its axes of any length, and what they are called
    probes: Sequence[tuple[Tensor, ...]]  # the first one is traced


def export_onnx(network: nn.Module, path: Path, graph: Graph) -> None:
    """Write an ONNX graph and check it against torch on every probe.

    The tracing exporter is used: its graph holds no stack traces (hence no paths), which the newer one writes.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter announces its successor on every call; the reason to stay is above.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            graph.probes[0],
            buffer,  # type: ignore[arg-type]  # the tracing exporter writes to any binary stream
            dynamo=False,
            opset_version=18,
            input_names=list(graph.inputs),
            output_names=[graph.output],
            dynamic_axes={name: dict(axes) for name, axes in graph.free.items()},
        )
    onnx.checker.check_model(onnx.load_from_string(buffer.getvalue()))
    write_atomic(path, buffer.getvalue())
    for probe in graph.probes:
        _check_parity(network, path, graph.inputs, probe)


def _check_parity(network: nn.Module, path: Path, names: Sequence[str], probe: Sequence[Tensor]) -> None:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at import; else a device id is kept in the home folder
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {name: value.numpy() for name, value in zip(names, probe, strict=True)})
    with torch.inference_mode():
        difference = float((network(*probe) - torch.from_numpy(made)).abs().max())
    if not difference <= PARITY:
        shapes = [tuple(value.shape) for value in probe]
        raise RuntimeError(f"the ONNX graph differs from torch by {difference} at {shapes}, more than {PARITY}")
