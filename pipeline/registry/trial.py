"""The last look before a version becomes champion: is it what was registered, does it load and make a picture?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.registry import checksums, record
from pipeline.registry.names import RegistryError, Version
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
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
        _TRIALS[task](version.directory, version.package)
    except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        raise RegistryError(f"{what} cannot be used: {error}") from error


def _stylize(package: Path, digest: str) -> None:
    from pipeline.inference import Stylizer
    from pipeline.referring import alone

    stylizer = Stylizer.load(package, expected=digest)
    _check_weights(stylizer.network)
    picture = _picture()
    _check_size(alone(stylizer)(picture), picture.size)  # one that takes references paints after its own


def _restore(package: Path, digest: str) -> None:
    from PIL import Image

    from pipeline.restoration import Restorer

    restorer = Restorer.load(package, expected=digest)
    _check_weights(restorer.network)
    picture = _picture()
    lost = Image.new("L", picture.size, 255) if restorer.masked else None
    _check_size(restorer(picture, lost), (restorer.scale * _WIDTH, restorer.scale * _HEIGHT))


def _generate(package: Path, digest: str) -> None:
    from pipeline.generation import Sampler

    sampler = Sampler.load(package, expected=digest)
    _check_weights(sampler.network)
    for image in sampler([0]):
        _check_size(image, (sampler.side, sampler.side))


def _picture() -> Picture:
    import numpy as np
    from PIL import Image

    across, down = np.meshgrid(np.linspace(0, 255, _WIDTH), np.linspace(0, 255, _HEIGHT))
    return Image.fromarray(np.stack([across, down, (across + down) / 2], axis=-1).astype(np.uint8))


def _check_size(made: Picture, wanted: tuple[int, int]) -> None:
    if made.size != wanted or made.mode != "RGB":
        raise ValueError(f"it made {made.mode} of {made.size} px where {wanted} were wanted")


def _check_weights(network: nn.Module) -> None:
    for name, weight in network.state_dict().items():  # running averages of normalisation too
        if weight.is_floating_point() and not weight.isfinite().all():
            raise ValueError(f"its weight {name} is not finite")


_TRIALS: Mapping[str, Callable[[Path, str], None]] = MappingProxyType(
    {"stylize": _stylize, "generate": _generate, "restore": _restore}
)
