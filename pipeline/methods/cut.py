"""CUT: contrastive unpaired translation (Park et al. 2020), with statistics losses that need no pretrained weights.

The adversary decides what looks painted; PatchNCE and the structure loss keep the subject; texture, palette and
contrast statistics bring the strokes and colours within minutes instead of hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import losses
from pipeline.catalogue import Task
from pipeline.devices import to_device
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.generators import ResnetGenerator
from pipeline.networks.layers import initialise
from pipeline.params import Params

_TEXTURE_DIRECTIONS, _PALETTE_DIRECTIONS, _PATCH = 32, 16, 5
# Strided filters see every second or fourth pixel. Were they always the same ones, the generator would paint a mesh
# between them; so each step everything that judges looks from another corner, up to this many px away.
_SHIFT = 8


class _Judged(NamedTuple):
    """The same window of a step's images, for the losses that look at pictures."""

    photos: Tensor
    paintings: Tensor
    output: Tensor


class PatchHeads(nn.Module):
    """Two-layer heads that map each feature level's patches to unit vectors (Park et al. 2020, section 3)."""

    def __init__(self, channels: list[int], features: int) -> None:
        """Make one head for each of `channels`, with `features` outputs."""
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, features), nn.ReLU(), nn.Linear(features, features)) for width in channels
        )

    def forward(self, features: list[Tensor], places: list[Tensor]) -> list[Tensor]:
        """Return (N, P, features) unit vectors of each level's (N, C, H, W) at flat positions (P,)."""
        return [
            F.normalize(head(level.flatten(2)[:, :, place].transpose(1, 2)), dim=2)
            for head, level, place in zip(self.heads, features, places, strict=True)
        ]


class CutMethod(Method):
    """Photograph to painting, one way.

    Two processes with half a batch each compute what one computes with the whole, but for `texture`, `palette` and
    `contrast`: these sort the samples of all images together, and each process has only its own.
    """

    task: ClassVar[Task] = "stylize"
    averaged: ClassVar[tuple[str, ...]] = ("generator",)

    def __init__(self, params: Params) -> None:
        """Build generator, patch heads and discriminator."""
        self.params = params.cut
        self.warmup_steps = self.params.warmup_steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.generator = ResnetGenerator(**asdict(self.params.generator))
            self.heads = PatchHeads(self.generator.feature_channels, self.params.nce_features)
            self.discriminator = PatchDiscriminator(**asdict(self.params.discriminator))
            for network in (self.generator, self.heads, self.discriminator):
                initialise(network, gain=1.0)
        # A step calls the generator's halves, so that PatchNCE has the features of its way through.
        self.encode, self.decode = self.generator.encode, self.generator.decode
        self.networks = {
            "generator": self.generator,
            "heads": self.heads,
            "discriminator": self.discriminator,
        }
        self.players = {"generator": ("generator", "heads"), "discriminator": ("discriminator",)}

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of generator and discriminator; see `Method.step`."""
        self.accuracy = None
        if step < self.warmup_steps and not self.warmed:
            output = self.decode(self.encode(batch.photos))
            return {"generator": {"reconstruction": losses.g_identity(output, batch.photos)}}
        features, output, kept = self._paint(batch)
        judged = _window(batch, output, draw)
        scores = self.discriminator(torch.cat([judged.paintings, judged.output]))
        real, fake = scores.split([len(judged.paintings), len(judged.output)])
        self.accuracy = losses.accuracy(real, fake, losses.BOUNDARY[self.params.gan])
        terms = {
            "gan": lambda: losses.G_ADVERSARIAL[self.params.gan](fake),
            "nce": lambda: self._patch_nce(output, features, draw),
            "identity": lambda: losses.g_identity(kept, batch.paintings),
            **_statistics(judged, draw),
        }
        weights = asdict(self.params.weights)
        return {
            "generator": {name: weights[name] * term() for name, term in terms.items() if weights[name]},
            "discriminator": {"gan": losses.D_ADVERSARIAL[self.params.gan](real, fake)},
        }

    def translate(self, photo: Tensor, condition: Condition = NOTHING) -> Tensor:
        """Return paintings of photographs."""
        self.accept(condition)
        painted: Tensor = self.generator(photo)
        return painted

    def describe(self) -> dict[str, Any]:
        """Return the generator's class and arguments."""
        return {"name": "resnet", "arguments": asdict(self.params.generator)}

    def compile(self, backend: str = "inductor") -> None:
        """Compile the networks, and the generator's halves."""
        super().compile(backend)
        self.encode = torch.compile(self.encode, backend=backend)
        self.decode = torch.compile(self.decode, backend=backend)

    def _paint(self, batch: Batch) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return photographs' features, their paintings, and what becomes of paintings, if that has a weight.

        All in one pass: no layer looks beyond its own image, and a larger batch keeps a device busier.
        """
        if not self.params.weights.identity:
            features = self.encode(batch.photos)
            return features, self.decode(features), batch.paintings
        count = len(batch.photos)
        features = self.encode(torch.cat([batch.photos, batch.paintings]))
        output = self.decode(features)
        return [level[:count] for level in features], output[:count], output[count:]

    def _patch_nce(self, output: Tensor, features: list[Tensor], draw: torch.Generator) -> Tensor:
        output_features = self.encode(output)
        patches = self.params.nce_patches
        places = [
            to_device(torch.randperm(level[0, 0].numel(), generator=draw)[:patches], output.device)
            for level in features
        ]
        queries, keys = self.heads(output_features, places), self.heads(features, places)
        each = [
            losses.g_patch_nce(query, key, self.params.nce_temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(each).mean()


def _window(batch: Batch, output: Tensor, draw: torch.Generator) -> _Judged:
    """Return one random window of all images, `_SHIFT` px smaller than they are (or as large, if they are small)."""
    room = min(_SHIFT, output.shape[2] // 8)
    top, left = torch.randint(room + 1, (2,), generator=draw).tolist()
    height, width = output.shape[2] - room, output.shape[3] - room
    images = (batch.photos, batch.paintings, output)
    return _Judged(*(image[..., top : top + height, left : left + width] for image in images))


def _statistics(judged: _Judged, draw: torch.Generator) -> dict[str, Callable[[], Tensor]]:
    """Return the losses without networks, to be computed where they have a weight."""
    photos, paintings, output = judged
    # The directions are drawn whatever the weights, so that switching one loss off changes no other.
    texture = _directions(_TEXTURE_DIRECTIONS, 1, _PATCH, draw, output)
    palette = _directions(_PALETTE_DIRECTIONS, 3, 1, draw, output)
    return {
        "texture": lambda: losses.g_texture(output, paintings, texture),
        "palette": lambda: losses.g_palette(output, paintings, palette),
        "contrast": lambda: losses.g_contrast(output, paintings),
        "structure": lambda: losses.g_structure(output, photos),
        "calm": lambda: losses.g_calm(output, photos),
        "smoothness": lambda: losses.g_smoothness(output),
    }


def _directions(count: int, channels: int, size: int, draw: torch.Generator, like: Tensor) -> Tensor:
    """Return (count, channels, size, size) random unit filters on the device of `like`."""
    raw = torch.randn(count, channels, size, size, generator=draw)
    return to_device(F.normalize(raw.flatten(1), dim=1).view_as(raw), like.device)
