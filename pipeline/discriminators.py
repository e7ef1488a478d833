"""The discriminators that a training left beside its generator: for looking into it, never part of a package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pipeline.files import read_json
from pipeline.inference import generator_weights
from pipeline.losses import BOUNDARY
from pipeline.methods import build_method
from pipeline.methods.base import Method
from pipeline.networks.latent import LatentGenerator
from pipeline.params import Params, merge, parse
from pipeline.weights import WeightsError

_SUFFIX = "discriminator"  # what the names of such networks end in
_THROUGH = "{} was trained through published weights, and cannot be looked into without them: {}"
_NOT_FITTING = "the discriminators of {} do not fit this version's method {!r}: train anew to see what they look at"


@dataclass(frozen=True)
class Discriminator:
    """A trained discriminator, as `heat_map.Scoring` asks for it."""

    name: str
    method: Method
    boundary: float
    sides: tuple[int, int]

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self.method.networks[self.name]

    @property
    def judges(self) -> str:
        """What it tells from what the generator makes: `painting`, or `photograph` on the way back."""
        return "photograph" if self.name.startswith("reverse") else "painting"

    def scores(self, images: Tensor) -> Tensor:
        """Return scores (N, 1, h, w) of patches or (N,) of images, (N, 3, H, W) in [-1, 1]."""
        return self.method.scores(images, self.name)


def of_training(trained: Path, params: Params) -> dict[str, Discriminator]:
    """Return the discriminators of a training by name, as they were after its last step; that of paintings first.

    The method is built again from the parameters that the training recorded, so nothing about a discriminator has to
    be written down twice.

    Args:
        trained: `runs/<recipe>/`; the dictionary is empty if it is missing or holds none.
        params: for what the record leaves out because it changes no result.

    Raises:
        ValueError: this version builds other networks, published weights that it was trained through are not at hand,
            or weights are not finite.
    """
    weights, config = trained / "networks.npz", trained / "config.json"
    if not weights.is_file() or not config.is_file():
        return {}
    record: Mapping[str, Any] = read_json(config)
    training, name = record["training"], record["method"]
    try:
        plain = json.loads(json.dumps(params.tree()))  # `parse` takes lists, as files have them, and no tuples
        method = build_method(name, parse(merge(plain, training)))
    except WeightsError as error:
        raise ValueError(_THROUGH.format(trained, error)) from error
    except ValueError as error:
        raise ValueError(f"{_NOT_FITTING.format(trained, name)} ({error})") from error
    found = {}
    for network in sorted(name for name in method.networks if name.endswith(_SUFFIX)):
        try:
            method.networks[network].load_state_dict(generator_weights(weights, network))
        except RuntimeError as error:  # torch's, of other layers
            raise ValueError(_NOT_FITTING.format(trained, name)) from error
        method.networks[network].eval().requires_grad_(False)
        boundary = BOUNDARY.get(training[name].get("gan"), 0.0)
        sides = _sides(method, training["train"]["crop"], record["view"])
        found[network] = Discriminator(network, method, boundary, sides)
    return found


def _sides(method: Method, crop: int, view: int) -> tuple[int, int]:
    generator = method.networks["generator"]
    least = generator.side if isinstance(generator, LatentGenerator) else crop  # its images are seen as they are
    return least, max(crop, view)


def chosen(found: Mapping[str, Discriminator], wanted: str, trained: Path) -> Discriminator:
    """Return one of the discriminators by name.

    Raises:
        ValueError: there is none of that name.
    """
    if not found:
        raise ValueError(
            f"{trained} holds no discriminator: it stays where a model was trained; "
            f"`dvc repro train@{trained.name}` (or `dvc pull`) brings it"
        )
    if wanted not in found:
        raise ValueError(f"{trained.name} has no network {wanted!r} that judges; choose one of {', '.join(found)}")
    return found[wanted]
