"""U-Net, and the generator that restores pictures with it (Isola et al. 2017, section 3.2 and appendix 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.filling import Enlarge, even, fill
from pipeline.networks.layers import NORMS

Norm = Literal["batch", "instance", "channel", "none"]
_DROPPING = 3  # layers of the decoder, from the lowest on


class UNet(nn.Module):
    """Strided 4 x 4 convolutions down, transposed ones up; each layer up also sees its counterpart on the way down.

    C64-C128-C256-C512-C512-C512-C512-C512 down and CD512-CD512-CD512-C512-C256-C128-C64 up for 64 channels and a
    depth of 8. Nothing normalises the first layer, nor the lowest, which has one pixel of a picture of 256 px.
    Pictures may have any size: where a layer's side is odd, its last row is repeated on the way down and left out on
    the way up.
    """

    def __init__(
        self, inputs: int = 3, channels: int = 64, depth: int = 8, norm: Norm = "batch", dropout: float = 0.5
    ) -> None:
        """Make one with three output channels.

        Args:
            inputs: channels of what it is given.
            channels: of the first layer, doubled at each halving up to 8 times.
            depth: halvings.
            norm: of all layers but the first, the lowest and the last.
            dropout: share of the features of the three lowest layers up that `noise` takes away.
        """
        super().__init__()
        self.dropout = dropout
        self.widths = [channels * min(2**i, 8) for i in range(depth)]
        down: list[nn.Module] = [nn.Conv2d(inputs, channels, 4, 2, 1)]
        for i in range(1, depth):
            plain = i == depth - 1
            layer = nn.Conv2d(self.widths[i - 1], self.widths[i], 4, 2, 1, bias=plain or norm == "none")
            down.append(layer if plain else nn.Sequential(layer, _norm(norm, self.widths[i])))
        self.down = nn.ModuleList(down)
        up: list[nn.Module] = []
        for i in reversed(range(1, depth)):
            given = self.widths[i] * (1 if i == depth - 1 else 2)
            wider = nn.ConvTranspose2d(given, self.widths[i - 1], 4, 2, 1, bias=norm == "none")
            up.append(nn.Sequential(wider, _norm(norm, self.widths[i - 1])))
        self.up = nn.ModuleList(up)
        self.last = nn.ConvTranspose2d(2 * channels, 3, 4, 2, 1)

    def forward(self, x: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """Return (N, 3, H, W) of any range, of (N, inputs, H, W).

        Args:
            x: what it is given.
            noise: as `noise` draws it; without, nothing is dropped, and the same input gives the same output.
        """
        sizes, features = [], list[Tensor]()
        for i, layer in enumerate(self.down):
            sizes.append((x.shape[2], x.shape[3]))
            x = layer(even(F.leaky_relu(x, 0.2) if i else x))
            features.append(x)
        features.pop()
        for i, layer in enumerate(self.up):
            height, width = sizes.pop()
            x = layer(F.relu(x))[..., :height, :width]
            if i < len(noise):
                x = x * noise[i]
            x = torch.cat([x, features.pop()], dim=1)
        height, width = sizes.pop()
        drawn: Tensor = self.last(F.relu(x))[..., :height, :width]
        return drawn

    def noise(self, count: int, height: int, width: int, draw: torch.Generator) -> list[Tensor]:
        """Return dropout for `count` pictures of a size, drawn from `draw` on the CPU: 0, or 1 / (1 - dropout)."""
        if not self.dropout:
            return []
        sizes = [(height, width)]
        for _ in self.down[1:]:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        places = [(self.widths[i - 1], *sizes[i]) for i in reversed(range(1, len(self.widths)))]
        return [
            (torch.rand((count, *place), generator=draw) >= self.dropout).float() / (1 - self.dropout)
            for place in places[:_DROPPING]
        ]


class RestorationGenerator(nn.Module):
    """What is left of a picture in, the picture out.

    A first guess without parameters (holes filled smoothly, bicubic enlargement, or the picture as it is) goes
    through a U-Net, which corrects it, or with `residual` false draws the picture anew. What is outside of holes
    comes back as it was, to the bit.
    """

    def __init__(
        self,
        task: str = "inpaint",
        scale: int = 1,
        channels: int = 64,
        depth: int = 8,
        norm: Norm = "batch",
        dropout: float = 0.5,
        residual: bool = True,
    ) -> None:
        """Make one.

        Args:
            task: with `inpaint` it is told where the holes are.
            scale: how many times larger the output is.
            channels: see `UNet`.
            depth: see `UNet`.
            norm: see `UNet`.
            dropout: see `UNet`.
            residual: correct the first guess instead of drawing anew.
        """
        super().__init__()
        self.task, self.scale, self.residual = task, scale, residual
        self.unet = UNet(4 if self.masked else 3, channels, depth, norm, dropout)
        self.enlarge = Enlarge(scale) if scale > 1 else None

    @property
    def masked(self) -> bool:
        """Whether it is told where the picture is lost."""
        return self.task == "inpaint"

    def guess(self, pictures: Tensor, holes: Tensor | None = None) -> Tensor:
        """Return the first guess, in the size of the output."""
        if holes is not None:
            return fill(pictures, holes)
        return pictures if self.enlarge is None else self.enlarge(pictures).clamp(-1, 1)

    def forward(self, pictures: Tensor, holes: Tensor | None = None, noise: Sequence[Tensor] = ()) -> Tensor:
        """Return (N, 3, scale H, scale W) in [-1, 1].

        Args:
            pictures: (N, 3, H, W) in [-1, 1].
            holes: (N, 1, H, W), 1 where the picture is lost, of a network that is `masked`.
            noise: see `UNet.forward`.
        """
        assert (holes is not None) == self.masked, "holes belong to the task inpaint"
        guess = self.guess(pictures, holes)
        given = guess if holes is None else torch.cat([guess, holes], dim=1)
        drawn = self.unet(given, noise)
        made = (guess + drawn).clamp(-1, 1) if self.residual else torch.tanh(drawn)
        return made if holes is None else torch.where(holes > 0.5, made.to(pictures.dtype), pictures)


def _norm(name: Norm, channels: int) -> nn.Module:
    if name == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if name == "batch" else NORMS[name](channels)
