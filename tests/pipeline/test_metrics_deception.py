"""Deception rates and stability: weighted means of what the judge says, and a deviation over snapshots."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from pipeline.metrics.bootstrap import draw
from pipeline.metrics.deception import Deception
from pipeline.metrics.references import Observers, Pixels, References
from pipeline.metrics.stability import unsettled
from tests.pipeline.scenes import SETTINGS


class Brightness:
    """A judge to whom bright is a painting."""

    name = "brightness"

    def rates(self, image: Pixels) -> Mapping[str, float]:
        share = float(image.mean() / 255)
        return {"judge/colour": share, "judge/luminance": share**2}


def _flat(level: int) -> Pixels:
    return np.full((16, 16, 3), level, np.uint8)


PHOTOS = tuple(_flat(level) for level in (0, 51, 102))
PAINTINGS = tuple(_flat(level) for level in (204, 255))
OUTPUTS = [_flat(level) for level in (51, 102, 255)]


def test_the_rates_are_weighted_means_over_photographs() -> None:
    family = Deception(References(PHOTOS, PAINTINGS, observers=Observers(judge=Brightness())), SETTINGS)
    resamples = draw(3, 2, 40)
    found = family.measure(OUTPUTS, resamples)
    rates = np.array([0.2, 0.4, 1.0])
    assert found["judge/colour"] == pytest.approx(resamples.photographs @ rates, abs=1e-6)
    assert found["judge/luminance"][0] == pytest.approx((rates**2).mean())


def test_paintings_are_resampled_among_themselves() -> None:
    family = Deception(References(PHOTOS, PAINTINGS, observers=Observers(judge=Brightness())), SETTINGS)
    draws = family.upper(4000)["judge/colour"]
    assert set(np.round(np.unique(draws), 6)) == {0.8, 0.9, 1.0}
    assert draws.mean() == pytest.approx(0.9, abs=0.01)
    assert family.upper(50)["judge/colour"].tolist() == family.upper(50)["judge/colour"].tolist()


def test_without_a_judge_nothing_is_measured() -> None:
    family = Deception(References(PHOTOS, PAINTINGS), SETTINGS)
    assert family.measure(OUTPUTS, draw(3, 2, 10)) == {}
    assert family.upper(10) == {}


def test_unsettled_is_the_deviation_relative_to_the_mean() -> None:
    found = unsettled([np.array([0.1, 0.2]), np.array([0.2, 0.2]), np.array([0.3, 0.2])])["stability/snapshots"]
    assert found == pytest.approx([0.1 / 0.2, 0.0])


def test_a_model_without_snapshots_has_no_stability() -> None:
    assert unsettled([np.array([0.1, 0.2])]) == {}
