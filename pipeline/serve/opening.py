"""Uploads are opened here: in worker processes of their own, with limits of time and memory. Never on the disk."""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass

from PIL import Image

from pipeline.images import Limits, Refused, decode_strictly
from pipeline.intake.executors import Contained
from pipeline.params import Serve
from pipeline.serve.problems import Problem, refused

LONGEST_SHAPE = 100.0  # long side / short side


@dataclass(frozen=True)
class Opened:
    """What a worker makes of an upload: the size and the RGB bytes of the picture, or why there is none."""

    width: int = 0
    height: int = 0
    pixels: bytes = b""
    refusal: tuple[str, str] | None = None


def open_picture(data: bytes, limits: Limits, most: int) -> Opened:
    """Return an upload as a person sees it, reduced to at most `most` px a side (0: as it is).

    Raises:
        MemoryError: it takes more than this process may have.
    """
    try:
        image = decode_strictly(data, limits).image
    except Refused as refusal:
        return Opened(refusal=(refusal.code, refusal.detail))
    if most and max(image.size) > most:
        image.thumbnail((most, most), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Opened(*image.size, image.tobytes())


class Opener:
    """Opens uploads in contained workers."""

    def __init__(self, settings: Serve) -> None:
        """Start it; `close` ends it.

        Raises:
            ValueError: no worker process starts here.
        """
        self._limits = Limits(
            min_side=1, max_pixels=settings.max_pixels, max_bytes=settings.max_bytes, max_aspect=LONGEST_SHAPE
        )
        self._settings = settings
        self._workers: Executor = Contained(settings.at_once, settings.decode_seconds, settings.decoder_memory_mb)

    async def open(self, data: bytes, most: int = 0) -> Image.Image:
        """Return the RGB picture of an upload, upright and in sRGB, reduced to `most` px a side (0: as it is).

        Raises:
            Problem: it is none, or reaches a limit.
        """
        try:
            future = self._workers.submit(open_picture, data, self._limits, most)
            opened = await asyncio.shield(asyncio.wrap_future(future))  # a worker's answer always finds its future
        except TimeoutError:
            limit = f"more than {self._settings.decode_seconds:g} s"
            raise refused(Refused("decoder_timeout", limit)) from None
        except MemoryError:
            limit = f"it takes more than {self._settings.decoder_memory_mb} MB of memory"
            raise refused(Refused("decoder_crash", limit)) from None
        except BrokenExecutor as error:
            raise refused(Refused("decoder_crash", f"it ended the process that opened it ({error})")) from None
        except RuntimeError as error:  # the pool was closed
            raise Problem(503, "closing", "The server is closing; ask again in a moment.", 5) from error
        if opened.refusal is not None:
            raise refused(Refused(*opened.refusal))
        return Image.frombytes("RGB", (opened.width, opened.height), opened.pixels)

    def close(self) -> None:
        """End the workers, at once."""
        self._workers.shutdown(cancel_futures=True)
