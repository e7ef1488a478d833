import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.painting.working import LARGEST, working_size

VIEW = 160
SIZES = st.tuples(st.integers(32, 12_000), st.integers(32, 12_000))


@given(SIZES)
def test_strokes_have_the_share_of_the_picture_that_they_had_in_training(size: tuple[int, int]) -> None:
    short = min(working_size(size, VIEW))
    if max(size) <= 4 * min(size):
        assert VIEW - 1 <= short <= LARGEST * VIEW + 1
    assert short <= max(VIEW, LARGEST * VIEW) + 1


@given(SIZES, st.floats(0.05, 100))
def test_the_shape_stays_and_nothing_is_enlarged_but_small_pictures(size: tuple[int, int], scale: float) -> None:
    width, height = working_size(size, VIEW, scale)
    rounding = 0.5001 / size[0] + 0.5001 / size[1]
    assert abs(width / size[0] - height / size[1]) <= rounding or 1 in (width, height)
    if min(size) >= VIEW:
        assert (width, height) <= size
    assert width * height <= max(size[0] * size[1], (2 * LARGEST * VIEW) ** 2) + max(width, height)


@given(SIZES, st.floats(0.05, 50))
def test_a_larger_scale_never_paints_smaller(size: tuple[int, int], scale: float) -> None:
    assert working_size(size, VIEW, scale) <= working_size(size, VIEW, 1.5 * scale)


def test_a_scale_of_two_paints_twice_as_large() -> None:
    assert working_size((6000, 4000), VIEW) == (336, 224)
    assert working_size((6000, 4000), VIEW, 2) == (672, 448)
    assert working_size((6000, 4000), VIEW, 100) == (6000, 4000)


def test_a_long_strip_does_not_become_a_large_picture() -> None:
    width, height = working_size((3_000_000, 32), VIEW)
    assert width * height <= 3_000_000 * 32


@pytest.mark.parametrize("scale", [0, -1, 101, float("nan")])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale is"):
        working_size((100, 100), VIEW, scale)
