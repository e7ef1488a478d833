"""A network as an ONNX graph, held against torch on more than one shape."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from pipeline.files import write_atomic
from pipeline.painting.statistics import Steered, measure, table_length, with_statistics

PARITY = 1e-3  # largest difference between torch and ONNX, in [-1, 1]
STATISTICS = "statistics"


@dataclass(frozen=True)
class Graph:
    """What a graph takes and gives: names, free axes, and inputs on which it must agree with torch."""

    inputs: tuple[str, ...]  # in the order of the network's arguments
    output: str
    free: Mapping[str, Mapping[int, str]]  # input or output -> its axes of any length, and what they are called
    probes: Sequence[tuple[Tensor, ...]]  # the first one is traced
    multiples: Mapping[str, int] = field(default_factory=dict)  # of what an axis must be a multiple, by its name
    steered: bool = False  # it takes statistics of instance norms as one more input, see `painting.statistics`


def export_onnx(network: nn.Module, path: Path, graph: Graph) -> None:
    """Write an ONNX graph and check it against torch on every probe.

    A steered graph of a network with instance norms has one more input, `statistics_given` (1, S, 2): what these are
    to normalise by instead of by the picture they see. It may be left out: it is zeros then, and zeros say that each
    picture's own are to be taken. And it has one more output, `statistics` (N, S, 2): what they saw.
    """
    steered = graph.steered and table_length(network) > 0
    write_atomic(path, _steered_bytes(network, graph) if steered else _bytes(network, graph, graph.probes[0]))
    for probe in graph.probes:
        check_parity(network, path, graph, probe, PARITY)
    if steered:
        _check_statistics(network, path, graph)


def _bytes(network: nn.Module, graph: Graph, example: tuple[Tensor, ...], extra: Sequence[str] = ()) -> bytes:
    """Return the bytes of a graph; `extra` are names of inputs that are outputs as well.

    The tracing exporter is used: its graph holds no stack traces (hence no paths), which the newer one writes.
    """
    buffer = io.BytesIO()
    axes = {name: dict(axes) for name, axes in graph.free.items()}
    with warnings.catch_warnings():
        # The exporter announces its successor on every call; the reason to stay is above.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            example,
            buffer,  # type: ignore[arg-type]  # the tracing exporter writes to any binary stream
            dynamo=False,
            opset_version=18,
            input_names=[*graph.inputs, *(f"{name}_given" for name in extra)],
            output_names=[graph.output, *extra],
            dynamic_axes=axes | {name: {0: "batch"} for name in extra},
        )
    onnx.checker.check_model(onnx.load_from_string(buffer.getvalue()))
    return buffer.getvalue()


def _steered_bytes(network: nn.Module, graph: Graph) -> bytes:
    """Return the bytes of a graph that takes statistics, zeros if it is given none."""
    zeros = torch.zeros(1, table_length(network), 2)
    model = onnx.load_from_string(_bytes(Steered(network).eval(), graph, (*graph.probes[0], zeros), [STATISTICS]))
    # ONNX knows one name for one value; an initializer of an input's name is that input's default.
    default = numpy_helper.from_array(np.zeros(zeros.shape, np.float32), f"{STATISTICS}_given")
    model.graph.initializer.append(default)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def session(path: Path, threads: int = 0) -> Any:
    """Return an onnxruntime session on the CPU; 0 threads: one a core."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at import; else a device id is kept in the home folder
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # it warns of every input that has a default, which is what is wanted
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check_parity(network: nn.Module, path: Path, graph: Graph, probe: Sequence[Tensor], tolerance: float) -> float:
    """Return by how much a graph differs from torch on inputs.

    Raises:
        RuntimeError: by more than `tolerance`.
    """
    given = {name: value.numpy() for name, value in zip(graph.inputs, probe, strict=True)}
    (made,) = session(path).run([graph.output], given)
    with torch.inference_mode():
        return _compare(network(*probe), made, probe, tolerance)


def _check_statistics(network: nn.Module, path: Path, graph: Graph) -> None:
    """Hold a graph that is given the statistics of another picture against a network that is."""
    (picture,), other = graph.probes[0], graph.probes[1][0][:1]
    table = measure(network, other)
    given = {graph.inputs[0]: picture.numpy(), f"{STATISTICS}_given": table.numpy()}
    (made,) = session(path).run([graph.output], given)
    with torch.inference_mode():
        _compare(with_statistics(network, table)(picture), made, (picture,), PARITY)
    (own,) = session(path).run([STATISTICS], {graph.inputs[0]: other.numpy()})
    _compare(table, own, (other,), PARITY)


def _compare(expected: Tensor, made: Any, probe: Sequence[Tensor], tolerance: float) -> float:
    difference = float((expected - torch.from_numpy(made)).abs().max())
    if not difference <= tolerance:
        shapes = [tuple(value.shape) for value in probe]
        raise RuntimeError(f"the ONNX graph differs from torch by {difference} at {shapes}, more than {tolerance}")
    return difference
