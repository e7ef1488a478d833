"""On what a version was trained: enough to say whether another training must give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.files import digest_json, read_json, sha256_file
from pipeline.tracking import training_log
from pipeline.workspace import Workspace

DEVICE, CPU, LOCK = "trained_device", "trained_cpu", "requirements_lock"
LOCK_FILE = "requirements.lock"


def of_training(workspace: Workspace, recipe: str) -> dict[str, str]:
    """Return as tags on what a recipe's newest training ran; what is not known is left out.

    `trained_device` is `cpu` or `cuda`, `trained_cpu` the instruction set torch uses here, `requirements_lock` the
    SHA-256 of requirements.lock.
    """
    found = {LOCK: lock_digest(workspace.root)} if (workspace.root / LOCK_FILE).is_file() else {}
    log, config = training_log(workspace, recipe), workspace.trained(recipe) / "config.json"
    if log is None or not config.is_file() or log.key != digest_json(read_json(config)["digests"])[:16]:
        return found  # DVC took the training from its cache: it ran elsewhere, or earlier
    started = next((event for event in log.events()[0] if event.event == "start"), None)
    if started is not None and "device" in started.values:
        found |= {DEVICE: str(started.values["device"]), CPU: instruction_set()}
    return found


def instruction_set() -> str:
    """Return the CPU instructions that torch uses here, such as `AVX2`."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def lock_digest(root: Path) -> str:
    """Return the SHA-256 of a checkout's requirements.lock; empty where it has none."""
    path = root / LOCK_FILE
    return sha256_file(path) if path.is_file() else ""


def obstacles(tags: Mapping[str, str], lock_here: str) -> list[str]:
    """Return why a training here need not give the bytes of a version, in words; none if it must.

    Args:
        tags: the version's.
        lock_here: SHA-256 of the requirements.lock that is installed here.
    """
    if DEVICE not in tags:
        return ["it is not recorded on what the version was trained"]
    found = []
    if tags[DEVICE] != "cpu":
        found.append(f"it was trained on {tags[DEVICE]}, where sums come out otherwise each time")
    if tags.get(LOCK, "") != lock_here:
        found.append(f"{LOCK_FILE} is another now")
    if tags.get(CPU) != instruction_set():
        found.append(f"its CPU used {tags.get(CPU)} and this one uses {instruction_set()}")
    return found
