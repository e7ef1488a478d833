"""Use a package that restores pictures: verify it, load it, mend pictures of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipeline.catalogue import Task
from pipeline.images import to_image, to_tensor
from pipeline.loaded import Loaded
from pipeline.networks.unet import RestorationGenerator

# px of what is given; memory stays that of a tile, whatever the picture. Both are multiples of what eight halvings
# need: all tiles then see the same grid of pixels, as one pass over the whole would.
TILE, OVERLAP = 1024, 256
_LOST = 128  # from this level of a mask on the picture is lost

Pixels = NDArray[np.uint8]


class Restorer(Loaded):
    """A loaded package: damaged picture in, whole picture out, `scale` times as large.

    The same picture and mask give the same output. Up to `TILE` px a side a picture goes through the network as a
    whole; a larger one in tiles that overlap and run into each other, of which those without a hole are left alone.
    """

    task: ClassVar[Task] = "restore"
    kind: ClassVar[type[nn.Module]] = RestorationGenerator
    network: RestorationGenerator

    @property
    def masked(self) -> bool:
        """Whether it must be told where the picture is lost."""
        return self.network.masked

    @property
    def scale(self) -> int:
        """How many times larger what comes out is."""
        return self.network.scale

    def check(self, masked: bool) -> None:
        """Return when the model is given a mask if it needs one, and none if not.

        Raises:
            ValueError: it is not.
        """
        name, does = self.config["recipe"], self.network.task
        if self.masked and not masked:
            raise ValueError(
                f"the model {name} fills holes ({does}) and has to be told where they are: name a mask of the "
                f"picture's size, white where it is lost (--mask FILE)"
            )
        if masked and not self.masked:
            raise ValueError(
                f"the model {name} ({does}) works on the whole picture and takes no mask; leave it out, or name a "
                f"model that was trained with `pix2pix.task: inpaint`"
            )

    def __call__(self, image: Image.Image, mask: Image.Image | None = None) -> Image.Image:
        """Return the whole picture.

        Args:
            image: what is left of it, of any size.
            mask: in its size; what is lighter than middle grey is lost, all else comes back as it was, to the bit.

        Raises:
            ValueError: a mask that is missing, not wanted, or of another size.
        """
        self.check(mask is not None)
        image = image.convert("RGB")
        if mask is not None and mask.size != image.size:
            raise ValueError(
                f"the mask has {mask.width} x {mask.height} px but the picture {image.width} x {image.height} px; "
                f"make it the picture's size"
            )
        given = np.asarray(image)
        lost = None if mask is None else np.asarray(mask.convert("L")) >= _LOST
        made = np.repeat(np.repeat(given, self.scale, 0), self.scale, 1)
        for top, left in _corners(image.height, image.width):
            self._mend(given, lost, made, top, left)
        return Image.fromarray(made if lost is None else np.where(lost[..., None], made, given))

    def _mend(self, given: Pixels, lost: NDArray[np.bool_] | None, made: Pixels, top: int, left: int) -> None:
        """Put the tile of a corner into `made`; over the edges that it shares it takes the place of what is there."""
        window = np.s_[top : top + TILE, left : left + TILE]
        holes = None
        if lost is not None:
            if not lost[window].any():
                return
            holes = torch.from_numpy(lost[window].astype(np.float32))[None, None]
        tile = self._whole(to_tensor(Image.fromarray(given[window]))[None], holes)
        new = np.asarray(to_image(tile[0].cpu()), dtype=np.float32)
        share = _ramp(new.shape[0], top > 0, self.scale)[:, None] * _ramp(new.shape[1], left > 0, self.scale)[None]
        place = made[top * self.scale :, left * self.scale :][: new.shape[0], : new.shape[1]]
        place[:] = np.rint(place + share[..., None] * (new - place))

    @torch.inference_mode()
    def _whole(self, pictures: Tensor, holes: Tensor | None) -> Tensor:
        made: Tensor = self.network(pictures.to(self.device), None if holes is None else holes.to(self.device))
        return made


def _corners(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the upper left corners of tiles that cover a picture, row by row."""
    for top in _starts(height):
        for left in _starts(width):
            yield top, left


def _starts(length: int) -> list[int]:
    """Return where tiles begin: each overlaps the one before, and the last ends with the picture."""
    return [0] if length <= TILE else list(range(0, length - OVERLAP, TILE - OVERLAP))


def _ramp(length: int, shared: bool, scale: int) -> NDArray[np.float32]:
    """Return the share of a tile along a side that begins in another's: from 0 to 1 over the overlap, then 1."""
    share = np.ones(length, np.float32)
    if shared:
        reach = OVERLAP * scale
        share[:reach] = (np.arange(reach, dtype=np.float32) + 0.5) / reach
    return share
