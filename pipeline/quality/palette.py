"""The colours that a collection is painted in: a few clusters in Lab, where distance is what the eye sees."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.colour import lab_to_srgb, pixels_to_lab
from pipeline.quality.thumbnails import Thumbnail

COLOURS = 8
_CELLS = 24  # each picture counts by so many cells each way, whatever its size
_ROUNDS = 25


@dataclass(frozen=True)
class Swatch:
    """A colour (`#rrggbb`), its share of all area in [0, 1], and its lightness (0 to 100)."""

    colour: str
    share: float
    lightness: float


def palette(pictures: Sequence[Thumbnail]) -> list[Swatch]:
    """Return the dominant colours of pictures that count alike, from dark to light; none without a picture.

    The same pictures always give the same colours: k-means in Lab, begun at the colours of a median cut.
    """
    if not pictures:
        return []
    from scipy.cluster.vq import kmeans2  # here: pages are rare

    cells = np.concatenate([_cells(picture).reshape(-1, 3) for picture in pictures])
    lab = pixels_to_lab(cells).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a cluster that lost all its cells, which is left out below
        centres, labels = kmeans2(lab, _beginnings(cells), iter=_ROUNDS, minit="matrix")
    shares = np.bincount(labels, minlength=len(centres)) / len(lab)
    found = [_swatch(centre, float(share)) for centre, share in zip(centres, shares, strict=True) if share > 0]
    return sorted(found, key=lambda swatch: swatch.lightness)


def _beginnings(cells: np.ndarray) -> np.ndarray:
    """Return the colours, in Lab, that a median cut of RGB cells (N, 3) finds."""
    reduced = Image.fromarray(cells[None]).quantize(COLOURS, Image.Quantize.MEDIANCUT)
    colours = np.array(reduced.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return pixels_to_lab(colours[np.unique(np.asarray(reduced))]).astype(np.float64)


def _cells(picture: Thumbnail) -> np.ndarray:
    with Image.open(io.BytesIO(picture.data), formats=["JPEG"]) as image:  # one of ours
        return np.asarray(image.convert("RGB").resize((_CELLS, _CELLS), Image.Resampling.BOX))


def _swatch(centre: np.ndarray, share: float) -> Swatch:
    red, green, blue = np.rint(lab_to_srgb(centre.astype(np.float64)) * 255).astype(int)
    return Swatch(f"#{red:02x}{green:02x}{blue:02x}", share, float(centre[0]))
