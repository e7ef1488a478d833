"""Near duplicates form groups, and groups keep to one side of the split."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from pipeline.intake.duplicates import Placement, group_position, perceptual_hash, place
from pipeline.manifest import Entry, Split
from tests.pipeline.pictures import encoded, texture


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


@pytest.mark.parametrize("seed", range(6))
def test_hash_survives_rescaling_and_recompression_and_tells_pictures_apart(seed: int) -> None:
    picture = texture(seed, 640, 480)
    versions = [
        picture.resize((320, 240), Image.Resampling.LANCZOS),
        Image.open(io.BytesIO(encoded(picture, "JPEG", quality=40))),
    ]
    original = int(perceptual_hash(picture), 16)
    assert all((original ^ int(perceptual_hash(version), 16)).bit_count() <= 6 for version in versions)
    assert (original ^ int(perceptual_hash(texture(seed + 100, 640, 480)), 16)).bit_count() > 12


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_hash_survives_a_small_crop_of_a_photograph(name: str) -> None:
    picture = Image.fromarray(load_sample_image(name))
    across, down = picture.width // 100, picture.height // 100
    cropped = picture.crop((across, down, picture.width - across, picture.height - down))
    assert (int(perceptual_hash(picture), 16) ^ int(perceptual_hash(cropped), 16)).bit_count() <= 6
