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
from pipeline.devices import to_device
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition
from pipeline.methods.statistics import statistics, weighted, window
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.generators import ResnetGenerator
from pipeline.networks.layers import initialise
from pipeline.params import Cut, Params


class _Painted(NamedTuple):
    """What a step's forward pass gives: what was painted, and what the losses compare with what."""

    seen: Batch
    """The images as the generator saw them: mirrored in some steps of FastCUT."""
    output: Tensor
    """Paintings of the photographs."""
    features: list[Tensor]
    """Of the photographs, unmirrored, at the levels of PatchNCE."""
    kept: Tensor
    """What becomes of the paintings; the paintings themselves, if no loss asks."""
    painting_features: list[Tensor]
    """Of the paintings, unmirrored; none, if no loss asks."""
    mirrored: bool


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

    Two processes with half a batch each compute what one computes with the whole, but for `texture`, `palette`,
    `contrast` and `chroma`, which look at all images together, and for `external` negatives, which come from all
    images: each process has only its own.
    """

    name: ClassVar[str] = "cut"

    def __init__(self, params: Params) -> None:
        """Build generator, patch heads and discriminator."""
        self.params = self.settings(params)
        self.warmup_steps = self.params.warmup_steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.generator = ResnetGenerator(**asdict(self.params.generator))
            self.levels = [self.generator.level(name) for name in self.params.nce_layers]
            widths = [self.generator.feature_channels[level] for level in self.levels]
            self.heads = PatchHeads(widths, self.params.nce_features)
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

    @staticmethod
    def settings(params: Params) -> Cut:
        """Return the method's own section of the parameters."""
        return params.cut

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of generator and discriminator; see `Method.step`."""
        self.accuracy = None
        if step < self.warmup_steps and not self.warmed:
            output = self.decode(self.encode(batch.photos))
            return {"generator": {"reconstruction": losses.g_identity(output, batch.photos)}}
        painted = self._paint(batch, draw)
        judged = window(painted.seen, painted.output, draw)
        scores = self.discriminator(torch.cat([judged.paintings, judged.output]))
        real, fake = scores.split([len(judged.paintings), len(judged.output)])
        self.accuracy = losses.accuracy(real, fake, losses.BOUNDARY[self.params.gan])
        mirrored = painted.mirrored
        terms: dict[str, Callable[[], Tensor]] = {
            "gan": lambda: losses.G_ADVERSARIAL[self.params.gan](fake),
            "nce": lambda: self._patch_nce(painted.output, painted.features, mirrored, draw),
            "identity": lambda: losses.g_identity(painted.kept, painted.seen.paintings),
            **statistics(judged, draw),
            "nce_identity": lambda: self._patch_nce(painted.kept, painted.painting_features, mirrored, draw),
        }
        return {
            "generator": weighted(terms, asdict(self.params.weights)),
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

    def _paint(self, batch: Batch, draw: torch.Generator) -> _Painted:
        """Paint the photographs, and the paintings too if a loss asks what becomes of them.

        All in one pass: no layer looks beyond its own image, and a larger batch keeps a device busier. The keys of
        PatchNCE come from it too, but in a step that paints mirrored images: these are encoded once more as they are.
        """
        mirrored = self.params.flip_equivariance and bool(torch.rand((), generator=draw) < 0.5)
        seen = Batch(batch.photos.flip(3), batch.paintings.flip(3)) if mirrored else batch
        count, weights = len(batch.photos), self.params.weights
        both = bool(weights.identity or weights.nce_identity)
        features = self.encode(torch.cat([seen.photos, seen.paintings]) if both else seen.photos)
        output = self.decode(features)
        if mirrored:
            with torch.no_grad():  # keys: no gradient flows into them
                features = self.encode(torch.cat([batch.photos, batch.paintings]) if both else batch.photos)
        features = self._compared(features)
        if not both:
            return _Painted(seen, output, features, seen.paintings, [], mirrored)
        of_photos, of_paintings = [level[:count] for level in features], [level[count:] for level in features]
        return _Painted(seen, output[:count], of_photos, output[count:], of_paintings, mirrored)

    def _compared(self, features: list[Tensor]) -> list[Tensor]:
        return [features[level] for level in self.levels]

    def _patch_nce(self, output: Tensor, features: list[Tensor], mirrored: bool, draw: torch.Generator) -> Tensor:
        """Return PatchNCE between features of an output and of what it was made from, as the mean over levels."""
        output_features = self._compared(self.encode(output))
        if mirrored:
            output_features = [level.flip(3) for level in output_features]
        patches = self.params.nce_patches
        places = [
            to_device(torch.randperm(level[0, 0].numel(), generator=draw)[:patches], output.device)
            for level in features
        ]
        queries, keys = self.heads(output_features, places), self.heads(features, places)
        if self.params.nce_negatives == "external":
            queries, keys = ([level.flatten(0, 1)[None] for level in side] for side in (queries, keys))
        each = [
            losses.g_patch_nce(query, key, self.params.nce_temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(each).mean()


class FastCutMethod(CutMethod):
    """FastCUT: CUT's code with the settings that make it light (Park et al. 2020, section 3).

    No identity loss, hence half the images; a PatchNCE ten times as heavy instead; and mirrored images in half of
    the steps, since the encoder must then find the same features where the picture faces the other way.
    """

    name: ClassVar[str] = "fastcut"

    @staticmethod
    def settings(params: Params) -> Cut:
        """Return the method's own section of the parameters."""
        return params.fastcut
