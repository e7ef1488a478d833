"""What every loaded package is that holds one network: how it is verified, built and kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from pipeline.catalogue import Task
from pipeline.inference import build_network, generator_weights, load_network, open_package


class Loaded:
    """A package's generator, ready for use, with its config and digest."""

    task: ClassVar[Task]
    """What the package must be for."""
    kind: ClassVar[type[nn.Module]]
    """Of what class its generator is."""

    network: nn.Module

    def __init__(self, network: nn.Module, config: Mapping[str, Any], digest: str, device: torch.device) -> None:
        """Wrap a generator; use `load` to get one from a package."""
        assert isinstance(network, self.kind)
        self.network = network.to(device).eval().requires_grad_(False)
        self.config, self.digest, self.device = config, digest, device

    @classmethod
    def load(cls, package: Path, device: str = "cpu", expected: str | None = None) -> Self:
        """Return the model of a package folder, after checking every file against the package's manifest.

        Args:
            package: folder made by the package stage.
            device: where to run, `cpu` or `cuda`.
            expected: the package digest it must have, recorded outside of the folder.

        Raises:
            ValueError: a file is missing or changed, the package is not the expected one, or is for another task.
        """
        config, digest = open_package(package, cls.task, expected)
        return cls(load_network(package, config), config, digest, torch.device(device))

    @classmethod
    def of_training(cls, networks: Path, config: Mapping[str, Any]) -> Self:
        """Return a state that the trainer kept as the model of a package of the same training, for scoring alone.

        Raises:
            ValueError: a weight is not finite.
        """
        network = build_network(config["network"])
        network.load_state_dict(generator_weights(networks))
        return cls(network, config, "", torch.device("cpu"))
