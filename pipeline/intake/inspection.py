"""What a worker does with one file: copy, hash, decode, describe. The one place where untrusted bytes are opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import images
from pipeline.intake import borders, drops, duplicates


@dataclass(frozen=True)
class Task:
    """One file to look at.

    path is a regular file; target is where its copy goes, None for a file that is ours already.
    """

    path: Path
    target: Path | None
    limits: images.Limits


@dataclass(frozen=True)
class Facts:
    """What is known of an image once it was decoded: see the fields of `manifest.Entry`."""

    format: str
    width: int
    height: int
    phash: str
    flags: tuple[str, ...]
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class Finding:
    """What a worker found: the file's hash and size, and facts, or the code and detail of a refusal.

    A file that changed while it was read has no hash (`arriving`), nor has one that could not be read. Neither facts
    nor a refusal: the bytes are known.
    """

    sha256: str | None
    size: int = 0
    facts: Facts | None = None
    refusal: tuple[str, str] | None = None
    extension: str = "bin"
    arriving: bool = False


def inspect(task: Task) -> Finding:
    """Return what a file is; its bytes are then in `task.target`. Nothing is raised for anything a file may hold.

    Raises:
        MemoryError: decoding it takes more than this process may have.
        OSError: the copy cannot be written.
    """
    try:
        if task.target is None:
            place, (sha256, size) = task.path, drops.sha256_of(task.path)
        else:
            copy = drops.copy_to(task.path, task.target)
            place, sha256, size = copy.path, copy.sha256, copy.size
    except drops.StillArriving:
        return Finding(None, arriving=True)
    except images.Refused as refusal:
        return Finding(None, refusal=(refusal.code, refusal.detail))
    try:
        return Finding(sha256, size, facts=_describe(place, task))
    except images.Refused as refusal:
        return Finding(sha256, size, refusal=(refusal.code, refusal.detail), extension=refusal.extension or "bin")


def _describe(path: Path, task: Task) -> Facts:
    decoded = images.decode_strictly(path, task.limits)
    image, flags = decoded.image, set(decoded.flags)
    box = borders.usable_box(image, task.limits.min_side)
    if box:
        image = images.cropped(image, box)
        flags.add("border")
    return Facts(
        format=decoded.format,
        width=image.width,
        height=image.height,
        phash=duplicates.perceptual_hash(image),
        flags=tuple(sorted(flags)),
        box=box,
    )
