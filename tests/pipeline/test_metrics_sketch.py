import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from pipeline.metrics import sketch
from pipeline.metrics.sketch import Frame, cells, distances, halves

ONE = np.ones((1, 1), np.float32)


def _between(left: np.ndarray, right: np.ndarray) -> float:
    a, b = (cells(values.astype(np.float32)).reshape(1, -1) for values in (left, right))
    return float(distances(a, ONE, b, ONE)[0])


@pytest.mark.parametrize("seed", range(4))
def test_the_sketch_gives_the_exact_distance_within_a_hundredth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = rng.normal(rng.uniform(-2, 2), rng.uniform(0.5, 2), (1, 3000))
    right = rng.standard_t(4, (1, 2000)).clip(-15, 15)
    assert _between(left, right) == pytest.approx(wasserstein_distance(left[0], right[0]), rel=0.01)


def test_a_shift_scores_itself_and_equals_score_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(5, 400))
    assert _between(values, values + 0.37) == pytest.approx(0.37, rel=1e-4)
    assert _between(values, values) == 0


def test_what_lies_beyond_the_span_counts_as_lying_there() -> None:
    assert _between(np.zeros((1, 10)), np.full((1, 10), 1e6)) == pytest.approx(sketch._SPAN, rel=1e-4)


def test_weights_are_the_same_as_repeating_images() -> None:
    rng = np.random.default_rng(1)
    images = [rng.normal(i, 1, (4, 50)).astype(np.float32) for i in range(3)]
    other = cells(rng.normal(size=(4, 80)).astype(np.float32)).reshape(1, -1)
    sketches = np.stack([cells(image).reshape(-1) for image in images])
    weighted = distances(sketches, np.array([[0.5, 0.0, 0.5]], np.float32), other, ONE)
    repeated = cells(np.concatenate([images[0], images[2]], axis=1)).reshape(1, -1)
    assert weighted == pytest.approx(distances(repeated, ONE, other, ONE), rel=1e-4)


def test_the_number_of_rows_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    sketches = np.stack([cells(rng.normal(size=(4, 50)).astype(np.float32)).reshape(-1) for _ in range(6)])
    weights = rng.dirichlet(np.ones(6), 40).astype(np.float32)
    together = distances(sketches, weights, sketches, weights[::-1])
    monkeypatch.setattr(sketch, "_ROWS", 7)
    assert distances(sketches, weights, sketches, weights[::-1]) == pytest.approx(together, rel=1e-5, abs=1e-7)


def test_the_frame_measures_in_deviations_of_the_paintings_with_a_floor() -> None:
    rng = np.random.default_rng(3)
    lively, calm = rng.normal(5, 4, (2, 900)), rng.normal(1, 0.01, (2, 900))
    frame = Frame.of([np.concatenate([lively, calm]).astype(np.float32)], group=2, floor=0.5)
    assert frame.scale[:, 0] == pytest.approx([4, 4, 0.5, 0.5], rel=0.05)
    assert frame.centre[:, 0] == pytest.approx([5, 5, 1, 1], abs=0.3)


def test_halves_say_what_a_perfect_model_would_score() -> None:
    """Sets of images of one distribution: model against paintings, and halves of the paintings, agree on average."""
    rng = np.random.default_rng(4)

    def image() -> np.ndarray:
        return cells(rng.normal(rng.normal(0, 0.5), 1, (3, 60)).astype(np.float32)).reshape(-1)

    perfect, estimated = [], []
    for _ in range(60):
        ours, theirs = np.stack([image() for _ in range(20)]), np.stack([image() for _ in range(10)])
        uniform = np.full((1, 20), 1 / 20, np.float32), np.full((1, 10), 1 / 10, np.float32)
        perfect.append(distances(ours, uniform[0], theirs, uniform[1])[0])
        estimated.append(halves(theirs, against=20, splits=20).mean())
    assert np.mean(estimated) == pytest.approx(np.mean(perfect), rel=0.15)


def test_halves_of_one_image_are_nothing() -> None:
    assert halves(np.zeros((1, 64), np.float32), 5, 10).size == 0
