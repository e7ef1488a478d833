"""Error, gradients, PSNR and SSIM against closed forms and a second computation; what restores without learning."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from pipeline.metrics import of_task
from pipeline.metrics.restored import PERFECT, RestoredSuite, psnr, ssim
from pipeline.metrics.unlearnt import CONTROLS

RNG = np.random.default_rng(3)


def picture(seed: int = 0, side: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((side, side), 3)
    return np.array(coarse)


def lost(side: int = 40) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[10:20, 12:30] = True
    return mask


def test_psnr_of_a_known_error_is_its_closed_form() -> None:
    one = np.full((12, 12, 3), 100, np.uint8)
    assert psnr(one, one) == PERFECT
    assert psnr(one, one + np.uint8(5)) == pytest.approx(20 * np.log10(255 / 5))
    black, white = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 255, np.uint8)
    assert psnr(black, white) == 0


def test_ssim_of_flat_pictures_is_its_closed_form() -> None:
    """Without variance it is (2ab + c1) / (a^2 + b^2 + c1), c1 = (0.01 * 255)^2 (Wang et al. 2004, eq. 6)."""
    a, b = 100.0, 140.0
    found = ssim(np.full((16, 16, 3), a, np.uint8), np.full((16, 16, 3), b, np.uint8))
    c1 = (0.01 * 255) ** 2
    assert found == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), abs=1e-6)


def test_ssim_is_that_of_gaussian_windows() -> None:
    one = picture()
    other = np.clip(one + np.random.default_rng(1).normal(0, 20, one.shape), 0, 255).astype(np.uint8)

    def mean(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, (1.5, 1.5, 0), mode="mirror", radius=5)

    x, y = one.astype(float), other.astype(float)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    whole = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(one, other) == pytest.approx(whole.mean(), abs=1e-6)
    assert ssim(one, one) == pytest.approx(1)


def test_errors_are_counted_inside_of_holes_alone() -> None:
    originals, mask = [picture(seed) for seed in range(3)], lost()
    suite = RestoredSuite(originals, {"fine": [mask] * 3}, 50)
    outside = [np.where(mask[..., None], one, 255 - one).astype(np.uint8) for one in originals]
    found = suite.measure({"fine": outside})
    assert found["restored/l1"][0] == pytest.approx(0, abs=1e-12)
    flat = [np.full_like(one, 100) for one in originals]
    expected = np.mean([np.abs(one / 255 - 100 / 255)[mask].mean() for one in originals])
    assert suite.measure({"fine": flat})["restored/l1"][0] == pytest.approx(expected, rel=1e-5)


def test_the_error_of_edges_of_a_ramp_is_its_slope_and_blind_to_a_shift() -> None:
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[None] * 5, 40, 0)[..., None].repeat(3, 2)
    suite = RestoredSuite([ramp, ramp], {"light": [None, None]}, 20)
    flat, shifted = np.full_like(ramp, 90), ramp + np.uint8(7)
    assert suite.each("light", [flat, shifted])["restored/gradient"] == pytest.approx([5 / 255, 0], abs=1e-12)


def test_grades_count_alike_and_stand_alone_where_they_are_declared() -> None:
    originals, mask = [picture(seed) for seed in range(4)], lost()
    suite = RestoredSuite(originals, {"fine": [mask] * 4, "large": [mask] * 4}, 30)
    off = {"fine": 3, "large": 9}
    found = suite.measure({
        grade: [np.clip(one.astype(int) // 2 + 40 + by, 0, 255).astype(np.uint8) for one in originals]
        for grade, by in off.items()
    })
    base = suite.measure({grade: [one // 2 + np.uint8(40) for one in originals] for grade in off})
    assert found["restored/l1"][0] == pytest.approx(
        (found["restored/l1/fine"][0] + found["restored/l1/large"][0]) / 2, rel=1e-5
    )
    assert "restored/psnr/fine" not in found
    assert base["restored/l1"].shape == (31,)
    assert {"restored/l1", "restored/gradient", "restored/psnr", "restored/ssim"} <= set(found)
    assert set(found) <= {one.name for one in of_task("restore")}


def test_too_little_to_score_is_said() -> None:
    with pytest.raises(ValueError, match="only 1 held-out paintings"):
        RestoredSuite([picture()], {}, 10)
    with pytest.raises(ValueError, match=r"11 px .* raise prepare.view"):
        RestoredSuite([picture(side=10)] * 2, {}, 10)


@pytest.mark.parametrize("name", ["smooth", "telea", "navier_stokes"])
def test_what_fills_without_learning_keeps_the_rest_and_nears_the_original(name: str) -> None:
    original, mask = picture(), lost()
    left = Image.fromarray(np.where(mask[..., None], 128, original).astype(np.uint8))
    made = np.asarray(CONTROLS["inpaint"][name](left, Image.fromarray(mask.astype(np.uint8) * 255), 1))
    assert np.array_equal(made[~mask], original[~mask])
    errors = [np.abs(x.astype(float) - original)[mask].mean() for x in (made, np.asarray(left))]
    assert errors[0] < 0.6 * errors[1]


def test_bicubic_enlarges_by_the_scale() -> None:
    assert CONTROLS["super_resolution"]["bicubic"](Image.fromarray(picture()), None, 4).size == (160, 160)
