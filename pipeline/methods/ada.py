"""Adaptive discriminator augmentation.

Karras et al. 2020b, "Training Generative Adversarial Networks with Limited Data".

The discriminator never sees an image as it is: real and generated ones alike are changed with a probability p, in
ways that can be undone as long as p is below 0.8 or so, so that no change leaks into what is generated. p rises while
the discriminator knows its paintings by heart, and falls while it does not.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn

# Columns of what `Augmenter.draw` draws: whether each change is made, where it falls in its range, how strong it is.
_BLIT = ("flip", "turn", "shift")
_GEOMETRY = ("scale", "before", "stretch", "after", "move")
_COLOUR = ("brightness", "contrast", "luma", "hue", "saturation")
_GATES = (*_BLIT, *_GEOMETRY, *_COLOUR)
_PLACES = ("flip", "turn", "shift_x", "shift_y", "before", "after", "luma", "hue")  # uniform, 0 to 1
_FORCES = ("scale", "stretch", "move_x", "move_y", "brightness", "contrast", "saturation")  # normal
KINDS = {"blit": _BLIT, "geometry": _GEOMETRY, "colour": _COLOUR}
"""The changes of each kind, by the names of section 2 and appendix B there."""
_SHIFT = 0.125  # of the side


class Augmenter(nn.Module):
    """Changes images with probability p, and moves p by the discriminator's answers.

    At p = 0 images come back bit for bit. All is differentiable, as often as one likes: gradients of R1 and of the
    generator pass through it. Resampling is bilinear with mirrored edges, where the paper filters with wavelets.
    """

    on: Tensor
    p: Tensor
    signs: Tensor
    counted: Tensor

    def __init__(self, kinds: Collection[str], target: float, every: int, horizon: int) -> None:
        """Make one at p = 0.

        Args:
            kinds: of `KINDS`.
            target: the mean sign of D's answers to paintings that p aims at.
            every: steps from one change of p to the next.
            horizon: images in which p goes from 0 to 1, if it only rises.
        """
        super().__init__()
        self.target, self.every, self.horizon = target, every, horizon
        on = [any(gate in KINDS[kind] for kind in kinds) for gate in _GATES]
        self.active = any(on)
        self.register_buffer("on", torch.tensor(on), persistent=False)
        for name in ("p", "signs", "counted"):
            self.register_buffer(name, torch.zeros(()))

    @staticmethod
    def draw(count: int, draw: torch.Generator) -> Tensor:
        """Return all that is random about changing `count` images, a row an image, on the CPU."""
        uniform = torch.rand(count, len(_GATES) + len(_PLACES), generator=draw)
        return torch.cat([uniform, torch.randn(count, len(_FORCES), generator=draw)], 1)

    def forward(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Return changed images (N, 3, S, S) of images in about [-1, 1], by rows of `draw`."""
        if not self.active:
            return images
        with torch.autocast(images.device.type, enabled=False):
            gates, places, forces = torch.split(drawn, [len(_GATES), len(_PLACES), len(_FORCES)], 1)
            made = dict(zip(_GATES, self._made(gates).unbind(1), strict=True))
            place = dict(zip(_PLACES, places.unbind(1), strict=True))
            force = dict(zip(_FORCES, forces.unbind(1), strict=True))
            moved = resample(images.float(), _inverse(images.shape[2], made, place, force))
            return recolour(moved, *_colours(made, place, force))

    @torch.no_grad()
    def adjust(self, sign: Tensor, images: int, step: int) -> None:
        """Move p once every so many steps.

        p changes by sign(r - target) images / horizon, where r = E[sign D(x)] of the paintings x since the last
        change (equation 1 and section 3 there): at r = 1 the discriminator is right about all it was trained on.

        Args:
            sign: mean sign of the step's answers to paintings, of the whole team.
            images: the step had, of the whole team.
            step: its number.
        """
        self.signs += sign
        self.counted += 1
        if (step + 1) % self.every:
            return
        ahead = torch.sign(self.signs / self.counted - self.target)
        self.p.copy_((self.p + ahead * self.counted * images / self.horizon).clamp(0, 1))
        self.signs.zero_()
        self.counted.zero_()

    def _made(self, gates: Tensor) -> Tensor:
        """Return (N, changes) of 0 and 1. The two rotations together are made with probability p."""
        chance = self.p.expand(len(_GATES)).clone()
        for rotation in ("before", "after"):
            chance[_GATES.index(rotation)] = 1 - (1 - self.p).sqrt()
        return ((gates < chance) & self.on).float()


