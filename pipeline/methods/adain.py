"""AdaIN: style transfer from any reference picture (Huang & Belongie 2017), adversarially trained.

A frozen encoder extracts features, the photograph's take over the statistics of the reference's, a decoder draws
the result. The encoder is VGG16 where its weights are at hand. Elsewhere the method first trains one of its own on
the crops that it is given: it must know the two halves of a picture as kin by the statistics of their features
alone, and keep enough for the decoder to draw the picture again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline import losses
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Condition, Reference
from pipeline.methods.statistics import Judged, weighted, window
from pipeline.methods.statistics import statistics as looks
from pipeline.networks.adain import (
    PUBLISHED_DECODER,
    VGG16_CONVOLUTIONS,
    VGG16_WIDTHS,
    AdainGenerator,
    StyleEncoder,
    adain,
    statistics,
)
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.layers import initialise
from pipeline.params import Adain, Params
from pipeline.weights import WeightsError, digest, find, load_tensors

OWN = "own"
_GAIN = 2**0.5  # keeps a signal's strength through rectified layers (He et al. 2015)
_KINSHIP = 64  # numbers that describe a half
_TEMPERATURE = 0.1
_SCALE_RATE = 0.1  # of the running strength of features


class OwnEncoder(nn.Module):
    """An encoder in training, and the heads by which it tells whose statistics are kin."""

    def __init__(self, widths: tuple[int, ...], convolutions: tuple[int, ...]) -> None:
        """Make both for `StyleEncoder`'s arguments."""
        super().__init__()
        self.encoder = StyleEncoder(widths, convolutions)
        self.heads = nn.ModuleList(nn.Linear(2 * width, _KINSHIP) for width in widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images, as `StyleEncoder` does."""
        levels: list[Tensor] = self.encoder(images)
        return levels

    def descriptions(self, features: list[Tensor]) -> list[Tensor]:
        """Return what the heads make of the statistics of each level's features, (N, D) each."""
        return [head(statistics(level).flatten(1)) for head, level in zip(self.heads, features, strict=True)]


class AdainMethod(Method):
    """Photograph to painting after a reference.

    In training every photograph of a batch has the painting beside it as its reference, so a recipe of many styles
    learns all of them. Two processes with half a batch each compute what one computes with the whole, but for
    `kinship`, which looks for kin in a process's own images alone, and for texture and palette, whose random
    directions are the same in each process.
    """

    name: ClassVar[str] = "adain"
    conditions: tuple[type[Condition], ...] = (Reference,)

    def __init__(self, params: Params) -> None:
        """Build generator, discriminator and, where it is to be trained, the encoder."""
        self.params = params.adain
        found = _vgg16(params)
        self.origin = OWN if found is None else f"vgg16 {digest(found)}"
        self.sizes = _sizes(self.params, published=found is not None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.generator = AdainGenerator(**self.sizes)
            self.discriminator = PatchDiscriminator(**asdict(self.params.discriminator))
            initialise(self.generator, gain=_GAIN)
            initialise(self.discriminator, gain=1.0)
            self.own: OwnEncoder | None = None
            if found is None and self.params.warmup_steps:
                self.own = OwnEncoder(self.sizes["widths"], self.sizes["encoder"])
                initialise(self.own, gain=_GAIN)
        self.encode: Callable[[Tensor], list[Tensor]] = self.generator.encode
        self.decode: Callable[[Tensor], Tensor] = self.generator.decoder
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
        if found is not None:
            load_vgg16(self.generator.encoder, found)
        if self.own is not None:
            self.warmup_steps = self.params.warmup_steps
            self.networks["encoder"] = self.own
            self.players["encoder"] = ("encoder",)

    @classmethod
    def brings(cls, params: Params) -> dict[str, str]:
        """Return which encoder a training begins with: of no file of the workspace."""
        found = _vgg16(params)
        return {} if found is None else {"encoder": f"vgg16 {digest(found)}"}

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of generator and discriminator, or those of the encoder first; see `Method.step`."""
        self.accuracy = None
        if self.own is not None and not self.warmed and step <= self.warmup_steps:
            self._freeze(self.own)  # in every step: one that is skipped must not leave it undone for good
            if step < self.warmup_steps:
                return self._learn_to_see(self.own, batch)
        return self._learn_to_paint(batch, draw)

    def translate(self, photo: Tensor, condition: Condition = NOTHING) -> Tensor:
        """Return paintings of photographs after their references."""
        if not isinstance(condition, Reference):
            self.accept(condition)
            raise AssertionError("only a reference is accepted")
        rows = zip(photo, condition.images, condition.weights, strict=True)
        strength = photo.new_tensor([condition.strength])
        return torch.cat([self.generator(one[None], images, shares, strength) for one, images, shares in rows])

    def describe(self) -> dict[str, Any]:
        """Return the generator's class and arguments, and where its encoder comes from."""
        arguments = {name: list(values) for name, values in self.sizes.items()}
        return {"name": "adain", "arguments": arguments, "encoder": self.origin}

    def compile(self, backend: str = "inductor") -> None:
        """Compile the networks, and the generator's halves."""
        super().compile(backend)
        self.encode = torch.compile(self.generator.encode, backend=backend)
        self.decode = torch.compile(self.generator.decoder, backend=backend)

    def _learn_to_see(self, own: OwnEncoder, batch: Batch) -> Losses:
        """Return the losses of the encoder, and of the decoder that already learns to draw what it sees."""
        images = torch.cat([batch.photos, batch.paintings])
        levels = own(images)
        self._balance(own, levels)
        drawn = losses.g_identity(self.decode(levels[-1]), images)
        halves = [own.descriptions(side) for side in _sides(levels)]
        kinship = sum(losses.e_kinship(one, other, _TEMPERATURE) for one, other in zip(*halves, strict=True))
        assert isinstance(kinship, Tensor)
        return {"encoder": {"kinship": kinship, "reconstruction": drawn}, "generator": {"reconstruction": drawn}}

    @torch.no_grad()
    def _balance(self, own: OwnEncoder, levels: list[Tensor]) -> None:
        """Keep every level's features at a root mean square of 1, so that no level outweighs the others."""
        found = torch.stack([level.float().square().mean().sqrt() for level in levels])
        self.team.average([found])
        own.encoder.scales.mul_(found.lerp(torch.ones_like(found), 1 - _SCALE_RATE))

    @torch.no_grad()
    def _freeze(self, own: OwnEncoder) -> None:
        """Give the generator what its own encoder has learnt so far."""
        self.generator.encoder.load_state_dict(own.encoder.state_dict())

    def _learn_to_paint(self, batch: Batch, draw: torch.Generator) -> Losses:
        count, weights = batch.size, asdict(self.params.weights)
        levels = self.encode(torch.cat([batch.photos, batch.paintings]))
        wanted = [statistics(level[count:]) for level in levels]
        fused = adain(levels[-1][:count], wanted[-1])
        both = bool(weights["identity"])
        drawn = self.decode(torch.cat([fused, levels[-1]]) if both else fused)
        output, redrawn = drawn[:count], drawn[count:]
        seen = self.encode(output)
        judged = window(batch, output, draw)
        scores = self.discriminator(torch.cat([judged.paintings, judged.output]))
        real, fake = scores[:count], scores[count:]
        gan = self.params.gan
        self.accuracy = losses.accuracy(real, fake, losses.BOUNDARY[gan])
        terms: dict[str, Callable[[], Tensor]] = {
            "gan": lambda: losses.G_ADVERSARIAL[gan](fake),
            "content": lambda: losses.g_content(seen[-1], fused),
            "style": lambda: torch.stack(
                [losses.g_style(statistics(level), other) for level, other in zip(seen, wanted, strict=True)]
            ).sum(),
            "identity": lambda: losses.g_identity(redrawn, torch.cat([batch.photos, batch.paintings])),
            **_each_pair(judged, draw),
        }
        return {
            "generator": weighted(terms, weights),
            "discriminator": {"gan": losses.D_ADVERSARIAL[gan](real, fake)},
        }


def load_vgg16(encoder: StyleEncoder, path: Path) -> None:
    """Give an encoder of VGG16's sizes the weights of torchvision's, from a file of its state dict.

    Raises:
        ValueError: the file cannot be read, or holds another network.
    """
    given, place = load_tensors(path), 0
    state = {name: value for name, value in encoder.state_dict().items() if not name.startswith("stages.")}
    for number, stage in enumerate(encoder.stages):
        assert isinstance(stage, nn.ModuleList)
        for layer in range(len(stage)):
            for kind in ("weight", "bias"):
                name = f"stages.{number}.{layer}.{kind}"
                found = given.get(f"features.{place}.{kind}", given.get(f"{place}.{kind}"))
                if found is None or found.shape != encoder.state_dict()[name].shape:
                    shape = "missing" if found is None else tuple(found.shape)
                    raise ValueError(
                        f"{path} does not hold torchvision's VGG16 (features.{place}.{kind} is {shape}); name "
                        f"another file as weights.vgg16, or set adain.encoder.kind to {OWN}"
                    )
                state[name] = found.float()
            place += 2  # a rectifier
        place += 1  # a pooling
    encoder.load_state_dict(state)


def _vgg16(params: Params) -> Path | None:
    """Return the file of VGG16's weights that the parameters ask for.

    Raises:
        WeightsError: they must be there, and are not, or they are not those that the parameters ask for.
    """
    kind, wanted = params.adain.encoder.kind, params.adain.encoder.vgg16_sha256
    found = None if kind == OWN else find("vgg16", params.weights.vgg16, wanted, "adain.encoder.vgg16_sha256")
    if kind == "vgg16" and found is None:
        raise WeightsError(
            "adain.encoder.kind is 'vgg16', but its weights are not at hand: name torchvision's file as "
            f"weights.vgg16, or train with adain.encoder.kind: {OWN}"
        )
    return found


def _sizes(params: Adain, published: bool) -> dict[str, tuple[int, ...]]:
    if published:
        return {"widths": VGG16_WIDTHS, "encoder": VGG16_CONVOLUTIONS, "decoder": PUBLISHED_DECODER}
    levels = params.encoder.levels
    widths = tuple(params.encoder.channels * 2**level for level in range(levels))
    return {"widths": widths, "encoder": (2,) * (levels - 1) + (1,), "decoder": (2,) * (levels - 1) + (3,)}


def _sides(levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the left and right sides of all features; the strip between them, which both would see, is left out."""
    shares = [(level.shape[3] - level.shape[3] // 8) // 2 for level in levels]
    pairs = [(level[..., :share], level[..., -share:]) for level, share in zip(levels, shares, strict=True)]
    return [left for left, _ in pairs], [right for _, right in pairs]


def _each_pair(judged: Judged, draw: torch.Generator) -> Mapping[str, Callable[[], Tensor]]:
    """Return the losses that look at pictures, of each output and its own reference, averaged over the batch."""
    pairs = [looks(Judged(*(image[None] for image in images)), draw) for images in zip(*judged, strict=True)]
    return {name: partial(_mean, [pair[name] for pair in pairs]) for name in pairs[0]}


def _mean(terms: Sequence[Callable[[], Tensor]]) -> Tensor:
    return torch.stack([term() for term in terms]).mean()
