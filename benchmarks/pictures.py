"""Built-in samples as prepared collections, and as the loose files that a DataLoader reads.

Made here and not by the stages, so that the benchmark needs no more than torch, torchvision, NumPy, SciPy and Pillow.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.files import write_json
from pipeline.params import Prepare
from pipeline.sample_data import write_samples

Pixels = NDArray[np.uint8]
_HELD_OUT = 5  # one image of so many


@dataclass(frozen=True)
class Collection:
    """One collection in both forms, of the same pixels."""

    prepared: Path
    loose: Path  # one PNG a crop

    def held_out(self) -> list[Pixels]:
        """Return the held-out views, (V, V, 3) each."""
        return [np.asarray(Image.open(path)) for path in sorted((self.prepared / "test").iterdir())]


def make(folder: Path, style: str, photos: int, artworks: int, settings: Prepare) -> tuple[Collection, Collection]:
    """Draw samples and return the collections of photographs and of a built-in style's artworks."""
    samples = write_samples(
        folder / "samples",
        photos=photos,
        artworks=artworks,
        side=2 * settings.view,
        styles=[style],
        workers=os.cpu_count() or 1,
    )
    sources = {"photos": samples.photos, style: samples.styles[style]}
    return tuple(_prepare(folder / name, source, settings) for name, source in sources.items())  # type: ignore[return-value]


def _prepare(folder: Path, source: Path, settings: Prepare) -> Collection:
    rng = random.Random(folder.name)
    for part in ("train", "test", "loose"):
        (folder / part).mkdir(parents=True)
    for number, path in enumerate(sorted(source.iterdir())):
        with Image.open(path) as image:
            picture = image.convert("RGB")
        if number % _HELD_OUT == 0:
            picture.resize((settings.view, settings.view), Image.Resampling.LANCZOS).save(
                folder / "test" / f"{path.stem}.png"
            )
            continue
        crops = [_crop(picture, settings.crop, rng) for _ in range(settings.crops_per_image)]
        for place, crop in enumerate(crops):
            crop.save(folder / "loose" / f"{path.stem}-{place}.png")
        Image.fromarray(np.concatenate([np.asarray(crop) for crop in crops])).save(
            folder / "train" / f"{path.stem}.png"
        )
    write_json(
        folder / "index.json",
        {
            "crop": settings.crop,
            "crops_per_image": settings.crops_per_image,
            "view": settings.view,
            "train": [{"file": f"train/{path.name}", "weight": 1.0} for path in sorted((folder / "train").iterdir())],
        },
    )
    return Collection(folder, folder / "loose")


def _crop(picture: Image.Image, side: int, rng: random.Random) -> Image.Image:
    """Return a square of a quarter to all of the area, as a `side` of pixels."""
    size = picture.width * rng.uniform(0.5, 1)
    left, top = (rng.uniform(0, room - size) for room in picture.size)
    return picture.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + size, top + size))
