"""What all networks are that make images out of noise: how noise is drawn, what lies between two images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.codes import NO_CODES, Codes


class LatentGenerator(nn.Module):
    """A network from latents (N, `latent`) to square images (N, 3, `side`, `side`) in [-1, 1].

    Whoever uses one draws latents with `draw`, so a latent may be anything: Gaussian noise, noise and a code, or what
    a mapping network makes of noise.
    """

    latent: int
    """Numbers that decide an image."""
    side: int
    """Side of its images, px."""
    truncates: ClassVar[bool] = False
    """Whether `truncate` does something."""
    codes: Codes = NO_CODES
    """The codes among the numbers that decide an image."""

    def draw(self, count: int, draw: torch.Generator) -> Tensor:
        """Return random latents (count, latent), on the network's device; `draw` is a stream of the CPU."""
        device = next(self.parameters()).device
        return torch.randn(count, self.latent, generator=draw).to(device, non_blocking=True)

    def between(self, first: Tensor, second: Tensor, share: float) -> Tensor:
        """Return latents at a share (0 to 1) of the way from `first` to `second`, (N, latent) each.

        Spherical: the straight line between two Gaussian vectors passes through shorter ones, which the network never
        saw (White 2016, "Sampling Generative Networks").
        """
        return spherical(first, second, share)

    def assign(self, latents: Tensor, values: Mapping[str, float]) -> Tensor:
        """Return latents with codes of these values, by name, and all else as it was.

        Raises:
            ValueError: the network has no such code, or a code no such value.
        """
        if values:
            raise ValueError(
                f"a {type(self).__name__} has no codes, so {next(iter(values))!r} cannot be set; leave codes out, or "
                f"train a recipe with `method: infogan`"
            )
        return latents

    def truncate(self, latents: Tensor, strength: float) -> Tensor:
        """Return latents nearer to their mean: 1 leaves them, 0 makes all images the average one.

        Raises:
            ValueError: the network has no such mean.
        """
        if strength == 1:
            return latents
        raise ValueError(f"truncation is {strength}, but a {type(self).__name__} has none; leave it at 1")


def spherical(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Return the points at a share of the great arcs between rows; their lengths go from one's to the other's.

    sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b for unit vectors at an angle w (Shoemake 1985); rows that point
    the same way, or opposite ways, are joined by a straight line.
    """
    lengths = torch.lerp(first.norm(dim=1, keepdim=True), second.norm(dim=1, keepdim=True), share)
    a, b = F.normalize(first, dim=1), F.normalize(second, dim=1)
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    arc = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / sine.clamp_min(1e-6)
    return torch.where(sine > 1e-4, lengths * arc, torch.lerp(first, second, share))
