"""Near duplicates form groups, and groups keep to one side of the split."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Sequence

import imagehash
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from pipeline.intake import duplicates
from pipeline.intake.duplicates import Placement, group_position, near_pairs, perceptual_hash, place
from pipeline.manifest import Entry, Split
from pipeline.params import load_params
from tests.pipeline.pictures import ROOT, encoded, texture


def sha(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def entry(sha256: str, phash: str, placement: Placement) -> Entry:
    return Entry(sha256, "n", "s", 9, 9, 9, "png", phash, placement.group, placement.split, (), "now")


def bits(value: int) -> str:
    return f"{value:016x}"


def grow(parts: Sequence[Sequence[tuple[str, str]]], test_share: float = 0.3, distance: int = 4) -> list[Entry]:
    """Place parts one after the other, as ingests do."""
    known: list[Entry] = []
    for part in parts:
        placements = place(known, part, distance=distance, test_share=test_share)
        known += [entry(*new, placement) for new, placement in zip(part, placements, strict=True)]
    return known


def far(count: int, start: int = 0) -> list[tuple[str, str]]:
    """Return images that are far from one another."""
    return [(sha(n), sha(("hash", n))[:16]) for n in range(start, start + count)]


def on(side: Split, test_share: float = 0.3) -> str:
    """Return a hash whose group would be on that side."""
    return next(sha(n) for n in range(999, 9999) if (group_position(sha(n)) < test_share) == (side == "test"))


@given(st.lists(st.integers(0, 12), max_size=6), st.sampled_from([0.05, 0.2, 0.5]))
def test_no_image_changes_side_as_a_collection_grows(sizes: list[int], test_share: float) -> None:
    parts, start = [], 0
    for size in sizes:
        parts.append(far(size, start))
        start += size
    full = grow(parts, test_share)
    for end in range(len(parts)):
        assert full[: sum(sizes[:end])] == grow(parts[:end], test_share)


@given(st.integers(4, 40), st.sampled_from([0.05, 0.2]))
def test_small_collection_can_be_evaluated(count: int, test_share: float) -> None:
    splits = [one.split for one in grow([far(count)], test_share)]
    assert splits.count("test") >= 2
    assert splits.count("train") >= 1


def test_fewer_than_four_groups_stay_as_they_are_hashed() -> None:
    images = [(sha(n), bits(n << 40)) for n in range(200) if group_position(sha(n)) > 0.5][:3]
    assert [one.split for one in grow([images], 0.05, distance=0)] == ["train"] * 3


def test_the_lowest_positions_are_held_out_when_hashing_gives_none() -> None:
    images = [one for one in far(400) if group_position(one[0]) > 0.5][:12]
    lowest = {sha256 for sha256, _ in sorted(images, key=lambda one: group_position(one[0]))[:2]}
    assert {one.sha256 for one in grow([images], 0.05) if one.split == "test"} == lowest


def test_share_is_about_what_was_asked() -> None:
    splits = [one.split for one in grow([far(2000)], 0.2, distance=0)]
    assert splits.count("test") / 2000 == pytest.approx(0.2, abs=0.03)


def test_near_duplicate_joins_group_and_side() -> None:
    known = grow([[(on("test"), bits(0)), (on("train"), bits(2**64 - 1))]])
    near, far_off = place(known, [(sha("a"), bits(0b1111)), (sha("b"), bits(0b11111))], distance=4, test_share=0.3)
    assert near == Placement(on("test"), "test", bridges=False)
    # five bits from the first and one from its copy: the chain holds
    assert far_off.group == on("test")
    (apart,) = place(known, [(sha("b"), bits(0b11111))], distance=4, test_share=0.3)
    assert apart.group == sha("b")


def test_image_near_both_sides_is_excluded_and_does_not_tie_them() -> None:
    known = grow([[(on("test"), bits(0)), (on("train"), bits(0xFF))]])
    placements = place(
        known, [(sha("bridge"), bits(0x0F)), (sha("next"), bits(0x0F00_000F))], distance=4, test_share=0.3
    )
    assert (placements[0].split, placements[0].bridges) == ("excluded", True)
    # near the bridge alone: which side it resembles is unknown
    assert (placements[1].split, placements[1].bridges) == ("excluded", True)
    assert placements[1].group == placements[0].group


def test_an_excluded_neighbour_says_nothing_about_the_side() -> None:
    known = grow([[(on("test"), bits(0)), (on("train"), bits(0xFF))], [(sha("bridge"), bits(0x0F))]])
    # one bit from the bridge, whose group is a test group, and four from the training image
    (joined,) = place(known, [(sha("next"), bits(0x1F))], distance=4, test_share=0.3)
    assert known[-1].split == "excluded"
    assert joined == Placement(on("train"), "train", bridges=False)


def test_the_nearest_group_is_joined() -> None:
    first, second = [sha(n) for n in range(5000) if group_position(sha(n)) > 0.5][:2]
    known = grow([[(first, bits(0)), (second, bits(0xFF))]], distance=6)
    (joined,) = place(known, [(sha("c"), bits(0x3F))], distance=6, test_share=0.3)
    assert joined == Placement(second, "train", bridges=False)


DISTANCE = load_params(ROOT / "params.yaml").ingest.duplicate_distance
PHOTOGRAPHS = ["china.jpg", "flower.jpg"]
COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "a third of the size": lambda picture: scaled(picture, 0.3),
    "twice the size": lambda picture: scaled(picture, 2),
    "JPEG 30": lambda picture: Image.open(io.BytesIO(encoded(picture, "JPEG", quality=30))),
    "brighter": lambda picture: picture.point(lambda level: min(255, level * 9 // 8)),
    "darker": lambda picture: picture.point(lambda level: level * 7 // 8),
    "1 % cut off all round": lambda picture: cut(picture, 1, 1, 1, 1),
    "3 % cut off all round": lambda picture: cut(picture, 3, 3, 3, 3),
    "6 % cut off all round": lambda picture: cut(picture, 6, 6, 6, 6),
    "5 % cut off on the left": lambda picture: cut(picture, 5, 0, 0, 0),
    "6 % cut off below": lambda picture: cut(picture, 0, 0, 0, 6),
    "a corner cut off": lambda picture: cut(picture, 6, 4, 0, 0),
    "unequally cut": lambda picture: cut(picture, 1, 5, 4, 0),
    "cut, reduced and recompressed": lambda picture: Image.open(
        io.BytesIO(encoded(scaled(cut(picture, 2, 0, 3, 4), 0.6), "JPEG", quality=60))
    ),
    "mirrored": ImageOps.mirror,
    "mirrored and reduced": lambda picture: scaled(ImageOps.mirror(picture), 0.4),
}


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.BICUBIC)


def cut(picture: Image.Image, *percent: int) -> Image.Image:
    """Cut hundredths of the side off left, top, right and bottom."""
    left, top, right, bottom = percent
    width, height = picture.size
    box = width * left, height * top, width * (100 - right), height * (100 - bottom)
    return picture.crop(tuple(place // 100 for place in box))  # type: ignore[arg-type]


def hashed(phash: str) -> Entry:
    return entry(sha(phash), phash, Placement(sha(phash), "train", bridges=False))


def between(first: str, second: str) -> int:
    """Return the distance of two perceptual hashes."""
    ((_, _, apart),) = near_pairs([hashed(first)], [hashed(second)], 64)
    return apart


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_copy_is_near(name: str, copied: Callable[[Image.Image], Image.Image]) -> None:
    picture = Image.fromarray(load_sample_image(name))
    assert between(perceptual_hash(picture), perceptual_hash(copied(picture))) <= DISTANCE


def test_other_pictures_are_not_near() -> None:
    pictures = [perceptual_hash(Image.fromarray(load_sample_image(name))) for name in PHOTOGRAPHS]
    pictures += [perceptual_hash(texture(seed, 320, 240)) for seed in range(12)]
    assert min(between(one, other) for one, other in itertools.combinations(pictures, 2)) > DISTANCE


@given(st.integers(0, 10**6), st.integers(64, 1400), st.sampled_from([0.4, 0.6, 1.7]))
@settings(deadline=None, max_examples=40)
def test_a_rescaled_texture_is_near(seed: int, side: int, factor: float) -> None:
    picture = texture(seed, side, side * 3 // 4)
    assert between(perceptual_hash(picture), perceptual_hash(scaled(picture, factor))) <= DISTANCE


def test_the_first_hash_is_the_library_s_of_the_whole_image() -> None:
    picture = scaled(Image.fromarray(load_sample_image("china.jpg")), 0.4)
    assert perceptual_hash(picture)[:16] == str(imagehash.phash(picture))


def test_an_entry_with_the_whole_hash_alone_is_compared_as_before() -> None:
    """Manifests of the first version hold 16 digits."""
    picture = Image.fromarray(load_sample_image("china.jpg"))
    old, new, trimmed = (perceptual_hash(one) for one in (picture, scaled(picture, 0.5), cut(picture, 0, 5, 5, 0)))
    assert between(old[:16], new[:16]) == (int(old[:16], 16) ^ int(new[:16], 16)).bit_count()
    assert between(old[:16], trimmed) > DISTANCE  # what is cut off cannot be put back
    assert between(trimmed[:16], old) <= DISTANCE  # the other way round it can be cut off
    known = grow([[(on("test"), old[:16])]], distance=DISTANCE)
    (joined,) = place(known, [(sha("copy"), new)], distance=DISTANCE, test_share=0.3)
    assert joined == Placement(on("test"), "test", bridges=False)


HASHES = st.lists(st.integers(0, 2**64 - 1).map(bits), min_size=1, max_size=3).map("".join)


def plainly(one: str, other: str) -> int:
    """Return the distance as documented, without numpy."""
    parts = [[int(text[at : at + 16], 16) for at in range(0, len(text), 16)] for text in (one, other)]
    whole = [(parts[0][0], part) for part in parts[1]] + [(part, parts[1][0]) for part in parts[0]]
    return min((a ^ b).bit_count() for a, b in whole)


@given(st.lists(HASHES, max_size=6), st.lists(HASHES, max_size=6), st.integers(0, 40))
def test_near_pairs_are_those_within_the_distance_whichever_way(
    one: list[str], other: list[str], distance: int
) -> None:
    first, second = [hashed(text) for text in one], [hashed(text) for text in other]
    expected = [
        (a, b, plainly(a.phash, b.phash)) for a in first for b in second if plainly(a.phash, b.phash) <= distance
    ]
    assert near_pairs(first, second, distance) == expected
    turned = [(a, b, apart) for b, a, apart in near_pairs(second, first, distance)]
    assert sorted(turned, key=repr) == sorted(expected, key=repr)


@given(st.lists(st.integers(0, 2**12 - 1), max_size=40), st.integers(0, 30), st.integers(1, 4))
def test_blocks_change_nothing(values: list[int], known: int, distance: int) -> None:
    """Groups, sides and bridges are the same however few images are compared at a time."""
    images = [(sha(at), bits(value) + bits(value << 40)) for at, value in enumerate(values)]
    whole = grow([images[:known], images[known:]], distance=distance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_ROWS", 3)
        patch.setattr(duplicates, "_COLUMNS", 5)
        assert grow([images[:known], images[known:]], distance=distance) == whole
        entries = [hashed(phash) for _, phash in images]
        few = near_pairs(entries, entries, distance)
    assert few == near_pairs(entries, entries, distance)


@given(st.lists(HASHES, min_size=1, max_size=25), st.integers(8, 30))
def test_an_image_founds_a_group_if_and_only_if_none_before_it_is_near(hashes: list[str], distance: int) -> None:
    images = [(sha(at), phash) for at, phash in enumerate(hashes)]
    for at, one in enumerate(grow([images], distance=distance)):
        near = [other for other in hashes[:at] if plainly(hashes[at], other) <= distance]
        assert (one.group == one.sha256) == (not near)
