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

COLOURS, ACCENTS = 8, 6
_CELLS = 24  # each picture counts by so many pixels each way, whatever its size
_LEAST_SHARE, _LEAST_CHROMA = 0.005, 25  # of an accent: of all area; in Lab, where a grey has 0
_NEAR, _APART = 14, 28  # in Lab: what counts as the colour of an accent, and how far two accents differ
_BIN = 10  # in Lab, of the grid that proposes accents
_ROUNDS = 25


@dataclass(frozen=True)
class Swatch:
    """A colour (`#rrggbb`), its share of all area in [0, 1], and its lightness (0 to 100)."""

    colour: str
    share: float
    lightness: float


def palette(pictures: Sequence[Thumbnail]) -> list[Swatch]:
    """Return the dominant colours of pictures that count alike, from dark to light; none without a picture.

    Each is a real pixel, the one nearest to the middle of its cluster: a mean is duller than anything that was
    painted. The same pictures always give the same: k-means in Lab, begun at the colours of a median cut.
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
    found = [
        _swatch(_nearest(lab[labels == number], centres[number]), float(share))
        for number, share in enumerate(shares)
        if share > 0
    ]
    return sorted(found, key=lambda swatch: swatch.lightness)


def accents(pictures: Sequence[Thumbnail]) -> list[Swatch]:
    """Return the most chromatic colours that fill at least 0.5 % of the area, the most chromatic first.

    They are real pixels that differ well; of greyish pictures there are none. A dominant colour may be one too.
    """
    if not pictures:
        return []
    lab = pixels_to_lab(np.concatenate([_cells(picture).reshape(-1, 3) for picture in pictures]))
    vivid = lab[_chroma(lab) >= _LEAST_CHROMA]
    _, bins = np.unique(np.floor(vivid / _BIN).astype(int), axis=0, return_inverse=True)
    proposed = [_nearest(members, members.mean(axis=0)) for members in _grouped(vivid, bins.reshape(-1))]
    chosen: list[Swatch] = []
    taken: list[np.ndarray] = []
    for colour in sorted(proposed, key=lambda colour: (-float(_chroma(colour)), tuple(colour))):
        if len(chosen) == ACCENTS:
            break
        if any(np.linalg.norm(colour - other) < _APART for other in taken):
            continue
        share = float((np.linalg.norm(lab - colour, axis=1) < _NEAR).mean())
        if share >= _LEAST_SHARE:
            taken.append(colour)
            chosen.append(_swatch(colour, share))
    return chosen


def _grouped(colours: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    """Return the colours (N, 3) in groups by their number."""
    counted = np.bincount(numbers) if len(numbers) else np.zeros(0, int)
    return [colours[numbers == number] for number in np.flatnonzero(counted)]


def _nearest(colours: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return that of the colours (N, 3) which is nearest to a point."""
    found: np.ndarray = colours[np.linalg.norm(colours - point, axis=1).argmin()]
    return found


def _chroma(lab: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.hypot(lab[..., 1], lab[..., 2])
    return found


def _beginnings(cells: np.ndarray) -> np.ndarray:
    """Return the colours, in Lab, that a median cut of RGB cells (N, 3) finds."""
    reduced = Image.fromarray(cells[None]).quantize(COLOURS, Image.Quantize.MEDIANCUT)
    colours = np.array(reduced.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return pixels_to_lab(colours[np.unique(np.asarray(reduced))]).astype(np.float64)


def _cells(picture: Thumbnail) -> np.ndarray:
    with Image.open(io.BytesIO(picture.data), formats=["JPEG"]) as image:  # one of ours
        return np.asarray(image.convert("RGB").resize((_CELLS, _CELLS), Image.Resampling.NEAREST))


def _swatch(centre: np.ndarray, share: float) -> Swatch:
    red, green, blue = np.rint(lab_to_srgb(centre.astype(np.float64)) * 255).astype(int)
    return Swatch(f"#{red:02x}{green:02x}{blue:02x}", share, float(centre[0]))
