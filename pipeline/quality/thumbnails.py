"""Small pictures for a page, each made of one file in a contained worker: a file that breaks it costs its picture."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from pipeline.images import Limits, Refused, preview
from pipeline.intake.executors import open_executor, worker_count
from pipeline.params import Ingest

SIDE = 168  # px, of the longer side
MAX_BYTES = 12_000  # of each, so that a page of them stays light
_QUALITIES = (74, 55, 35, 15)
_WORKERS = 4  # each may hold one decoded image
# Stored images were accepted under limits of their own. Refused files were not, whatever they are.
STORED = Limits(min_side=1, max_pixels=1_000_000_000, max_bytes=10_000_000_000, max_aspect=100_000)
REFUSED = Limits(min_side=1, max_pixels=50_000_000, max_bytes=100_000_000, max_aspect=100_000)


@dataclass(frozen=True)
class Wanted:
    """A file to make a picture of, the part of it to show (px of the upright image; None: all), and limits."""

    path: Path
    box: tuple[int, int, int, int] | None
    limits: Limits


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG and its size in px."""

    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a URI that holds it."""
        return "data:image/jpeg;base64," + base64.b64encode(self.data).decode()


def make(wanted: Mapping[str, Wanted], ingest: Ingest) -> dict[str, Thumbnail]:
    """Return a picture for each name; those that cannot be shown are left out.

    Args:
        wanted: name -> file. Each is decoded once, at most 4 at a time.
        ingest: its executor and its limits of time and memory hold here too.
    """
    if not wanted:
        return {}
    found = {}
    with open_executor(replace(ingest, workers=min(_WORKERS, worker_count(ingest))), ingest.decode_seconds) as pool:
        futures = {name: pool.submit(_thumbnail, each) for name, each in wanted.items()}
        for name, future in futures.items():
            try:
                thumbnail = future.result()
            except (TimeoutError, BrokenExecutor, MemoryError):
                continue
            if thumbnail is not None:
                found[name] = thumbnail
    return found


def _thumbnail(wanted: Wanted) -> Thumbnail | None:
    """Return the picture, or None of a file that shows none. Runs in a worker."""
    try:
        image, scale = preview(wanted.path, wanted.limits, 2 * SIDE)
    except Refused:
        return None
    if wanted.box:
        # Inwards to whole px, or a line of the border would stay.
        left, top = (math.ceil(edge * scale) for edge in wanted.box[:2])
        right, bottom = (math.floor(edge * scale) for edge in wanted.box[2:])
        image = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return Thumbnail(_encoded(image), image.width, image.height)


def _encoded(image: Image.Image) -> bytes:
    """Return the JPEG of the highest quality that is not too large."""
    for quality in _QUALITIES:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= MAX_BYTES:
            break
    return stream.getvalue()
