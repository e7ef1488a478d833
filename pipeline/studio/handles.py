"""What a visitor may set of a model that makes images out of noise, as its network has it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.serve.shelf import Model


@dataclass(frozen=True)
class Handle:
    """A code: its name, and how many categories it has; 0: it is a number."""

    name: str
    categories: int


@dataclass(frozen=True)
class Handles:
    """All of a model: its codes, and whether its images may be drawn nearer to their average."""

    codes: tuple[Handle, ...]
    truncates: bool


def handles(model: Model) -> Handles:
    """Return what may be set of a model of the task `generate`."""
    network = model.sampler.network
    sizes = (*network.codes.categories, *[0] * network.codes.continuous)
    codes = tuple(Handle(name, many) for name, many in zip(network.codes.names, sizes, strict=True))
    return Handles(codes, network.truncates)
