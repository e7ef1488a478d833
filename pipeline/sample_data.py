"""The built-in samples of `make demo`: photographs, and artworks by three hands.

    python -m pipeline.sample_data OUT --photos 24 --artworks 12 --side 96

writes `OUT/photos/*.jpg` and `OUT/styles/<style>/*.png`. Image `i` of a folder depends on the seed, the
folder's name, `i` and the side alone: the same arguments give the same bytes, and a smaller set is the
beginning of a larger one.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

from pipeline.files import write_atomic
from pipeline.samples.canvas import generator
from pipeline.samples.paintings import HANDS
from pipeline.samples.scenes import photograph

STYLES: tuple[str, ...] = tuple(HANDS)
_SIDES = (32, 2048)


@dataclass(frozen=True)
class Samples:
    """Where the samples lie, and how many of each there are."""

    photos: Path
    styles: dict[str, Path]
    photo_count: int
    artwork_count: int  # of each style


@dataclass(frozen=True)
class _Job:
    """One file to make: a photograph, or an artwork when `style` is given."""

    path: Path
    style: str | None
    index: int
    seed: int
    side: int


def check_styles(styles: Sequence[str] | None) -> tuple[str, ...]:
    """Return the styles to make: those named, each once, or all.

    Raises:
        ValueError: there is no such style; the message names it and those there are.
    """
    for style in styles or ():
        if style not in STYLES:
            raise ValueError(f"there is no sample style {style!r}; choose from {', '.join(STYLES)}")
    return STYLES if styles is None else tuple(dict.fromkeys(styles))


def photo_bytes(index: int, *, seed: int = 0, side: int = 256) -> bytes:
    """Return sample photograph `index` as a JPEG file (side × side)."""
    stream = io.BytesIO()
    photograph(generator(seed, "photos", index), index, side).save(stream, "JPEG", quality=93, subsampling=0)
    return stream.getvalue()


def artwork_bytes(style: str, index: int, *, seed: int = 0, side: int = 256) -> bytes:
    """Return sample artwork `index` of a style as a PNG file (side × side).

    Raises:
        ValueError: there is no such style.
    """
    check_styles([style])
    stream = io.BytesIO()
    HANDS[style](generator(seed, f"styles/{style}", index), side, index).save(stream, "PNG")
    return stream.getvalue()


def write_samples(
    directory: Path,
    *,
    seed: int = 0,
    photos: int = 96,
    artworks: int = 48,
    side: int = 256,
    styles: Sequence[str] | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Write the samples below `directory` and return where they lie. Each file is whole or absent.

    Args:
        directory: gets `photos/` and `styles/<style>/`; other files there are left alone.
        seed: another seed gives other pictures (the real photographs among them stay).
        photos: how many photographs.
        artworks: how many artworks of each style.
        side: of every image, in pixels.
        styles: which of `STYLES`; None for all.
        workers: processes to share the work; 1 for none but this one.
        progress: called with (files written, files in all) after each.

    Raises:
        ValueError: a count is negative, the side out of range, or a style unknown.
    """
    chosen = check_styles(styles)
    if photos < 0 or artworks < 0:
        raise ValueError(f"photos={photos} and artworks={artworks} must be 0 or more")
    if not _SIDES[0] <= side <= _SIDES[1]:
        raise ValueError(f"side={side} must be between {_SIDES[0]} and {_SIDES[1]} pixels")
    if workers < 1:
        raise ValueError(f"workers={workers} must be 1 or more")
    folders = {style: directory / "styles" / style for style in chosen}
    for folder in (directory / "photos", *folders.values()):
        folder.mkdir(parents=True, exist_ok=True)
    jobs = [_Job(directory / "photos" / f"photo-{i:03d}.jpg", None, i, seed, side) for i in range(photos)]
    jobs += [
        _Job(folder / f"{style}-{i:03d}.png", style, i, seed, side)
        for style, folder in folders.items()
        for i in range(artworks)
    ]
    for done, _ in enumerate(_perform(jobs, workers), start=1):
        if progress is not None:
            progress(done, len(jobs))
    return Samples(directory / "photos", folders, photos, artworks)


def _make(job: _Job) -> Path:
    """Render and write one file."""
    if job.style is None:
        data = photo_bytes(job.index, seed=job.seed, side=job.side)
    else:
        data = artwork_bytes(job.style, job.index, seed=job.seed, side=job.side)
    return write_atomic(job.path, data)


def _perform(jobs: Sequence[_Job], workers: int) -> Iterator[Path]:
    """Yield each job's file as it is written, by forked workers where that is safe and worth it.

    Forking starts at once, where a fresh interpreter would import numpy and scipy again (a second each on
    a slow machine). It is safe while no other thread runs, since a lock that one holds would stay locked in
    the child; with threads about, as under Prefect, this process does the work alone. numpy's BLAS threads
    need no care: OpenBLAS stops them around a fork.
    """
    left = dict.fromkeys(jobs)
    alone = threading.active_count() > 1 or "fork" not in get_all_start_methods()
    if workers > 1 and len(jobs) > 3 and not alone:
        try:
            with ProcessPoolExecutor(min(workers, os.cpu_count() or 1), mp_context=get_context("fork")) as pool:
                waiting = {pool.submit(_make, job): job for job in jobs}
                try:
                    for future in as_completed(waiting):
                        path = future.result()
                        del left[waiting[future]]
                        yield path
                finally:  # after an error or Ctrl-C, leaving the pool would else wait for all that is queued
                    pool.shutdown(wait=False, cancel_futures=True)
        except (BrokenProcessPool, OSError):
            pass  # no room for processes, or one was killed: what is left is made below; a full disk fails there, too
    for job in left:
        yield _make(job)


def _report(started: float) -> Callable[[int, int], None]:
    """Return a progress callback that keeps one line of the terminal up to date."""

    def show(done: int, total: int) -> None:
        rest = (time.monotonic() - started) / done * (total - done)
        print(f"\r{done} of {total} images, about {rest:.0f} s left ", end="", file=sys.stderr, flush=True)

    return show


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.sample_data",
        description="Write the built-in sample photographs and artworks.",
        epilog="example: python -m pipeline.sample_data work/samples --photos 24 --artworks 12 --side 96",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write photos/ and styles/ into")
    parser.add_argument("--photos", type=int, default=96, help="how many photographs (default: 96)")
    parser.add_argument("--artworks", type=int, default=48, help="how many artworks of each style (default: 48)")
    parser.add_argument("--side", type=int, default=256, metavar="PX", help="side of each image (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures (default: 0)")
    parser.add_argument(
        "--style", action="append", metavar="NAME", help=f"one of {', '.join(STYLES)}; may be repeated (default: all)"
    )
    given = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        samples = write_samples(
            given.out, seed=given.seed, photos=given.photos, artworks=given.artworks, side=given.side,
            styles=given.style, progress=_report(started) if sys.stderr.isatty() else None,
        )  # fmt: skip
    except ValueError as error:
        parser.error(str(error))
    print(f"{samples.photo_count} photographs  {samples.photos}")
    for style, folder in samples.styles.items():
        print(f"{samples.artwork_count} artworks     {folder}  ({style})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
