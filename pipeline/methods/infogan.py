"""InfoGAN: DCGAN whose images reveal the codes that they were made with (Chen et al. 2016)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipeline import losses
from pipeline.methods.base import Batch, Losses
from pipeline.methods.conditions import NOTHING, Code, Condition, NoCondition
from pipeline.methods.dcgan import DcganMethod
from pipeline.networks.infogan import InfoganDiscriminator, InfoganGenerator
from pipeline.params import Infogan, Params


class InfoganMethod(DcganMethod):
    """Noise and codes to images from which a head of the discriminator reads the codes again.

    min over G and Q, max over D of V(D, G) - lambda L_I(G, Q), where L_I = E[log Q(c|x)] + H(c) is a lower bound on
    the mutual information of codes and images (eq. 5 and 6). H(c) is constant and left out. The trunk that D and Q
    share, and Q, are one player's; both players minimise lambda times -E[log Q(c|x)], as in the authors' code.
    """

    name: ClassVar[str] = "infogan"
    averaged: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    conditions: tuple[type[Condition], ...] = (NoCondition, Code)
    generator: InfoganGenerator
    settings: Infogan

    def __init__(self, params: Params) -> None:
        """Build the generator, and the discriminator with its second head."""
        self._begin(params.infogan, params.seed)
        self.codes = self.generator.codes

    def _networks(self) -> tuple[InfoganGenerator, InfoganDiscriminator]:
        return InfoganGenerator(**self._generator()), InfoganDiscriminator(**self._discriminator())

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return the losses of both players, see `DcganMethod.step`, each with that of not knowing the codes."""
        paintings = self._small(batch)
        latents = self._latents(batch.size, draw)
        outputs = self.generator(latents)
        # Of paintings no code is asked: they have none.
        real, told = self.discriminator(paintings), self.discriminator(outputs, told=True)
        unknown = self._unknown(told[:, 1:], latents[:, self.generator.noise :])
        return {
            player: terms | unknown
            for player, terms in self._play(paintings, outputs, real, told[:, 0], draw).items()
        }

    def _unknown(self, told: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """Return the weighted losses of what is told of codes; all categorical codes count alike."""
        weights = self.settings.information
        found, (categories, continuous) = self.codes.read(told), self.codes.split(codes)
        terms = {}
        if categories:
            pairs = zip(found.logits, categories, strict=True)
            each = [losses.q_categorical(logits, code) for logits, code in pairs]
            terms["categorical"] = weights.categorical * torch.stack(each).sum()
        if self.codes.continuous:
            unsure = losses.q_gaussian(found.mean, found.log_deviation, continuous)
            terms["continuous"] = weights.continuous * unsure * self.codes.continuous
        return terms

    def sample(self, count: int, draw: torch.Generator, condition: Condition = NOTHING) -> Tensor:
        """Return new images; a `Code` says which codes they have in common.

        Raises:
            ValueError: a code that there is not, or a value that it cannot have.
        """
        self.accept(condition)
        latents = self.generator.draw(count, draw)
        if isinstance(condition, Code):
            latents = self.generator.assign(latents, condition.values)
        images: Tensor = self.generator(latents)
        return images

    def describe(self) -> dict[str, Any]:
        """Return the generator's class and arguments."""
        return {"name": "infogan", "arguments": self._generator()}

    def describe_beside(self) -> dict[str, dict[str, Any]]:
        """Return the class and arguments of what reads the codes; its weights are packaged as plain ones."""
        arguments = self._discriminator()
        if arguments["normalise"] == "spectral":
            arguments["normalise"] = "none"
        return {"discriminator": {"name": "infogan_recogniser", "arguments": arguments}}

    def _generator(self) -> dict[str, Any]:
        own = self.settings
        return {"noise": own.latent, **self._kinds(), **asdict(own.generator), "side": own.side}

    def _discriminator(self) -> dict[str, Any]:
        own = self.settings
        return {**self._kinds(), "recogniser": own.recogniser, **asdict(own.discriminator), "side": own.side}

    def _kinds(self) -> dict[str, Any]:
        return {"categories": list(self.settings.categories), "continuous": self.settings.continuous}
