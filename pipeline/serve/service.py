"""One upload in, one painting out: a place in the queue, a slot at the easel, opening, painting, encoding."""

from __future__ import annotations

import asyncio
import io
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from PIL import Image

from pipeline.params import Serve
from pipeline.serve.metrics import Figures
from pipeline.serve.opening import Opener
from pipeline.serve.problems import Problem
from pipeline.serve.shelf import Model, Shelf

Format: TypeAlias = Literal["jpeg", "png", "webp"]
MEDIA_TYPES: dict[str, str] = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_Work: TypeAlias = Callable[[], Awaitable["Painting"]]
_LONGEST: dict[str, int] = {"jpeg": 65_500, "png": 1_000_000, "webp": 16_383}  # px that a format can hold a side


@dataclass(frozen=True)
class Wish:
    """How a picture is to be painted and written.

    most: longest side of the answer, px; a larger picture is reduced first. 0: as large as it came.
    """

    strength: float = 1.0
    preserve_color: bool = False
    reverse: bool = False
    format: Format = "jpeg"
    quality: int = 92
    most: int = 0


@dataclass(frozen=True)
class Painting:
    """An encoded picture."""

    data: bytes
    media_type: str
    width: int
    height: int


class Service:
    """Opens and paints, no more at once than `settings` say. For one event loop."""

    def __init__(self, shelf: Shelf, settings: Serve, figures: Figures) -> None:
        """Start opener and painters; `close` ends them.

        Raises:
            ValueError: no worker process starts here.
        """
        self.shelf, self.settings, self.figures = shelf, settings, figures
        self._opener = Opener(settings)
        self._painters = ThreadPoolExecutor(settings.at_once, thread_name_prefix="painter")
        self._slots = asyncio.Semaphore(settings.at_once)
        self._inside = 0
        self._usual = 1.0  # seconds of a picture, lately
        self.closing = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue: taken before an upload is read, so that memory is bounded.

        Raises:
            Problem: all are taken.
        """
        if self._inside >= self.settings.at_once + self.settings.waiting:
            seconds = max(1, math.ceil(self._usual * self._inside / self.settings.at_once))
            raise Problem(429, "busy", f"Many pictures wait already; come again in {seconds} s.", seconds)
        self._inside += 1
        self.figures.inside.set(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            self.figures.inside.set(self._inside)

    async def paint(self, data: bytes, model: Model, wish: Wish) -> Painting:
        """Return the painting of an upload.

        Raises:
            Problem: the upload is no picture, the wish cannot be granted, or it takes too long.
        """
        if wish.reverse and not model.both_ways:
            raise Problem(
                422, "one_way", f"The model {model.label} paints photographs; it has not learnt the way back."
            )
        return await self._at_easel(partial(self._painted, data, model, wish))

    async def view(self, data: bytes, most: int) -> Painting:
        """Return an upload as a person sees it, as JPEG of at most `most` px a side.

        Raises:
            Problem: the upload is no picture, or it takes too long.
        """
        return await self._at_easel(partial(self._viewed, data, most))

    async def _at_easel(self, work: _Work) -> Painting:
        """Wait for a slot and do the work in it, both within `paint_seconds`."""
        try:
            async with asyncio.timeout(self.settings.paint_seconds):
                await self._slots.acquire()
                # Painting cannot be interrupted: when time is up the answer goes out, and the slot stays taken until
                # the painter is done.
                return await asyncio.shield(asyncio.create_task(self._in_slot(work)))
        except TimeoutError:
            seconds = max(1, math.ceil(self._usual * 2))
            took = f"{self.settings.paint_seconds:g} s"
            raise Problem(
                503, "too_slow", f"This took longer than {took}; send a smaller picture, or come again.", seconds
            ) from None

    async def _in_slot(self, work: _Work) -> Painting:
        begun = time.monotonic()
        self.figures.at_work.inc()
        try:
            return await work()
        finally:
            self.figures.at_work.dec()
            self._usual = 0.8 * self._usual + 0.2 * (time.monotonic() - begun)
            self._slots.release()

    async def _painted(self, data: bytes, model: Model, wish: Wish) -> Painting:
        image = await self._opener.open(data, wish.most)
        _check_format(image, wish.format)
        loop = asyncio.get_running_loop()
        painting, seconds = await loop.run_in_executor(self._painters, _paint, image, model, wish)
        self.figures.painting_seconds.labels(model.name).observe(seconds)
        self.figures.paintings.labels(model.name, model.alias).inc()
        return painting

    async def _viewed(self, data: bytes, most: int) -> Painting:
        image = await self._opener.open(data, most)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._painters, _encoded, image, "jpeg", 90)

    def close(self) -> None:
        """End opener and painters; what is being painted is finished first."""
        self.closing = True
        self._painters.shutdown(wait=True, cancel_futures=True)
        self._opener.close()


def _check_format(image: Image.Image, name: Format) -> None:
    if max(image.size) > _LONGEST[name]:
        raise Problem(
            422, "format", f"{name} holds at most {_LONGEST[name]} px a side, and this picture has {max(image.size)}."
        )


def _paint(image: Image.Image, model: Model, wish: Wish) -> tuple[Painting, float]:
    """Return the encoded painting, and the seconds that painting took."""
    begun = time.monotonic()
    painted = model.stylizer(image, strength=wish.strength, preserve_color=wish.preserve_color, reverse=wish.reverse)
    return _encoded(painted, wish.format, wish.quality), time.monotonic() - begun


def _encoded(image: Image.Image, name: Format, quality: int) -> Painting:
    stream = io.BytesIO()
    options = {"png": {"compress_level": 4}, "jpeg": {"quality": quality, "optimize": True}}
    image.save(stream, name.upper(), **options.get(name, {"quality": quality}))
    return Painting(stream.getvalue(), MEDIA_TYPES[name], image.width, image.height)
