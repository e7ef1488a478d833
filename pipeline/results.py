"""What a training leaves behind: sample pictures, networks, tables and what it cost."""

from __future__ import annotations

import io
import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.files import write_atomic, write_json
from pipeline.params import Train


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a sample picture as a JPEG."""
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=90)
    write_atomic(path, data.getvalue())


def write_networks(path: Path, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write weights, network -> name -> tensor, as an npz file of arrays `network.name`."""
    arrays = {
        f"{name}.{key}": value.cpu().numpy() for name, weights in networks.items() for key, value in weights.items()
    }
    data = io.BytesIO()
    # npz and not safetensors: the training core must run with torch, torchvision, numpy and Pillow alone.
    np.savez(data, allow_pickle=False, **arrays)
    write_atomic(path, data.getvalue())


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with a `step` each as CSV, a column for every name in any of them; what is missing stays empty."""
    names = sorted({name for row in rows for name in row} - {"step"})
    lines = [",".join(["step", *names])]
    lines += [",".join([str(row["step"]), *(_cell(row.get(name)) for name in names)]) for row in rows]
    write_atomic(path, "\n".join(lines) + "\n")


def write_cost(
    path: Path, device: torch.device, settings: Train, seconds: float, steps: int, crops: Mapping[str, str]
) -> None:
    """Write what `steps` steps cost on this machine, and where the `crops` lived; nothing depends on it."""
    cost = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "seconds": round(seconds, 1),
        "steps": steps,
        "seconds_per_step": round(seconds / max(steps, 1), 4),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "crops": dict(crops),
        "settings": asdict(settings),
    }
    write_json(path, cost)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
