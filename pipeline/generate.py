"""Write the images of a package or a champion that makes them out of noise: a file each, or one sheet."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.files import write_atomic
from pipeline.images import grid

if TYPE_CHECKING:
    from PIL import Image

    from pipeline.generation import Sampler

NO_CODE: Mapping[str, float] = MappingProxyType({})
_SHEETS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_COLUMNS = 8


def parse_codes(given: Sequence[str]) -> dict[str, float]:
    """Return codes by name of `NAME=VALUE` each.

    Raises:
        ValueError: one is written otherwise, or is given twice.
    """
    values: dict[str, float] = {}
    for one in given:
        name, _, text = one.partition("=")
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"--code {one}: write NAME=NUMBER, such as --code k1=3 or --code c1=-0.5") from None
        if name in values:
            raise ValueError(f"--code {name} is given twice; give each code one value")
        values[name] = value
    return values


def generate(
    sampler: Sampler,
    out: Path,
    count: int,
    seed: int,
    *,
    interpolate: bool = False,
    truncation: float = 1.0,
    code: Mapping[str, float] = NO_CODE,
) -> Iterator[Path]:
    """Write `count` images and yield each file; a name that ends as a picture's gets all of them on one sheet.

    Args:
        sampler: the model.
        out: a folder, or a picture's name.
        count: of images.
        seed: the first; each further image has the next.
        interpolate: instead, images on the way from the seed's image to the next seed's, both included.
        truncation: see `Sampler`.
        code: see `Sampler`; of all images.

    Raises:
        ValueError: a number that will not do, or `out` is a file and no picture's name.
    """
    if out.suffix.lower() not in _SHEETS and out.is_file():
        raise ValueError(f"{out} is a file; name a folder for one file an image, or a picture for one sheet")
    if interpolate:
        images = sampler.between(seed, seed + 1, count, truncation=truncation, code=code)
        names = [f"seed-{seed}-to-{seed + 1}-{number:04d}.png" for number in range(count)]
    else:
        images = sampler(range(seed, seed + count), truncation=truncation, code=code)
        names = [f"seed-{seed + number:06d}.png" for number in range(count)]
    if out.suffix.lower() in _SHEETS:
        made = list(images)
        rows = [made[start : start + _COLUMNS] for start in range(0, count, _COLUMNS)]
        yield _write(out, grid(rows, gap=4), _SHEETS[out.suffix.lower()])
        return
    for name, image in zip(names, images, strict=True):
        yield _write(out / name, image, "PNG")


def _write(path: Path, image: Image.Image, kind: str) -> Path:
    data = io.BytesIO()
    image.save(data, kind, quality=93)
    return write_atomic(path, data.getvalue())
