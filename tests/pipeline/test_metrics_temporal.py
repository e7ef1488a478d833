"""Temporal consistency, against paint whose flicker is known."""

import numpy as np
import pytest

from pipeline.colour import pixels_to_lab
from pipeline.metrics.bootstrap import Resamples, draw
from pipeline.metrics.temporal import COUNT, Temporal, flicker
from tests.pipeline.scenes import Pixels, paint, photograph, photographs

NAME = "temporal/flicker"
_L = pixels_to_lab(np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1))[:, 0]


class _Noise:
    """Grey noise of a known deviation in L, drawn anew at each call."""

    def __init__(self, deviation: float) -> None:
        self.rng = np.random.default_rng(0)
        self.deviation = deviation

    def __call__(self, picture: Pixels) -> Pixels:
        light = self.rng.normal(50, self.deviation, picture.shape[:2])
        level = np.abs(_L[None, None] - light[..., None]).argmin(axis=2)
        return np.repeat(level[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    "recolour",
    [
        lambda picture: picture,
        lambda picture: 255 - picture,
        lambda picture: (picture // 3 + 40)[..., ::-1],
    ],
)
def test_paint_that_hangs_on_the_pixel_alone_does_not_flicker(recolour: object) -> None:
    assert callable(recolour)
    assert flicker(recolour, photograph(1)) == 0


@pytest.mark.parametrize("deviation", [2.0, 6.0])
def test_noise_drawn_anew_flickers_by_its_deviation(deviation: float) -> None:
    assert flicker(_Noise(deviation), photograph(1, 160)) == pytest.approx(deviation * np.sqrt(2), rel=0.02)


def test_paint_that_sticks_to_the_frame_flickers_and_paint_that_sticks_to_the_subject_does_not() -> None:
    subject = photograph(1)

    def ghost(picture: Pixels) -> Pixels:  # a line is painted at a place of the frame, whatever the picture shows
        result = picture.copy()
        result[20:22] = 0
        return result

    def shade(picture: Pixels) -> Pixels:  # each pixel by itself and its right neighbour
        return np.concatenate([picture[:, 1:] // 2 + picture[:, :-1] // 2, picture[:, -1:]], axis=1)

    assert flicker(lambda picture: paint(picture, 7), subject) > 5
    assert flicker(ghost, subject) > 1
    assert flicker(shade, subject) == 0


def test_borders_do_not_count() -> None:
    def framed(picture: Pixels) -> Pixels:
        result = picture.copy()
        edge = picture.shape[0] // 10
        result[:edge] = result[-edge:] = 255
        result[:, :edge] = result[:, -edge:] = 0
        return result

    assert flicker(framed, photograph(1, 160)) == 0


@pytest.mark.parametrize("side", [32, 33, 64])
def test_windows_are_never_resampled_and_never_as_large_as_the_view(side: int) -> None:
    view = photograph(1, side)
    seen: list[Pixels] = []
    flicker(lambda picture: (seen.append(picture), picture)[1], view)
    for picture, (top, left) in zip(seen, [(0, 0), (2, 1), (5, 3)], strict=True):
        assert picture.shape == (side - 8, side - 8, 3)
        assert np.array_equal(picture, view[top : top + side - 8, left : left + side - 8])


def test_only_the_first_eight_photographs_cost_paintings() -> None:
    calls: list[int] = []
    found = Temporal(photographs(10)).measure(lambda picture: (calls.append(1), picture)[1], draw(10, 2, 40))
    assert len(calls) == COUNT * 3
    assert found[NAME].shape == (41,)


def test_fewer_photographs_are_all_moved() -> None:
    assert Temporal(photographs(3)).measure(_Noise(2), draw(3, 2, 10))[NAME][0] == pytest.approx(2**1.5, rel=0.05)


def test_resamples_weigh_the_moved_photographs_and_none_drawn_is_all_alike() -> None:
    pictures = photographs(10)

    def repaint(picture: Pixels) -> Pixels:
        return paint(picture, 7)

    each = np.array([flicker(repaint, picture) for picture in pictures[:COUNT]])
    weights = np.zeros((4, 10), np.float32)
    weights[0] = 0.1
    weights[1, [2, 9]] = 0.5
    weights[2, [0, 1, 8]] = 0.2, 0.6, 0.2
    weights[3, 8:] = 0.5
    found = Temporal(pictures).measure(repaint, Resamples(weights, weights))[NAME]
    expected = [each.mean(), each[2], (each[0] + 3 * each[1]) / 4, each.mean()]
    assert found == pytest.approx(expected, rel=1e-6)
