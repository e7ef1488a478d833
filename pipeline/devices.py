"""What the machine offers, and how small things get to the device without anybody waiting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU `tensor` on `device`; neither the host nor the device waits for the copy."""
    if device.type != "cuda":
        return tensor.to(device)
    # From ordinary memory the copy would wait for everything that is queued on the device.
    return tensor.pin_memory().to(device, non_blocking=True)


def choose_precision(wanted: Literal["auto", "fp32", "bf16"], device: torch.device) -> torch.dtype:
    """Return what networks compute in: bfloat16 or float32. `auto` is bfloat16 on the CUDA devices that have it.

    Raises:
        ValueError: bfloat16 is asked for and the device does not have it: it would be emulated, and slow.
    """
    has = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _cpu_has_bf16()
    if wanted == "bf16" and not has:
        raise ValueError(
            f"train.precision is 'bf16' but this {device.type} has no bfloat16; set it to 'auto' or 'fp32'"
        )
    # On a CPU only when asked for: its results are bit for bit those of another machine in float32 alone.
    fast = wanted == "bf16" or (wanted == "auto" and device.type == "cuda" and has)
    return torch.bfloat16 if fast else torch.float32


def free_device_memory(device: torch.device) -> int:
    """Return the free bytes of a CUDA device, or of the host, which is a CPU's memory."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_host_memory()


def free_host_memory() -> int:
    """Return the bytes that a process may still take: of the machine, or of the container if that has fewer."""
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = _meminfo().get("MemAvailable", pages)
    limit, used = (_CGROUP / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        # Files that the kernel keeps in memory count as used, but give way when memory is asked for.
        return max(0, min(available, int(text) - int(used.read_text()) + _cached()))
    return available


def _cpu_has_bf16() -> bool:
    return _CPUINFO.is_file() and not {"avx512_bf16", "amx_bf16"}.isdisjoint(_CPUINFO.read_text().split())


def _meminfo() -> dict[str, int]:
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return {name: 1024 * int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}


def _cached() -> int:
    stat = _CGROUP / "memory.stat"
    fields = dict(line.split() for line in stat.read_text().splitlines()) if stat.is_file() else {}
    return int(fields.get("inactive_file", 0))
