import numpy as np
import pytest

from pipeline.metrics import metric
from pipeline.metrics.bootstrap import draw, figure, spread


def test_row_zero_is_the_estimate_and_every_row_a_share_of_the_whole() -> None:
    found = draw(7, 5, 40)
    assert found.photographs.shape == (41, 7)
    assert found.paintings.shape == (41, 5)
    assert found.photographs[0] == pytest.approx(np.full(7, 1 / 7))
    assert found.photographs.sum(axis=1) == pytest.approx(np.ones(41), abs=1e-6)
    assert (found.photographs[1:] * 7).round() == pytest.approx(found.photographs[1:] * 7, abs=1e-5)


def test_the_same_numbers_of_images_give_the_same_resamples() -> None:
    assert np.array_equal(draw(7, 5, 40).paintings, draw(7, 5, 40).paintings)
    assert not np.array_equal(draw(7, 7, 40).photographs, draw(7, 7, 40).paintings)


def test_the_interval_stands_around_the_estimate_whatever_the_bias_of_the_resamples() -> None:
    rest = np.random.default_rng(0).normal(7.0, 1.0, 20_000)
    found = figure(np.concatenate([[5.0], rest]))
    assert found["value"] == 5
    assert found["low"] == pytest.approx(5 - 1.96, abs=0.1)
    assert found["high"] == pytest.approx(5 + 1.96, abs=0.1)


def test_an_interval_is_cut_to_what_is_possible() -> None:
    samples = np.concatenate([[0.1], np.random.default_rng(0).normal(0.1, 1.0, 500)])
    assert figure(samples, metric("style/palette"))["low"] == 0
    assert figure(samples, metric("content/structure"))["high"] == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_none(wrong: float) -> None:
    assert figure(np.array([wrong, 1.0, 2.0])) == {"value": None, "low": None, "high": None}
    assert figure(np.array([1.0, wrong, 2.0])) == {"value": 1.0, "low": None, "high": None}
    assert spread(np.array([1.0, wrong]))["value"] is None
    assert spread(np.empty(0))["value"] is None


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    weights = draw(30, 30, 200).photographs.astype(float)
    for _ in range(300):
        found = figure(weights @ rng.normal(2.0, 1.0, 30))
        assert found["low"] is not None
        assert found["high"] is not None
        covered += found["low"] <= 2.0 <= found["high"]
    assert 0.89 <= covered / 300 <= 0.98
