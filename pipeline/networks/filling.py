"""A first guess at what is missing, without a parameter: smooth colours in holes, bicubic pixels between pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 6  # halvings: at the top a pixel stands for 64
_SWEEPS = 8  # of each level: more changes nothing that one sees


def fill(pictures: Tensor, holes: Tensor) -> Tensor:
    """Return pictures with colours that run smoothly across their holes, from edge to edge.

    Pull and push (Gortler et al. 1996, "The Lumigraph", section 3.4): a pyramid of what is known, and from its top
    down each hole takes the level above, then the mean of its neighbours again and again, which goes towards the
    membrane that spans the hole (Laplace's equation).

    Args:
        pictures: (N, 3, H, W); what stands in holes counts for nothing.
        holes: (N, 1, H, W), 1 where the picture is lost.
    """
    known = 1 - holes
    levels = [(pictures * known, known)]
    for _ in range(LEVELS):
        sums, weights = (F.avg_pool2d(even(x), 2) for x in levels[-1])
        found = (weights > 0).to(pictures)
        levels.append((sums / weights.clamp_min(1e-6) * found, found))
    values, known = levels[-1]
    mean = values.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp_min(1)
    guess = _relaxed(torch.where(known > 0, values, mean), values, known)
    for values, known in reversed(levels[:-1]):
        larger = F.interpolate(guess, scale_factor=2, mode="nearest")[..., : values.shape[2], : values.shape[3]]
        guess = _relaxed(torch.where(known > 0, values, larger), values, known)
    return guess


def even(x: Tensor) -> Tensor:
    """Return (N, C, H, W) with its last row or column repeated where their number is odd."""
    bottom, right = x.shape[2] % 2, x.shape[3] % 2
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


def _relaxed(guess: Tensor, values: Tensor, known: Tensor) -> Tensor:
    for _ in range(_SWEEPS):
        smooth = F.avg_pool2d(guess, 3, 1, 1, count_include_pad=False)
        guess = torch.where(known > 0, values, smooth)
    return guess


class Enlarge(nn.Module):
    """Bicubic enlargement (Keys 1981, a = -1/2, as image editors have it) by a whole number; edges repeat."""

    kernels: Tensor

    def __init__(self, scale: int) -> None:
        """Make one for a scale."""
        super().__init__()
        self.scale = scale
        taps = torch.arange(-2, 3)
        # Where in the small picture, around one of its pixels, the centres of the large one's pixels lie.
        places = (torch.arange(scale) + 0.5) / scale - 0.5
        weights = _cubic(places[:, None] - taps[None])
        kernels = torch.einsum("ai,bj->abij", weights, weights).reshape(scale**2, 1, 5, 5)
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, scale H, scale W) of (N, C, H, W)."""
        count, channels, height, width = x.shape
        padded = F.pad(x, (2, 2, 2, 2), mode="replicate").reshape(count * channels, 1, height + 4, width + 4)
        with torch.autocast(x.device.type, enabled=False):  # pixels of 8 bits need more than bfloat16 has
            large = F.pixel_shuffle(F.conv2d(padded, self.kernels), self.scale)
        return large.reshape(count, channels, height * self.scale, width * self.scale)


def _cubic(x: Tensor) -> Tensor:
    """Return Keys' kernel at distances `x`."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
