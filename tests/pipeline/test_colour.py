import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.colour import lab_statistics, lab_to_srgb, pixels_to_lab, srgb_to_lab, transfer_lab

levels = st.integers(0, 255)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ([1, 1, 1], [100, 0, 0]),
        ([0, 0, 0], [0, 0, 0]),
        ([0.5, 0.5, 0.5], [53.39, 0, 0]),
        ([1, 0, 0], [53.24, 80.09, 67.20]),
        ([0, 0, 1], [32.30, 79.19, -107.86]),
    ],
)
def test_known_colours(rgb: list[float], lab: list[float]) -> None:
    assert srgb_to_lab(np.array(rgb, float)) == pytest.approx(np.array(lab), abs=0.02)


@given(st.tuples(levels, levels, levels))
def test_there_and_back_gives_the_same_colour(rgb: tuple[int, int, int]) -> None:
    colour = np.array(rgb) / 255
    assert lab_to_srgb(srgb_to_lab(colour)) == pytest.approx(colour, abs=1e-4)


@given(st.tuples(levels, levels, levels))
def test_the_table_for_eight_bits_agrees_with_the_formula(rgb: tuple[int, int, int]) -> None:
    pixels = np.array(rgb, np.uint8)
    assert pixels_to_lab(pixels) == pytest.approx(srgb_to_lab(pixels / 255), abs=2e-3)


@given(levels)
def test_grey_has_no_colour(level: int) -> None:
    assert np.abs(pixels_to_lab(np.full(3, level, np.uint8))[1:]).max() < 1e-3


def test_colours_outside_of_srgb_are_clipped() -> None:
    assert lab_to_srgb(np.array([50.0, 200, 200])).max() <= 1
    assert srgb_to_lab(np.array([2.0, 2.0, 2.0]))[0] == pytest.approx(100)


def test_statistics_pool_pixels_of_images_of_any_size() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((4, 9), (20, 3))]
    pooled = np.concatenate([pixels_to_lab(image).reshape(-1, 3) for image in images])
    mean, std = lab_statistics(images)
    assert mean == pytest.approx(pooled.mean(axis=0), rel=1e-4)
    assert std == pytest.approx(pooled.std(axis=0), rel=1e-4)


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        lab_statistics([])


def test_a_transfer_reaches_mean_and_deviation() -> None:
    image = np.random.default_rng(0).integers(90, 160, (32, 32, 3), dtype=np.uint8)
    mean, std = lab_statistics([transfer_lab(image, [60, 8, 20], [9, 4, 6])])
    assert mean == pytest.approx([60, 8, 20], abs=0.3)
    assert std == pytest.approx([9, 4, 6], abs=0.3)


def test_a_transfer_to_its_own_statistics_changes_nothing() -> None:
    image = np.random.default_rng(1).integers(40, 200, (16, 16, 3), dtype=np.uint8)
    moved = transfer_lab(image, *lab_statistics([image]))
    assert np.abs(moved.astype(int) - image).max() <= 1


def test_a_transfer_does_not_turn_the_noise_of_a_grey_image_into_colour() -> None:
    grey = np.random.default_rng(2).normal(128, 25, (32, 32, 1)).clip(0, 255).repeat(3, axis=2)
    tinted = (grey + np.random.default_rng(3).normal(0, 0.4, (32, 32, 3))).round().clip(0, 255).astype(np.uint8)
    deviation = lab_statistics([tinted])[1][1:]
    moved = lab_statistics([transfer_lab(tinted, [50, 0, 0], [15, 12, 12])])[1][1:]
    assert (moved < 12 * np.maximum(deviation, 1) * 1.1).all()
    assert (moved < 11).all()
