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

SCHEME = "phash-2"  # of `perceptual_hash`: change it with what that returns
MIN_GROUPS = 4  # with fewer, nothing can be spared for evaluation
MIN_TEST_GROUPS = 2
_WINDOWS = (  # shares cut off left, top, right and bottom
    (0, 0, 0, 0),
    (0.06, 0.06, 0.06, 0.06),
    (0, 0, 0.05, 0.05),
    (0.05, 0, 0, 0.05),
    (0, 0.05, 0.05, 0),
    (0.05, 0.05, 0, 0),
)
_LOOK = (32, 32)  # px; what `imagehash.phash` looks at
_DIGITS = 16  # of one hash
_ROWS, _COLUMNS = 64, 4096  # images compared at a time


@dataclass(frozen=True)
class Placement:
    """Where an image belongs; `bridges` when it is near both sides of the split and hence on neither."""

    group: str
    split: Split
    bridges: bool


def perceptual_hash(image: Image.Image) -> str:
    """Return seven perceptual hashes of 64 bits as 112 hexadecimal digits.

    The first is of the whole image, five are of the image with a little cut off (all round, and at each corner), and
    the last is of its mirror image. `near_pairs` says how they are compared.
    """
    import imagehash

    small = _reduced(image).convert("L")
    width, height = small.size
    looks = []
    for left, top, right, bottom in _WINDOWS:
        box = left * width, top * height, width - right * width, height - bottom * height
        looks.append(small.resize(_LOOK, Image.Resampling.LANCZOS, box=box))
    looks.append(looks[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    return "".join(str(imagehash.phash(look)) for look in looks)


def _reduced(image: Image.Image) -> Image.Image:
    """Return a copy whose short side has 128 to 255 px; of a large image, the mean of 16 pixels of each cell."""
    factor = min(image.size) // 128
    if factor > 8:  # to look at all pixels would take as long as to decode them
        image = image.resize((image.width * 4 // factor, image.height * 4 // factor), Image.Resampling.NEAREST)
        factor = 4
    return image.reduce(factor) if factor > 1 else image


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
    signatures = _signatures([entry.phash for entry in known] + [phash for _, phash in new])
    near = _near_before(signatures, len(known), distance)
    founders = [sha256 for (sha256, _), row in zip(new, near, strict=True) if row is None]
    sides = _sides(known, founders, test_share)
    groups = [entry.group for entry in known] + [""] * len(new)
    splits = np.array([entry.split for entry in known] + ["excluded"] * len(new), dtype="U8")
    placements = []
    for at, ((sha256, _), row) in enumerate(zip(new, near, strict=True), len(known)):
        if row is None:
            placement = Placement(sha256, sides[sha256], bridges=False)
        else:
            others = np.flatnonzero(np.unpackbits(row, count=at))
            placement = _join(others, _distances(signatures[[at]], signatures[others])[0], groups, splits)
        groups[at], splits[at] = placement.group, placement.split
        placements.append(placement)
    return placements


def near_pairs(first: Sequence[Entry], second: Sequence[Entry], distance: int) -> list[tuple[Entry, Entry, int]]:
    """Return who in `first` is near whom in `second`, and by how many bits, in the order of `first`, then `second`.

    The distance of two images is the smallest number of bits in which the hash of one as a whole differs from any
    hash of the other. Entries of older manifests have the hash of the whole alone.
    """
    both = _signatures([entry.phash for entry in [*first, *second]])
    one, other = both[: len(first)], both[len(first) :]
    pairs = []
    for start in range(0, len(first), _ROWS):
        bits = _distances(one[start : start + _ROWS], other)
        for row, column in np.argwhere(bits <= distance):
            pairs.append((first[start + row], second[column], int(bits[row, column])))
    return pairs


def _signatures(hashes: Sequence[str]) -> np.ndarray:
    """Return images x hashes, the whole one first; it is repeated where there are fewer."""
    padded = [text.zfill(-(-len(text) // _DIGITS) * _DIGITS) for text in hashes]
    digits = max(map(len, padded), default=_DIGITS)
    line = "".join(text + text[:_DIGITS] * ((digits - len(text)) // _DIGITS) for text in padded)
    return np.frombuffer(bytes.fromhex(line), ">u8").astype(np.uint64).reshape(-1, digits // _DIGITS)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the distances (len(one) x len(other), uint8) of images by their signatures, see `near_pairs`."""
    nearest = np.empty((len(one), len(other)), np.uint8)
    for start in range(0, len(other), _COLUMNS):  # so that what is in hand stays in the processor's cache
        part = other[start : start + _COLUMNS].T.copy()
        least = np.bitwise_count(one[:, :1] ^ part[0])
        for column in range(1, one.shape[1]):
            np.minimum(least, np.bitwise_count(one[:, :1] ^ part[column]), out=least)
            np.minimum(least, np.bitwise_count(one[:, column, None] ^ part[0]), out=least)
        nearest[:, start : start + _COLUMNS] = least
    return nearest


def _near_before(signatures: np.ndarray, first: int, distance: int) -> list[np.ndarray | None]:
    """Return of each image from `first` on which of those before it are near, as packed bits; None for none."""
    rows: list[np.ndarray | None] = []
    for start in range(first, len(signatures), _ROWS):
        block = signatures[start : start + _ROWS]
        near = _distances(block, signatures[: start + len(block)]) <= distance
        near &= np.arange(near.shape[1]) < np.arange(start, start + len(block))[:, None]
        rows += [np.packbits(row) if row.any() else None for row in near]
    return rows


def _join(near: np.ndarray, bits: np.ndarray, groups: Sequence[str], splits: np.ndarray) -> Placement:
    # An excluded neighbour says nothing about the side, so those on a side decide if there are any.
    placed = splits[near] != "excluded"
    if not placed.any():
        return Placement(groups[near[bits.argmin()]], "excluded", bridges=True)
    near, bits = near[placed], bits[placed]
    nearest = near[bits.argmin()]
    if (splits[near] != splits[nearest]).any():
        return Placement(groups[nearest], "excluded", bridges=True)
    return Placement(groups[nearest], "test" if splits[nearest] == "test" else "train", bridges=False)


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
