"""The frozen judge of a style: paintings by this hand, or photographs? Two small networks, in colour and in light.

Each looks at a picture through overlapping windows of 63 px, without padding, and answers for every one. The
luminance judge sees light alone, freed from its mean and contrast, so a palette cannot persuade it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.colour import Pixels
from pipeline.files import sha256_bytes
from pipeline.observers.facts import FACTS, WEIGHTS, read_facts
from pipeline.observers.looking import looking

WINDOW = 63  # px: the receptive field
KINDS: Mapping[str, int] = MappingProxyType({"colour": 3, "luminance": 1})  # judge -> channels that it sees
_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709
_LEAST_CONTRAST = 0.02  # of [-1, 1]: a blank sheet is not blown up to a picture


class WindowClassifier(nn.Module):
    """Convolutions without padding that answer for every window of 63 px, 16 px apart: above 0 for a painting."""

    def __init__(self, channels_in: int, channels: int) -> None:
        """Make the network with `channels` after its first convolution."""
        super().__init__()
        widths = [channels_in, channels, channels * 2, channels * 3, channels * 4]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.Conv2d(widths[-1], widths[-1], 3, bias=False), nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return answers (N, 1, h, w) and what they rest on (N, D, h, w), for (N, C, H, W), sides of at least 63."""
        described = self.body(images)
        return self.head(described), described


def seen(images: Tensor, kind: str) -> Tensor:
    """Return what a judge sees of RGB pictures (N, 3, H, W) in [-1, 1]: them, or their light (N, 1, H, W)."""
    if kind == "colour":
        return images
    light = sum(weight * images[:, i : i + 1] for i, weight in enumerate(_LUMA))
    assert isinstance(light, Tensor)
    centred = light - light.mean(dim=(2, 3), keepdim=True)
    return centred / centred.square().mean(dim=(2, 3), keepdim=True).sqrt().clamp_min(_LEAST_CONTRAST)


def large_enough(images: Tensor) -> Tensor:
    """Return pictures (N, C, H, W) with both sides at least a window long; short ones get their edges repeated."""
    bottom, right = (max(0, WINDOW - side) for side in images.shape[-2:])
    return F.pad(images, (0, right, 0, bottom), mode="replicate") if bottom or right else images


def build(channels: int) -> dict[str, WindowClassifier]:
    """Return the two networks, with fresh weights."""
    return {kind: WindowClassifier(channels_in, channels) for kind, channels_in in KINDS.items()}


class StyleJudge:
    """A trained judge: `rates` of deception, and the features behind its answers."""

    def __init__(self, networks: Mapping[str, WindowClassifier], facts: Mapping[str, Any], version: str) -> None:
        """Wrap trained networks; use `load` to get them from a folder."""
        self.networks = {kind: network.eval().requires_grad_(False) for kind, network in networks.items()}
        self.facts, self.version = facts, version

    @classmethod
    def load(cls, folder: Path) -> StyleJudge:
        """Return the judge of a folder, after checking its weights against its facts.

        Raises:
            ValueError: the folder holds none, or its weights are not those that the facts name.
        """
        facts = read_facts(folder)
        if facts is None or not (folder / WEIGHTS).is_file():
            raise ValueError(f"{folder} holds no judge; `dvc repro judge@{folder.name}` trains one")
        data = (folder / WEIGHTS).read_bytes()
        if sha256_bytes(data) != facts["version"]:
            raise ValueError(f"{folder / WEIGHTS} is not what {FACTS} says; bring both back with `dvc checkout`")
        weights = load(data)
        networks = build(facts["channels"])
        for kind, network in networks.items():
            prefix = f"{kind}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
        return cls(networks, facts, facts["version"])

    @property
    def name(self) -> str:
        """The judge's version: of which style, and the digest of its weights."""
        return f"{self.facts['style']} {self.version[:12]}"

    def rates(self, image: Pixels) -> dict[str, float]:
        """Return the share of a picture's windows taken for a painting by this hand: `judge/<kind>` -> [0, 1]."""
        with looking():
            answers = {kind: network(seen(_tensor(image), kind))[0] for kind, network in self.networks.items()}
        return {f"judge/{kind}": float((answer > 0).double().mean()) for kind, answer in answers.items()}

    def __call__(self, image: Pixels) -> NDArray[np.float64]:
        """Return the features behind the answers (D,), averaged over windows, of both networks."""
        with looking():
            described = [network(seen(_tensor(image), kind))[1] for kind, network in self.networks.items()]
        return np.concatenate([one.double().mean(dim=(0, 2, 3)).numpy() for one in described])


def _tensor(image: Pixels) -> Tensor:
    return large_enough(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1)
