"""Controls: the painterly filter against its definition, and what each control leaves alone."""

import numpy as np
import pytest

from pipeline.metrics.controls import CONTROLS, kuwahara, painterly, recoloured
from tests.pipeline.scenes import Pixels, noisy, photograph

PALETTE = {"lab_mean": [55.0, 10.0, 40.0], "lab_std": [15.0, 6.0, 10.0]}


def _by_definition(image: Pixels, radius: int) -> Pixels:
    """Return what Kuwahara et al. wrote, pixel by pixel."""
    padded = np.pad(image, [(radius, radius), (radius, radius), (0, 0)], mode="symmetric").astype(int)
    result = np.zeros_like(image)
    for y, x in np.ndindex(image.shape[:2]):
        windows = []
        for top in (y, y + radius):
            for left in (x, x + radius):
                window = padded[top : top + radius + 1, left : left + radius + 1].reshape(-1, 3)
                luma = window @ [213, 715, 72]
                windows.append((len(luma) * int((luma**2).sum()) - int(luma.sum()) ** 2, window))
        least = min(spread for spread, _ in windows)
        chosen = next(window for spread, window in windows if spread == least)
        result[y, x] = np.floor(chosen.mean(axis=0) + 0.5)
    return result


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_the_filter_is_kuwaharas(radius: int) -> None:
    image = noisy(photograph(3, 32)[:, :24], 20)
    assert np.array_equal(kuwahara(image, radius), _by_definition(image, radius))


def test_a_flat_area_stays() -> None:
    flat = np.full((20, 30, 3), (200, 17, 96), np.uint8)
    assert np.array_equal(kuwahara(flat, 3), flat)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_edge_stays_sharp_and_where_it_is(axis: int) -> None:
    edge = np.full((24, 24, 3), 40, np.uint8)
    edge[tuple([slice(None)] * axis + [slice(11, None)])] = (220, 180, 90)
    assert np.array_equal(kuwahara(edge, 3), edge)


def test_grain_is_smoothed_into_dabs() -> None:
    grain = noisy(np.full((64, 64, 3), 128, np.uint8), 20)
    assert kuwahara(grain, 2).std() < 0.6 * grain.std()


def test_the_brightest_pixels_do_not_overflow() -> None:
    white = np.full((200, 200, 3), 255, np.uint8)
    white[::7, ::5] = 0
    assert np.array_equal(kuwahara(white, 24)[60:68, 60:68], _by_definition(white[:128, :128], 24)[60:68, 60:68])


def test_the_painterly_control_is_the_lab_transfer_filtered_over_a_share_of_its_side() -> None:
    for side, radius in ((32, 1), (64, 1), (160, 2), (256, 4)):
        image = photograph(1, side)
        assert np.array_equal(painterly(image, PALETTE), kuwahara(recoloured(image, PALETTE), radius))


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_a_control_keeps_size_and_depth_and_leaves_its_input_alone(name: str) -> None:
    image = photograph(2)[:, :40]
    before = image.copy()
    output = CONTROLS[name](image, PALETTE)
    assert output.shape == image.shape
    assert output.dtype == np.uint8
    assert np.array_equal(image, before)
