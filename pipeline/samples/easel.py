"""An easel for the built-in artworks: a palette, and shapes laid back to front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.samples.canvas import Array, f32, grid, mix, smoothstep

Values: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Palette:
    """The colours a hand uses, as `#rrggbb`: the roles are the same in every hand, the colours its own."""

    sky: tuple[str, str]  # above, at the horizon
    orb: str  # sun or moon
    land: tuple[str, str, str]  # far to near
    water: tuple[str, str]
    accents: tuple[str, ...]
    dark: str
    light: str


def code(colour: str) -> Array:
    """Return `#rrggbb` as sRGB values (3,)."""
    return f32([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])


class Easel:
    """A picture under way: shapes are laid over what is there, back to front."""

    def __init__(self, n: int, top: Array, bottom: Array) -> None:
        """Start from a ground that runs from `top` to `bottom`."""
        y, x = grid(n)
        self.n = n
        self.image = mix(top, bottom, f32(y + 0 * x))

    def profile(self, x: float, half: Values, y: Values, colour: Array, *, form: float) -> None:
        """Lay a body symmetric about `x`: its half widths (k,) at heights `y` (k,)."""
        ring = [*zip(x - half, y, strict=True), *zip((x + half)[::-1], y[::-1], strict=True)]
        self.polygon([(float(a), float(b)) for a, b in ring], colour, form=form)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Array, *, form: float = 0.18) -> None:
        """Lay a polygon of (x, y) fractions, lighter to the upper left by `form`."""
        corners = np.asarray(points, np.float64) * self.n
        low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
        high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, self.n)
        width, height = high - low
        if width < 1 or height < 1:
            return
        stencil = Image.new("L", (int(width), int(height)))
        ImageDraw.Draw(stencil).polygon([tuple(c) for c in (corners - low).tolist()], fill=255)
        mask = f32(np.asarray(stencil, np.float32) / 255)
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
        skin = colour * f32(1 - form * (0.5 * x + 0.5 * y))[..., None]
        patch = self.image[low[1] : high[1], low[0] : high[0]]
        patch[:] = mix(patch, skin, mask)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Array, *, turn: float = 0.0,
                form: float = 0.25) -> None:  # fmt: skip
        """Lay an ellipse about (x, y), turned by `turn` radians."""
        t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        u, v = rx * np.cos(t), ry * np.sin(t)
        px, py = x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)
        self.polygon(list(zip(px.tolist(), py.tolist(), strict=True)), colour, form=form)

    def stroke(self, points: Sequence[tuple[float, float]], start: float, end: float, colour: Array) -> None:
        """Lay a line through (x, y) points whose width runs from `start` to `end`."""
        line = np.asarray(points, np.float64)
        along = np.gradient(line, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
        half = np.linspace(start, end, len(line))[:, None] / 2 * np.stack([-along[:, 1], along[:, 0]], axis=1)
        ring = np.concatenate([line + half, (line - half)[::-1]])
        self.polygon([(float(a), float(b)) for a, b in ring], colour, form=0.05)

    def below(self, edge: Array, top: Array, bottom: Array) -> None:
        """Lay ground below a line of heights (n,), running from `top` at its crest to `bottom`."""
        y, _ = grid(self.n)
        depth = y - edge[None, :]
        self.image = mix(self.image, mix(top, bottom, smoothstep(0, 0.3, depth)), smoothstep(0, 1.5 / self.n, depth))
