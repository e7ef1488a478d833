"""Near duplicates and the split: which group an image belongs to, and on which side of the split it stands.

A group's id is the sha256 of its first member and never changes, and the side is a hash of the id, recorded at first
assignment: an image never moves between train and test as a collection grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.files import sha256_bytes
from pipeline.manifest import Entry, Split

SCHEME = "phash-1"  # of `perceptual_hash`: change it with what that returns
MIN_GROUPS = 4  # with fewer, nothing can be spared for evaluation
MIN_TEST_GROUPS = 2


@dataclass(frozen=True)
class Placement:
    """Where an image belongs; `bridges` when it is near both sides of the split and hence on neither."""

    group: str
    split: Split
    bridges: bool


def perceptual_hash(image: Image.Image) -> str:
    """Return 64 bits as 16 hexadecimal digits, alike for images that look alike."""
    import imagehash

    factor = min(image.size) // 128
    small = image.reduce(factor) if factor > 1 else image  # the hash looks at 32 x 32 px in the end
    return str(imagehash.phash(small))


def group_position(group: str) -> float:
    """Return a group's place in [0, 1): test when it is below the share held out."""
    return int(sha256_bytes(f"split:{group}".encode())[:8], 16) / 2**32


def place(
    known: Sequence[Entry], new: Sequence[tuple[str, str]], *, distance: int, test_share: float
) -> list[Placement]:
    """Place new images, given as (sha256, perceptual hash), after those already known.

    An image within `distance` bits of others joins the group of the nearest, and its side; near both sides it is
    excluded. Where hashing leaves fewer than 2 test groups in a collection of at least 4, the new groups of lowest
    position become test until there are 2.
    """
    hashes = np.array([int(entry.phash, 16) for entry in known] + [int(item, 16) for _, item in new], np.uint64)
    first = len(known)
    founders = [
        sha256 for at, (sha256, _) in enumerate(new, first) if not len(_near(hashes[:at], hashes[at], distance)[0])
    ]
    sides = _sides(known, founders, test_share)
    groups = [entry.group for entry in known] + [""] * len(new)
    splits: list[Split] = [entry.split for entry in known] + ["excluded"] * len(new)
    placements = []
    for at, (sha256, _) in enumerate(new, first):
        near, bits = _near(hashes[:at], hashes[at], distance)
        if len(near):
            placement = _join(near, bits, groups, splits)
        else:
            placement = Placement(sha256, sides[sha256], bridges=False)
        groups[at], splits[at] = placement.group, placement.split
        placements.append(placement)
    return placements


def near_pairs(first: Sequence[Entry], second: Sequence[Entry], distance: int) -> list[tuple[Entry, Entry, int]]:
    """Return the pairs of images, one of each list, that differ in at most `distance` bits, and in how many."""
    hashes = np.array([int(entry.phash, 16) for entry in second], np.uint64)
    pairs = []
    for one in first:
        near, bits = _near(hashes, np.uint64(int(one.phash, 16)), distance)
        pairs += [(one, second[at], int(difference)) for at, difference in zip(near, bits, strict=True)]
    return pairs


def _near(hashes: np.ndarray, one: np.uint64, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of hashes within `distance` bits of `one`, and those distances."""
    bits = np.bitwise_count(hashes ^ one)
    near = np.flatnonzero(bits <= distance)
    return near, bits[near]


def _join(near: np.ndarray, bits: np.ndarray, groups: Sequence[str], splits: Sequence[Split]) -> Placement:
    # An excluded neighbour says nothing about the side, so those on a side decide if there are any.
    placed = np.array([splits[index] != "excluded" for index in near])
    if not placed.any():
        return Placement(groups[near[bits.argmin()]], "excluded", bridges=True)
    near, bits = near[placed], bits[placed]
    nearest = near[bits.argmin()]
    if len({splits[index] for index in near}) > 1:
        return Placement(groups[nearest], "excluded", bridges=True)
    return Placement(groups[nearest], splits[nearest], bridges=False)


def _sides(known: Sequence[Entry], founders: Sequence[str], test_share: float) -> dict[str, Split]:
    """Return the side of each new group."""
    sides: dict[str, Split] = {group: "test" if group_position(group) < test_share else "train" for group in founders}
    old_groups = {entry.group for entry in known}
    if len(old_groups) + len(sides) < MIN_GROUPS:
        return sides
    tests = len({entry.group for entry in known if entry.split == "test"})
    tests += sum(side == "test" for side in sides.values())
    spare = sorted((group for group in sides if sides[group] == "train"), key=group_position)
    for group in spare[: max(0, MIN_TEST_GROUPS - tests)]:
        sides[group] = "test"
    return sides
