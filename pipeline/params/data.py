"""Sections of params.yaml on images: what is accepted, and how it becomes crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pipeline.params.ranges import Between


@dataclass(frozen=True)
class Transform:
    """One albumentations transform: its name and its arguments."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Augment:
    """Transforms of each domain, applied in order to make one stored crop."""

    paintings: tuple[Transform, ...]
    photos: tuple[Transform, ...]


@dataclass(frozen=True)
class Archives:
    """How much a zip or tar file may unpack to."""

    max_members: Annotated[int, Between(1, 10_000_000)]
    max_bytes: Annotated[int, Between(10_000, 10_000_000_000_000)]  # unpacked, of all members
    max_ratio: Annotated[float, Between(2, 100_000)]  # unpacked bytes / packed bytes
    max_seconds: Annotated[float, Between(1, 1_000_000)]


@dataclass(frozen=True)
class Ingest:
    """What is accepted into a collection, and what is refused."""

    min_side: Annotated[int, Between(16, 4096)]  # px
    max_pixels: Annotated[int, Between(10_000, 1_000_000_000)]
    max_bytes: Annotated[int, Between(10_000, 10_000_000_000)]
    max_aspect: Annotated[float, Between(1, 100)]  # long side / short side
    quiet_seconds: Annotated[float, Between(0, 86_400)]  # a file younger than this is still arriving
    executor: Literal["processes", "inline"]
    workers: Annotated[int, Between(0, 4096)]  # 0: one a core
    decode_seconds: Annotated[float, Between(0.1, 86_400)]  # of one file; beyond it the file is refused
    decoder_memory_mb: Annotated[int, Between(256, 1_000_000)]  # of one worker, above what it starts with
    archives: Archives
    duplicate_distance: Annotated[int, Between(0, 32)]  # bits of 64 in which near duplicates may differ
    test_share: Annotated[float, Between(0.05, 0.5)]
    min_photos: Annotated[int, Between(4, 100_000)]  # fewer than this and nothing is trained
    min_artworks: Annotated[int, Between(2, 100_000)]
    warm_start: str  # what the recipe of a new style begins with


@dataclass(frozen=True)
class Prepare:
    """How images become crops."""

    crop: Annotated[int, Between(32, 2048)]  # side of a stored crop, px
    crops_per_image: Annotated[int, Between(1, 256)]
    crop_borders: bool  # leave out the uniform borders and frames that ingestion found
    view: Annotated[int, Between(32, 2048)]  # side of the square views that are held out for evaluation, px
    augment: Augment
