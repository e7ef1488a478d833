"""Spectra: power is where it was put, and what repeats itself is found at its wavelength."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.metrics.spectrum import decibels, pattern, spectrum
from tests.pipeline.scenes import blurred, noisy, paintings, photographs

SIDE = 64


def _wave(cycles_down: int, cycles_across: int, height: float = 40.0) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    wave = np.sin(2 * np.pi * (cycles_down * y + cycles_across * x) / SIDE)
    return np.repeat((128 + height * wave).round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(("down", "across"), [(0, 12), (12, 0), (16, 12), (3, 4)])
def test_a_waves_power_is_on_its_ring(down: int, across: int) -> None:
    found = spectrum([_wave(down, across)])
    ring = round(float(np.hypot(down, across)))
    assert int(found.power.argmax()) + 1 == ring
    assert found.frequencies[ring - 1] == pytest.approx(ring / SIDE)


def test_power_adds_up_to_the_variance_of_white_noise() -> None:
    """Parseval: the mean over all frequencies of |F|^2 / N^2 is the variance, here the same at every frequency."""
    grey = np.random.default_rng(0).normal(128, 20, (40, SIDE, SIDE, 1)).round().clip(0, 255).astype(np.uint8)
    found = spectrum(list(np.repeat(grey, 3, axis=3)))
    np.testing.assert_allclose(found.power[4:], 20**2, rtol=0.25)
    np.testing.assert_allclose(found.power[4:].mean(), 20**2, rtol=0.03)
    assert found.peak[20] < 2.5  # in no direction more than in the others


def test_decibels_are_ratios_of_power() -> None:
    one, half = spectrum([_wave(0, 12, 40)]), spectrum([_wave(0, 12, 20)])
    assert decibels(one, half)[11] == pytest.approx(10 * np.log10(4), abs=0.1)
    assert decibels(half, half) == pytest.approx(np.zeros(len(half.power)))


@pytest.mark.parametrize(("every", "wavelength"), [(4, 4.0), (3, 3.0), (8, 8.0)])
def test_a_mesh_is_found_at_its_wavelength_and_told_from_none(every: int, wavelength: float) -> None:
    natural = spectrum(paintings())
    meshed = []
    for picture in photographs():
        mesh = picture.astype(int)
        mesh[::every] += 8 * every
        mesh[:, ::every] += 8 * every
        meshed.append(mesh.clip(0, 255).astype(np.uint8))
    photos = spectrum(photographs())
    found = pattern(spectrum(meshed), photos)
    assert found is not None
    assert found[0] == pytest.approx(wavelength, rel=0.05)
    assert found[1] > 3
    assert pattern(natural, natural) is None
    assert pattern(spectrum([noisy(picture, 10.0, i) for i, picture in enumerate(photographs())]), photos) is None


def test_a_faint_mesh_where_pictures_have_next_to_nothing_is_not_told() -> None:
    """As of a blurred model, whose finest grain is the rounding of its pixels."""
    faint = [blurred(picture, 3.0).astype(int) for picture in photographs()]
    for picture in faint:
        picture[::2] += 1
    found = spectrum([picture.clip(0, 255).astype(np.uint8) for picture in faint])
    natural = spectrum(paintings())
    assert (found.peak / natural.peak)[SIDE // 2 - 1] > 3
    assert pattern(found, natural) is None


def test_a_checkerboard_of_single_pixels_lies_in_the_corner() -> None:
    board = (np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 80 + 80).astype(np.uint8)
    found = spectrum([np.repeat(board[..., None], 3, axis=2)])
    assert int(found.power.argmax()) + 1 == len(found.power) == int(SIDE / np.sqrt(2))


def test_blank_pictures_have_a_spectrum() -> None:
    blank = np.full((SIDE, SIDE, 3), 90, np.uint8)
    found = spectrum([blank])
    assert np.isfinite(np.log10(found.power)).all()
    assert found.peak == pytest.approx(np.ones(len(found.peak)))
