"""Mode collapse: the Vendi score against its closed forms, and what it sees that pairwise distances do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.bootstrap import draw, figure
from pipeline.metrics.diversity import Diversity, pairwise, thumbnails
from pipeline.metrics.modes import Modes, vendi
from pipeline.metrics.references import References
from tests.pipeline.scenes import SETTINGS, painting, photographs, references

PHOTOS = photographs()
RESAMPLES = draw(10, 8, 60)
EQUAL = np.full((1, 10), 0.1)
NAME = "diversity/modes"


def _kernel_of_photographs() -> np.ndarray:
    distances = pairwise(thumbnails(PHOTOS))
    bandwidth = np.median([distances[i, j] for i in range(10) for j in range(i)])
    return np.asarray(np.exp(-(distances**2) / (2 * bandwidth**2)))


def test_the_photographs_themselves_are_as_many_as_they_are() -> None:
    found = Modes(references(), SETTINGS).measure(PHOTOS, RESAMPLES)[NAME]
    assert found == pytest.approx(np.ones(61))


def test_copies_of_one_picture_are_one_picture() -> None:
    found = Modes(references(), SETTINGS).measure([painting(5)] * 10, RESAMPLES)[NAME]
    assert found[0] == pytest.approx(1 / vendi(_kernel_of_photographs(), EQUAL)[0], rel=1e-4)
    assert found[0] < 0.4


def test_two_equal_groups_have_their_closed_form() -> None:
    one, other = painting(5), painting(6)
    found = Modes(references(), SETTINGS).measure([one, other] * 5, RESAMPLES)[NAME][0]
    inputs = pairwise(thumbnails(PHOTOS))
    bandwidth = np.median(inputs[np.triu_indices(10, 1)])
    similar = np.exp(-0.5 * (pairwise(thumbnails([one, other]))[0, 1] / bandwidth) ** 2)
    shares = np.array([1 + similar, 1 - similar]) / 2
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert found * vendi(_kernel_of_photographs(), EQUAL)[0] == pytest.approx(expected, rel=1e-4)


def test_pictures_that_share_nothing_count_one_each_and_groups_as_groups() -> None:
    assert vendi(np.eye(7), np.ones((1, 7)))[0] == pytest.approx(7)
    assert vendi(np.kron(np.eye(2), np.ones((5, 5))), EQUAL)[0] == pytest.approx(2)
    uneven = np.kron(np.eye(2), np.ones((2, 2))), np.array([[0.1, 0.2, 0.3, 0.4]])
    assert vendi(*uneven)[0] == pytest.approx(np.exp(-(0.3 * np.log(0.3) + 0.7 * np.log(0.7))))


@given(st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(any))
def test_a_weight_is_worth_as_many_copies(counts: list[int]) -> None:
    kernel = _kernel_of_photographs()[:6, :6]
    copies = np.repeat(np.arange(6), counts)
    expected = vendi(kernel[np.ix_(copies, copies)], np.ones((1, len(copies))))
    assert vendi(kernel, np.array([counts], float)) == pytest.approx(expected, rel=1e-6)


def test_a_collapse_that_pairwise_distances_miss_is_seen() -> None:
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    outputs = [black, white] * 5  # two pictures for all, but as far apart as can be
    assert Diversity(references(), SETTINGS).measure(outputs, RESAMPLES)["diversity/pairwise"][0] > 1
    high = figure(Modes(references(), SETTINGS).measure(outputs, RESAMPLES)[NAME])["high"]
    assert high is not None
    assert high < 0.8


def test_photographs_that_are_one_picture_give_no_number() -> None:
    same = (PHOTOS[0],) * 10
    found = Modes(References(same, same), SETTINGS).measure(PHOTOS, RESAMPLES)[NAME]
    assert figure(found) == {"value": None, "low": None, "high": None}
