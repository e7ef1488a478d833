"""A pool of earlier outputs, so that a discriminator does not forget what it has learnt to tell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.devices import to_device


class ImagePool(nn.Module):
    """Holds up to `size` images (Shrivastava et al. 2017, section 2.3; here as in Zhu et al. 2017, section 4).

    While it is not full, an image is stored and given back. Then, half of the time, one that it holds is given
    instead and the new one takes its place; else the new one is given back, and forgotten.
    """

    images: Tensor
    held: Tensor

    def __init__(self, size: int, side: int) -> None:
        """Make an empty pool for `size` images (3, side, side); 0 makes one that gives back what it is given."""
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, 3, side, side))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, images: Tensor, draw: torch.Generator) -> Tensor:
        """Return (N, 3, H, W) images for (N, 3, H, W), and keep some; what is drawn depends on N alone.

        How full it is stands in a buffer: a step that is skipped can be undone without waiting for the device.
        """
        if not self.size:
            return images.detach()
        count = len(images)
        swaps = to_device(torch.rand(count, generator=draw) < 0.5, images.device)
        places = to_device(torch.randint(self.size, (count,), generator=draw), images.device)
        given = []
        for image, swap, place in zip(images.detach().float().split(1), swaps, places, strict=True):  # type: ignore[no-untyped-call]
            full = self.held >= self.size
            at = torch.where(full, place, self.held)[None]
            stored = self.images.index_select(0, at)
            given.append(torch.where(full & swap, stored, image))
            self.images.index_copy_(0, at, torch.where(~full | swap, image, stored))
            self.held += ~full
        return torch.cat(given)
