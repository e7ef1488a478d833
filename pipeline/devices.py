"""What the machine offers, and how small things get to the device without anybody waiting."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

_CGROUP = Path("/sys/fs/cgroup")


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU `tensor` on `device`; neither the host nor the device waits for the copy."""
    if device.type != "cuda":
        return tensor.to(device)
    # From ordinary memory the copy would wait for everything that is queued on the device.
    return tensor.pin_memory().to(device, non_blocking=True)


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


def _meminfo() -> dict[str, int]:
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return {name: 1024 * int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}


def _cached() -> int:
    stat = _CGROUP / "memory.stat"
    fields = dict(line.split() for line in stat.read_text().splitlines()) if stat.is_file() else {}
    return int(fields.get("inactive_file", 0))
