"""Files of published weights: where they lie on this machine, and what is in them. Nothing is ever downloaded."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from pipeline.files import sha256_file
from pipeline.params import Weights

CACHED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "vgg16": ("vgg16-397923af.pth",),
        # The same file, under the names of the two packages that publish it.
        "inception": ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
    }
)
"""Names under which torch's cache holds weights; each ends with the first 8 digits of its SHA-256."""

_DIGITS = 8


class WeightsError(ValueError):
    """Published weights are not at hand, or another file than params.yaml asks for; the message says what to set."""


@dataclass(frozen=True)
class Found:
    """Local files of published weights; None where there is none."""

    vgg16: Path | None = None
    inception: Path | None = None


def find_weights(weights: Weights) -> Found:
    """Return the files that params.yaml names, else those in torch's cache.

    Raises:
        WeightsError: a named file is not there, a cached one is not what its name says, or one is not what
            params.yaml asks for.
    """
    return Found(
        find("vgg16", weights.vgg16, weights.vgg16_sha256, "weights.vgg16_sha256"),
        find("inception", weights.inception, weights.inception_sha256, "weights.inception_sha256"),
    )


def find(kind: str, named: str, wanted: str, key: str) -> Path | None:
    """Return the file of one kind of weights, if there is one, after checking that it is the one that is wanted.

    What DVC sees of weights is `wanted`: another file is refused until that is changed, which makes stale what was
    computed through the old one. A machine that has no file is not asked for any.

    Args:
        kind: a key of `CACHED`.
        named: the value of `weights.<kind>` in params.yaml.
        wanted: the file's SHA-256, or how it begins.
        key: the key of params.yaml that says so.

    Raises:
        WeightsError: see `find_weights`; or it is another file.
    """
    path = locate(kind, named)
    if path is not None and not sha256(path).startswith(wanted):
        raise WeightsError(
            f"{path} is not the file that {key} asks for: its SHA-256 begins with {digest(path)}, not "
            f"{wanted[:_DIGITS]}; put the other file in its place, or take this one with `atelier weights --pin`"
        )
    return path


def locate(kind: str, named: str) -> Path | None:
    """Return the file of one kind of weights: `named` if that is not empty, else the one in torch's cache, if any.

    Args:
        kind: a key of `CACHED`.
        named: the value of `weights.<kind>` in params.yaml.

    Raises:
        WeightsError: see `find_weights`.
    """
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise WeightsError(f"weights.{kind} is {named!r}, which is no file; correct the path, or empty it")
        return path
    cached = next((cache() / name for name in CACHED[kind] if (cache() / name).is_file()), None)
    if cached is not None and digest(cached) != cached.stem.rpartition("-")[2]:
        raise WeightsError(
            f"{cached} is not what its name says: its SHA-256 begins with {digest(cached)} (a download that was cut "
            f"short?); delete it, or name another file as weights.{kind}"
        )
    return cached


def cache() -> Path:
    """Return the folder in which torch keeps the weights that it downloads (TORCH_HOME moves it)."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def digest(path: Path) -> str:
    """Return the first 8 hexadecimal digits of a file's SHA-256."""
    return sha256(path)[:_DIGITS]


def sha256(path: Path) -> str:
    """Return a file's SHA-256, 64 hexadecimal digits."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Half a gigabyte is read once: size and time tell whether it is another file."""
    del size, changed
    return sha256_file(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict (.safetensors, or a torch file without any object but tensors), on the CPU.

    Raises:
        ValueError: the file is damaged, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            # Here and not above: the training core must import without safetensors.
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch answers a damaged file with whatever its bytes happen to hit
        raise ValueError(
            f"{path} holds no weights that can be read: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is no state dict: it must hold tensors by name and nothing else")
    return dict(state)
