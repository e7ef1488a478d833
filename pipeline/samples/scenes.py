"""The scenes of the built-in photographs, and how the real ones are cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from numpy.random import Generator
from PIL import Image

from pipeline.samples.canvas import Array, expose, soft_light
from pipeline.samples.landscapes import sea, terrain
from pipeline.samples.objects import city, still_life
from pipeline.samples.plants import bloom, forest, meadow

Box: TypeAlias = tuple[int, int, int, int]

# Landscapes twice: they differ most among themselves (six lands under six lights).
SCENES: tuple[Callable[[Generator, int], Array], ...] = (
    terrain, still_life, forest, sea, city, bloom, terrain, meadow,
)  # fmt: skip
# Name, and views across and down: the pagoda shows something everywhere, the flower in its middle only.
_REAL = (("flower.jpg", 1, 1), ("china.jpg", 3, 2))
_REAL_SIZE = (640, 427)
_EVERY = 3  # every third photograph is a real one, while they last


def view_boxes(width: int, height: int, across: int, down: int) -> list[Box]:
    """Return the boxes (left, top, right, bottom) of square views cut from a picture, row by row.

    No two share a pixel: a later split by hash may put any two on different sides, and a test view that
    held pixels of a training view would measure memory. All are of the same side, centred in their cells.

    Raises:
        ValueError: the picture has too few pixels for the grid, or the grid is empty.
    """
    if across < 1 or down < 1 or width < across or height < down:
        raise ValueError(f"a {width}×{height} picture cannot be cut into {across}×{down} views")
    side = min(width // across, height // down)
    lefts = [column * width // across + (width // across - side) // 2 for column in range(across)]
    tops = [row * height // down + (height // down - side) // 2 for row in range(down)]
    return [(left, top, left + side, top + side) for top in tops for left in lefts]


def real_views() -> Sequence[tuple[str, Box]]:
    """Return file name and box of every view of the two real photographs."""
    return [(name, box) for name, across, down in _REAL for box in view_boxes(*_REAL_SIZE, across, down)]


def photograph(rng: Generator, index: int, side: int) -> Image.Image:
    """Return photograph `index` (side × side): a view of a real one, or a rendered scene.

    Raises:
        ValueError: scikit-learn, which the real photographs ship in, is not installed.
    """
    views = real_views()
    if index % _EVERY == 0 and index // _EVERY < len(views):
        name, box = views[index // _EVERY]
        with Image.open(_real_folder() / name) as picture:
            # cropped before resampling, whose filter would otherwise reach over the edge
            return picture.convert("RGB").crop(box).resize((side, side), Image.Resampling.LANCZOS)
    scene = SCENES[index % len(SCENES)](rng, 2 * side)
    return expose(soft_light(scene), rng)


def _real_folder() -> Path:
    """Return where scikit-learn keeps its sample photographs, without importing it (it is slow)."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise ValueError("scikit-learn is not installed; its sample photographs are needed: pip install scikit-learn")
    return Path(spec.origin).parent / "datasets" / "images"
