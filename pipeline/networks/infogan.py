"""InfoGAN's networks (Chen et al. 2016): DCGAN's, with codes in the latent and a head that reads them off images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.codes import Codes
from pipeline.networks.dcgan import DcganDiscriminator, DcganGenerator, Normalisation, doublings


class InfoganGenerator(DcganGenerator):
    """DCGAN's generator; a latent is Gaussian noise, then codes."""

    def __init__(
        self, noise: int, categories: Sequence[int], continuous: int, channels: int = 128, side: int = 64
    ) -> None:
        """Make a generator.

        Args:
            noise: Gaussian numbers beside the codes.
            categories: of each categorical code.
            continuous: codes from -1 to 1.
            channels: as in DCGAN's.
            side: as in DCGAN's.
        """
        codes = Codes(tuple(categories), continuous)
        super().__init__(noise + codes.width, channels, side)
        self.noise, self.codes = noise, codes

    def draw(self, count: int, draw: torch.Generator) -> Tensor:
        """Return random latents, as `LatentGenerator.draw`."""
        noise = torch.randn(count, self.noise, generator=draw)
        device = next(self.parameters()).device
        return torch.cat([noise, self.codes.draw(count, draw)], dim=1).to(device, non_blocking=True)

    def between(self, first: Tensor, second: Tensor, share: float) -> Tensor:
        """Return latents on the way: on an arc in noise, on a straight line in codes, between two categories too."""
        noise = super().between(first[:, : self.noise], second[:, : self.noise], share)
        return torch.cat([noise, torch.lerp(first[:, self.noise :], second[:, self.noise :], share)], dim=1)

    def assign(self, latents: Tensor, values: Mapping[str, float]) -> Tensor:
        """Return latents with some codes set, see `Codes.assign`."""
        codes = self.codes.assign(latents[:, self.noise :], values)
        return torch.cat([latents[:, : self.noise], codes], dim=1)


class InfoganDiscriminator(DcganDiscriminator):
    """DCGAN's discriminator with a second head, Q, that tells the codes; both read the same features.

    Q is one hidden layer and a linear one (appendix C.1 there: 128, batch normalisation, leaky ReLU), whatever
    normalises the rest: it is to be as sure of a code as it can, and what is divided by its largest singular value at
    every layer comes to it too faint to learn from. It sees outputs alone, so its batches give nothing away.
    """

    def __init__(
        self,
        categories: Sequence[int],
        continuous: int,
        recogniser: int = 128,
        channels: int = 128,
        side: int = 64,
        normalise: Normalisation = "batch",
        scale: float = 1.0,
    ) -> None:
        """Make a discriminator.

        Args:
            categories: of each categorical code.
            continuous: codes from -1 to 1.
            recogniser: hidden features of Q.
            channels: as in DCGAN's.
            side: as in DCGAN's.
            normalise: as in DCGAN's.
            scale: as in DCGAN's, of the score alone.
        """
        super().__init__(channels, side, normalise, scale)
        self.codes = Codes(tuple(categories), continuous)
        self.recogniser = nn.Sequential(
            nn.Conv2d(channels * 2 ** (doublings(side) - 1), recogniser, 4, bias=False),
            nn.BatchNorm2d(recogniser),
            nn.LeakyReLU(0.2),
            nn.Conv2d(recogniser, self.codes.told, 1),
        )

    def forward(self, x: Tensor, told: bool = False) -> Tensor:
        """Return scores (N,) of images (N, 3, side, side); with `told` (N, 1 + codes.told): the score, then Q's."""
        features = self.features(x)
        score = self.score(features)
        return torch.cat([score[:, None], self.recogniser(features).flatten(1)], dim=1) if told else score


class InfoganRecogniser(InfoganDiscriminator):
    """The same network as a package holds it: images to what is told of their codes, (N, `codes.told`)."""

    def forward(self, x: Tensor, told: bool = True) -> Tensor:
        """Return what `codes.read` reads of images (N, 3, side, side) in [-1, 1]."""
        del told
        found: Tensor = self.recogniser(self.features(x)).flatten(1)
        return found
