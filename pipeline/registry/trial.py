"""The last look before a version becomes champion: is it what was registered, does it load and make a picture?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.registry import checksums, record
from pipeline.registry.names import RegistryError, Version
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from torch import nn

_WIDTH, _HEIGHT = 67, 45  # px of the picture it is tried on; no multiple of anything, as pictures are


def try_out(workspace: Workspace, version: Version) -> None:
    """Check every file of a version against the journal, load its package, and let it make one small picture.

    What the picture looks like is the gate's business.

    Raises:
        RegistryError: something was changed, it does not load, or it makes no picture.
    """
    what = f"{version.name} version {version.version}"
    known = record.read(workspace).versions.get((version.name, version.version))
    changed = checksums.changes(workspace, known) if known else []
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise RegistryError(f"{what} is not what was registered: {', '.join(changed[:3])}{more}")
    from pipeline.inference import read_config, task_of

    try:
        task = task_of(read_config(version.directory))
        _TRIALS.get(task, _load)(version.directory, version.package)
    except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        raise RegistryError(f"{what} cannot be used: {error}") from error


def _stylize(package: Path, digest: str) -> None:
    import numpy as np
    from PIL import Image

    from pipeline.inference import Stylizer

    stylizer = Stylizer.load(package, expected=digest)
    _check_weights(stylizer.network)
    across, down = np.meshgrid(np.linspace(0, 255, _WIDTH), np.linspace(0, 255, _HEIGHT))
    picture = Image.fromarray(np.stack([across, down, (across + down) / 2], axis=-1).astype(np.uint8))
    painted = stylizer(picture)
    if painted.size != picture.size or painted.mode != "RGB":
        raise ValueError(f"it made {painted.mode} {painted.size} of a picture of {picture.size} px")


def _generate(package: Path, digest: str) -> None:
    from pipeline.generation import Sampler

    sampler = Sampler.load(package, expected=digest)
    _check_weights(sampler.network)
    for image in sampler([0]):
        if image.size != (sampler.side, sampler.side):
            raise ValueError(f"it made {image.size} px where {sampler.side} were wanted")


def _load(package: Path, digest: str) -> None:
    """Try a package of any other task: verified, and its network built and filled."""
    from pipeline.inference import load_network, read_config

    checksums.verify(package, digest)
    config: dict[str, Any] = read_config(package)
    _check_weights(load_network(package, config))


def _check_weights(network: nn.Module) -> None:
    for name, weight in network.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(f"its weight {name} is not finite")


_TRIALS: Mapping[str, Callable[[Path, str], None]] = MappingProxyType({"stylize": _stylize, "generate": _generate})
