"""Use a package that makes images out of noise: verify it, load it, one image a seed, and what lies between two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.catalogue import Task
from pipeline.images import to_image
from pipeline.loaded import Loaded
from pipeline.networks.latent import LatentGenerator

MOST_SEED = 2**63 - 1
NO_CODE: Mapping[str, float] = MappingProxyType({})


class Sampler(Loaded):
    """A loaded package: seeds in, square images out. A seed gives the same image whatever it is asked for with."""

    task: ClassVar[Task] = "generate"
    kind: ClassVar[type[nn.Module]] = LatentGenerator
    network: LatentGenerator

    @property
    def side(self) -> int:
        """Side of the images, px."""
        return self.network.side

    def __call__(
        self, seeds: Sequence[int], *, truncation: float = 1.0, code: Mapping[str, float] = NO_CODE
    ) -> Iterator[Image.Image]:
        """Yield the image of each seed.

        Args:
            seeds: whole numbers from 0.
            truncation: 1: as it was trained; towards 0: nearer to the average image, less diverse and often cleaner.
            code: values of codes by name, see `Codes.assign`; those that are not named are the seed's.

        Raises:
            ValueError: a seed or `truncation` is out of range, the network has no truncation, or no such code.
        """
        for seed in seeds:
            yield self.image(self.latent(seed, truncation, code))

    def between(
        self, first: int, second: int, count: int, *, truncation: float = 1.0, code: Mapping[str, float] = NO_CODE
    ) -> Iterator[Image.Image]:
        """Yield `count` images on the way from one seed's to another's, both ends included.

        Raises:
            ValueError: fewer than 2 images, or as for `__call__`.
        """
        if count < 2:
            raise ValueError(f"{count} images have no way between them; ask for 2 or more")
        one, other = (self.latent(seed, truncation, code) for seed in (first, second))
        for number in range(count):
            yield self.image(self.network.between(one, other, number / (count - 1)))

    @torch.inference_mode()
    def latent(self, seed: int, truncation: float = 1.0, code: Mapping[str, float] = NO_CODE) -> Tensor:
        """Return what decides a seed's image, (1, latent).

        Raises:
            ValueError: as for `__call__`.
        """
        if not 0 <= seed <= MOST_SEED:
            raise ValueError(f"the seed is {seed}; it must be between 0 and {MOST_SEED}")
        if not 0 <= truncation <= 1:
            raise ValueError(f"truncation is {truncation}; it must be between 0 and 1")
        latent = self.network.draw(1, torch.Generator().manual_seed(seed))
        return self.network.assign(self.network.truncate(latent, truncation), code)

    @torch.inference_mode()
    def image(self, latent: Tensor) -> Image.Image:
        """Return the image of one latent."""
        return to_image(self.network(latent)[0].cpu())