def _inverse(side: int, made: dict[str, Tensor], place: dict[str, Tensor], force: dict[str, Tensor]) -> Tensor:
    """Return (N, 3, 3), the inverse of all changes in turn: where a pixel comes from, in pixels from the centre."""
    flip = 1 - 2 * made["flip"] * (2 * place["flip"]).floor()
    quarters = made["turn"] * (4 * place["turn"]).floor()
    shift = [made["shift"] * ((2 * place[name] - 1) * _SHIFT * side).round() for name in ("shift_x", "shift_y")]
    scale = torch.exp2(-0.2 * force["scale"] * made["scale"])
    stretch = torch.exp2(-0.2 * force["stretch"] * made["stretch"])
    move = [made["move"] * force[name] * _SHIFT * side for name in ("move_x", "move_y")]
    one = torch.ones_like(flip)
    # Cosine and sine of whole quarters are whole numbers here, which torch.cos would miss: pixels stay pixels.
    cosine = (quarters == 0).float() - (quarters == 2).float()
    sine = (quarters == 1).float() - (quarters == 3).float()
    inverse = _matrix(flip, one) @ _turned(cosine, sine) @ _shifted(*shift)
    inverse = inverse @ _matrix(scale, scale) @ _rotated(made["before"] * (2 * place["before"] - 1) * math.pi)
    inverse = inverse @ _matrix(stretch, 1 / stretch) @ _rotated(made["after"] * (2 * place["after"] - 1) * math.pi)
    return inverse @ _shifted(*move)


def _colours(made: dict[str, Tensor], place: dict[str, Tensor], force: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return (N, 3, 3) and (N, 3, 1): the linear part of all changes of colour in turn, and what is added."""
    contrast = torch.exp2(0.5 * made["contrast"] * force["contrast"])[:, None, None]
    inverted = (made["luma"] * (2 * place["luma"]).floor())[:, None, None]
    saturation = torch.exp2(made["saturation"] * force["saturation"])[:, None, None]
    angle = made["hue"] * (2 * place["hue"] - 1) * math.pi
    whole = torch.eye(3, device=angle.device)
    grey = torch.full((3, 3), 1 / 3, device=angle.device)  # onto the grey axis
    # Written so that each is the identity to the last bit where its change is not made.
    linear = whole + (saturation - 1) * (whole - grey)
    linear = linear @ _about_grey(angle) @ (whole - 2 * inverted * grey) * contrast
    brightness = (0.2 * made["brightness"] * force["brightness"])[:, None, None].expand(-1, 3, 1)
    return linear, linear @ brightness


def _about_grey(angle: Tensor) -> Tensor:
    """Return (N, 3, 3): rotations about the grey axis (Rodrigues' formula), which are circulant."""
    third, side = (1 - angle.cos()) / 3, angle.sin() / math.sqrt(3)
    a, b, c = third + angle.cos(), third - side, third + side
    return torch.stack([a, b, c, c, a, b, b, c, a], 1).view(-1, 3, 3)


def resample(images: Tensor, inverse: Tensor) -> Tensor:
    """Return images (N, C, S, S) whose pixel at q is the old one's at inverse q, bilinear, with mirrored edges.

    By gathering and not by `grid_sample`, whose gradient has no gradient. Where q falls on a pixel it is that pixel.

    Args:
        images: (N, C, S, S).
        inverse: (N, 3, 3), of (x, y, 1) in pixels from the centre, x to the right and y down.
    """
    count, channels, side, _ = images.shape
    line = torch.arange(side, device=images.device) - (side - 1) / 2
    ones = torch.ones(side, side, device=images.device)
    target = torch.stack([line[None, :] * ones, line[:, None] * ones, ones]).flatten(1)
    x, y = (_mirrored(row, side).view(-1, side, side) for row in (inverse[:, :2] @ target).unbind(1))
    left, top = x.floor().clamp(max=side - 2), y.floor().clamp(max=side - 2)
    flat = images.flatten(2)

    def at(down: int, right: int) -> Tensor:
        places = ((top + down) * side + left + right).long().flatten(1)
        return flat.gather(2, places[:, None].expand(-1, channels, -1)).view(count, channels, side, side)

    across, along = (y - top)[:, None], (x - left)[:, None]
    upper, lower = (torch.lerp(at(down, 0), at(down, 1), along) for down in (0, 1))
    return torch.lerp(upper, lower, across)


def recolour(images: Tensor, linear: Tensor, added: Tensor) -> Tensor:
    """Return images (N, 3, S, S) whose colours c became `linear` c + `added`, (N, 3, 3) and (N, 3, 1)."""
    return torch.baddbmm(added, linear, images.flatten(2)).view_as(images)


def _mirrored(place: Tensor, side: int) -> Tensor:
    """Return places from 0 to `side` - 1 along a row of `side` pixels that is mirrored at its edges for ever."""
    along = torch.remainder(place + side / 2, 2 * side)
    return (torch.where(along > side, 2 * side - along, along) - 0.5).clamp(0, side - 1)


def _matrix(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([x, zero, zero, zero, y, zero, zero, zero, one], 1).view(-1, 3, 3)


def _turned(cosine: Tensor, sine: Tensor) -> Tensor:
    zero, one = torch.zeros_like(sine), torch.ones_like(sine)
    return torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], 1).view(-1, 3, 3)


def _rotated(angle: Tensor) -> Tensor:
    return _turned(angle.cos(), angle.sin())


def _shifted(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], 1).view(-1, 3, 3)
