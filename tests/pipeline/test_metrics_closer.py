"""Whose paintings outputs are nearest to: known answers of painters that follow, and of one that does not."""

import numpy as np
import pytest

from pipeline.metrics.closer import Closer
from tests.pipeline.scenes import SETTINGS, Pixels, paint, painting, paintings, photograph, photographs

PHOTOS = photographs(8)


def cold(picture: Pixels) -> Pixels:
    """Return a picture in another style than `paint`'s: flat, dark and blue."""
    return np.asarray((picture // 64 * 64 * np.array([0.25, 0.4, 0.9])).astype(np.uint8))


@pytest.fixture(scope="module")
def closer() -> Closer:
    return Closer({"warm": paintings(6), "cold": [cold(photograph(500 + i)) for i in range(6)]}, SETTINGS)


def test_painters_that_follow_every_reference_score_one(closer: Closer) -> None:
    outputs = {"warm": [paint(photo, i) for i, photo in enumerate(PHOTOS)], "cold": [cold(photo) for photo in PHOTOS]}
    found = closer.measure(outputs, PHOTOS)
    assert found.model == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found.nearest == {"warm": {"warm": 1.0, "cold": 0.0}, "cold": {"warm": 0.0, "cold": 1.0}}
    assert found.nearer == {"warm": {"cold": 1.0}, "cold": {"warm": 1.0}}
    assert found.controls["paintings"]["value"] == 1.0


def test_one_that_always_paints_alike_scores_chance_and_one_that_errs_scores_nothing(closer: Closer) -> None:
    warm, blue = [paint(photo, i) for i, photo in enumerate(PHOTOS)], [cold(photo) for photo in PHOTOS]
    assert closer.measure({"warm": warm, "cold": warm}, PHOTOS).model["value"] == 0.5
    assert closer.measure({"warm": blue, "cold": warm}, PHOTOS).model["value"] == 0.0


def test_untouched_photographs_score_chance(closer: Closer) -> None:
    found = closer.measure({"warm": PHOTOS, "cold": PHOTOS}, PHOTOS)
    assert found.controls["photograph"] == found.model
    assert found.model["value"] == 0.5


def test_the_interval_is_over_photographs(closer: Closer) -> None:
    """Half of the photographs are painted right after both references, half after none."""
    right, wrong = PHOTOS[:4], PHOTOS[4:]
    outputs = {
        "warm": [paint(photo, 0) for photo in right] + [cold(photo) for photo in wrong],
        "cold": [cold(photo) for photo in right] + [paint(photo, 0) for photo in wrong],
    }
    figure = closer.measure(outputs, PHOTOS).model
    assert figure["value"] == 0.5
    assert figure["low"] is not None
    assert figure["high"] is not None
    assert 0.05 < figure["low"] < 0.35  # of 8 draws at a half: a deviation of 0.18
    assert 0.65 < figure["high"] < 0.95


def test_a_style_s_own_paintings_are_no_help_to_themselves() -> None:
    """Paintings that resemble each other less than those of the other style would pass only by seeing themselves."""
    odd = [painting(1), cold(photograph(2))]
    found = Closer({"odd": odd, "warm": paintings(4, 50)}, SETTINGS).measure({"odd": odd, "warm": odd}, odd)
    assert found.controls["paintings"]["value"] == pytest.approx(4 / 6)
