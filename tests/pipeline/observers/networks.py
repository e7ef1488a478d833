"""Weights of random numbers in the formats that are published, and a network that answers nobody."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3


def vgg16_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Return a state dict as torchvision's where signals neither die nor explode; its classifier takes no room."""
    with torch.device("meta"):
        shapes = {
            name: value.shape for name, value in torchvision.models.vgg16(init_weights=False).state_dict().items()
        }
    noise = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if name.startswith("classifier."):
            state[name] = torch.zeros(1).expand(shape)  # half a gigabyte of one number, stored once
        elif name.endswith("weight"):
            fan = shape[1] * shape[2] * shape[3]
            state[name] = torch.randn(shape, generator=noise) * (2 / fan) ** 0.5
        else:
            state[name] = torch.rand(shape, generator=noise) * 0.1
    return state


class BlankInception(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The package's network as it is before weights are loaded into it."""

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__("blank", ["2048"], feature_extractor_weights_path=nothing)
        noise = torch.Generator().manual_seed(1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # or a hundred layers leave nothing of a picture
                nn.init.kaiming_normal_(module.weight, generator=noise)

    def load_state_dict(self, *_arguments: Any, **_options: Any) -> None:
        """Keep the random numbers."""


def picture(seed: int, side: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng([7, seed]).integers(0, 256, (side, side, 3)).astype(np.uint8)


def save(folder: Path, name: str, state: dict[str, torch.Tensor]) -> Path:
    path = folder / name
    torch.save(state, path)
    return path


@contextmanager
def no_network() -> Iterator[None]:
    """Let every attempt to reach another machine fail the test."""

    def refused(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the network was asked for")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", refused)
        patch.setattr(socket.socket, "connect", refused)
        patch.setattr(socket, "getaddrinfo", refused)
        yield
