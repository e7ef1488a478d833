"""A picture in or a seed, a picture out: a place in the queue, a slot at the easel, opening, painting, encoding."""

from __future__ import annotations

import asyncio
import io
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

from PIL import Image

from pipeline.params import Serve
from pipeline.serve.forms import Upload
from pipeline.serve.metrics import Figures
from pipeline.serve.opening import Opener
from pipeline.serve.problems import Problem
from pipeline.serve.shelf import Model, Shelf

Format: TypeAlias = Literal["jpeg", "png", "webp"]
MEDIA_TYPES: dict[str, str] = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_Work: TypeAlias = Callable[[], Awaitable["Painting"]]
REFERENCE_SIDE = 1024  # px to which a reference is reduced: models look at it at the side they learnt at
_LONGEST: dict[str, int] = {"jpeg": 65_500, "png": 1_000_000, "webp": 16_383}  # px that a format can hold a side


@dataclass(frozen=True)
class Wish:
    """How a picture is to be painted and written.

    most: longest side of the answer, px; a larger picture is reduced first. 0: as large as it came.
    style: that a model has learnt which paints after references, instead of references.
    weights: how much each reference counts; alike without.
    """

    strength: float = 1.0
    preserve_color: bool = False
    reverse: bool = False
    scale: float = 1.0
    style: str | None = None
    weights: tuple[float, ...] = ()
    format: Format = "jpeg"
    quality: int = 92
    most: int = 0


@dataclass(frozen=True)
class Draw:
    """Which image is to be made out of noise, and how it is written; codes by name, as the model has them."""

    seed: int
    truncation: float = 1.0
    code: Mapping[str, float] = field(default_factory=dict)
    format: Format = "png"
    quality: int = 92


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

    async def paint(self, sent: Upload, model: Model, wish: Wish) -> Painting:
        """Return the painting of an upload.

        Raises:
            Problem: the upload is no picture, the wish cannot be granted, or it takes too long.
        """
        if wish.reverse and not model.both_ways:
            raise Problem(
                422, "one_way", f"The model {model.label} paints photographs; it has not learnt the way back."
            )
        _check_references(model, wish, len(sent.references))
        return await self._at_easel(partial(self._painted, sent, model, wish))

    async def draw(self, model: Model, draw: Draw) -> Painting:
        """Return an image out of noise.

        Raises:
            Problem: the model has no such code or no truncation, or it takes too long.
        """
        return await self._at_easel(partial(self._drawn, model, draw))

    async def view(self, data: bytes, most: int) -> Painting:
        """Return an upload as a person sees it, as JPEG of at most `most` px a side.

        Raises:
            Problem: the upload is no picture, or it takes too long.
        """
        return await self._at_easel(partial(self._viewed, data, most))

    async def _at_easel(self, work: _Work) -> Painting:
        """Wait for a slot and do the work in it, each within `paint_seconds`."""
        limit = self.settings.paint_seconds
        try:
            async with asyncio.timeout(limit):
                await self._slots.acquire()
        except TimeoutError:
            seconds = max(1, math.ceil(self._usual * 2))
            raise Problem(
                429, "busy", f"Other pictures took longer than {limit:g} s; come again in {seconds} s.", seconds
            ) from None
        # Painting cannot be interrupted: when time is up the answer goes out, and the slot stays taken until the
        # painter is done.
        task = asyncio.create_task(self._in_slot(work))
        try:
            async with asyncio.timeout(limit):
                return await asyncio.shield(task)
        except TimeoutError:
            task.add_done_callback(_forget)
            raise Problem(
                413, "too_slow", f"This picture takes longer than {limit:g} s to paint here; send a smaller copy."
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

    async def _painted(self, sent: Upload, model: Model, wish: Wish) -> Painting:
        image = await self._opener.open(sent.picture, wish.most)
        _check_format(image, wish.format)
        references = [await self._reference(number, one) for number, one in enumerate(sent.references, 1)]
        return await self._by(model, partial(_paint, image, model, wish, references))

    async def _reference(self, number: int, data: bytes) -> Image.Image:
        try:
            return await self._opener.open(data, REFERENCE_SIDE)
        except Problem as problem:
            raise Problem(problem.status, problem.code, f"Reference {number}: {problem.sentence}") from problem

    async def _drawn(self, model: Model, draw: Draw) -> Painting:
        return await self._by(model, partial(_draw, model, draw))

    async def _by(self, model: Model, work: Callable[[], tuple[Painting, float]]) -> Painting:
        """Return what a painter makes in its thread, and count it."""
        painting, seconds = await asyncio.get_running_loop().run_in_executor(self._painters, work)
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


def _forget(task: asyncio.Task[Painting]) -> None:
    """Take notice of how a task ended that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _check_references(model: Model, wish: Wish, count: int) -> None:
    """Refuse references, weights or a style where they do not belong.

    Raises:
        Problem: the model takes none or needs some, has not learnt the style, or weights do not belong to references.
    """
    if not model.refers:
        if count or wish.style is not None or wish.weights:
            told = "paints in the one style that it has learnt: send neither reference nor style"
            raise Problem(422, "no_reference", f"The model {model.label} {told}.")
        return
    known = ", ".join(model.styles)
    if wish.style is not None and (count or wish.weights):
        raise Problem(422, "reference", "Send references or name a style, not both: a style brings its own.")
    if wish.style is not None and wish.style not in model.styles:
        raise Problem(422, "style", f"The model {model.label} has not learnt {wish.style[:80]!r}; it knows {known}.")
    if wish.style is None and not count:
        told = f"paints after pictures: send a form with one as `reference`, or name a style: {known}"
        raise Problem(422, "reference", f"The model {model.label} {told}.")
    if wish.weights and (len(wish.weights) != count or not sum(wish.weights)):
        raise Problem(422, "weight", f"Send one weight for each of {count} references, and not all 0.")


def _check_format(image: Image.Image, name: Format) -> None:
    if max(image.size) > _LONGEST[name]:
        raise Problem(
            422, "format", f"{name} holds at most {_LONGEST[name]} px a side, and this picture has {max(image.size)}."
        )


def _paint(image: Image.Image, model: Model, wish: Wish, references: Sequence[Image.Image]) -> tuple[Painting, float]:
    """Return the encoded painting, and the seconds that painting took."""
    begun = time.monotonic()
    painted = model.stylizer(
        image,
        strength=wish.strength,
        preserve_color=wish.preserve_color,
        reverse=wish.reverse,
        scale=wish.scale,
        reference=references,
        weights=wish.weights,
        style=wish.style,
    )
    return _encoded(painted, wish.format, wish.quality), time.monotonic() - begun


def _draw(model: Model, draw: Draw) -> tuple[Painting, float]:
    """Return the encoded image of a seed, and the seconds that it took.

    Raises:
        Problem: the model has no such code, a code no such value, or it has no truncation.
    """
    begun = time.monotonic()
    try:
        latent = model.sampler.latent(draw.seed, draw.truncation, draw.code)
    except ValueError as error:
        said = str(error)
        raise Problem(422, "draw", f"{said[:1].upper()}{said[1:].rstrip('.')}.") from None
    return _encoded(model.sampler.image(latent), draw.format, draw.quality), time.monotonic() - begun


def _encoded(image: Image.Image, name: Format, quality: int) -> Painting:
    stream = io.BytesIO()
    options = {"png": {"compress_level": 4}, "jpeg": {"quality": quality, "optimize": True}}
    image.save(stream, name.upper(), **options.get(name, {"quality": quality}))
    return Painting(stream.getvalue(), MEDIA_TYPES[name], image.width, image.height)
