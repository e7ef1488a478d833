"""Warm starts: trained networks that another training begins with, as named folders that never change.

`warm/<name>/` holds all networks of a training (`networks.npz`) and where they come from (`origin.json`). A recipe
names one as its `warm_start`, which makes the folder an input of its train stage; `none` holds no networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.files import read_json, sha256_file, staged_directory, write_atomic, write_json
from pipeline.recipes import NO_WARM_START

NETWORKS, ORIGIN = "networks.npz", "origin.json"


def digest(folder: Path) -> str | None:
    """Return the SHA-256 of a warm start's networks; None of `warm/none`.

    Raises:
        ValueError: the folder, or the networks in it, are missing.
    """
    if folder.name == NO_WARM_START:
        return None
    return sha256_file(_networks(folder))


def begin_with(networks: Mapping[str, nn.Module], folder: Path) -> bool:
    """Give every network the weights that a warm start has for it, and return whether there are any.

    Args:
        networks: of the method that is to be trained.
        folder: `warm/<name>/`; nothing happens if that is `warm/none`.

    Raises:
        ValueError: the networks are missing, of other shapes, not finite, or those of another method.
    """
    if folder.name == NO_WARM_START:
        return False
    with np.load(_networks(folder), allow_pickle=False) as arrays:
        for name, network in networks.items():
            prefix = f"{name}."
            state = {key.removeprefix(prefix): arrays[key] for key in arrays.files if key.startswith(prefix)}
            _check(folder, name, network, state)
            network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    return True


def keep(folder: Path, networks: Path, origin: Mapping[str, Any]) -> Path:
    """Write a warm start and return its folder.

    Args:
        folder: `warm/<name>/`, which must not exist: what a training began with never changes.
        networks: the `networks.npz` of a training.
        origin: where it comes from: `recipe`, `method`, `package`, `trained_on` (collection -> sha256s).

    Raises:
        ValueError: there is a warm start of that name already.
    """
    if folder.exists():
        raise ValueError(f"{folder} is there already, and warm starts never change; choose another name")
    with staged_directory(folder) as staging:
        write_atomic(staging / NETWORKS, networks.read_bytes())
        write_json(staging / ORIGIN, {"format": 1, **origin})
    return folder


def trained_on(folder: Path) -> dict[str, list[str]]:
    """Return the images that a warm start has learnt, collection -> sha256s; empty for `warm/none`."""
    path = folder / ORIGIN
    return dict(read_json(path)["trained_on"]) if path.is_file() else {}


def _networks(folder: Path) -> Path:
    path = folder / NETWORKS
    if not path.is_file():
        raise ValueError(
            f"{path} is missing: `dvc pull` brings what is not in git; or set the recipe's warm_start in "
            f"recipes.yaml to a folder of {folder.parent.name}/ that is there, or to {NO_WARM_START}"
        )
    return path


def _check(folder: Path, name: str, network: nn.Module, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: value.shape for key, value in state.items()}
    odd = sorted(key for key in {**wanted, **found} if wanted.get(key) != found.get(key))
    if odd:
        key = odd[0]
        raise ValueError(
            f"warm start {folder.name!r} does not fit: {name}.{key} is {found.get(key, 'missing')} there and "
            f"{wanted.get(key, 'missing')} here; give the method the warm start's sizes, or set warm_start to "
            f"{NO_WARM_START} in recipes.yaml"
        )
    for key, value in state.items():
        if not np.isfinite(value).all():
            raise ValueError(f"warm start {folder.name!r} is not finite in {name}.{key}; it cannot be trained on")
