"""Diversity, distortion, memorisation, and all families together."""

import numpy as np
import pytest

from pipeline.closure import import_closure
from pipeline.metrics import REGISTRY, metric
from pipeline.metrics.bootstrap import draw
from pipeline.metrics.distortion import Distortion
from pipeline.metrics.diversity import Diversity
from pipeline.metrics.memorisation import Memorisation
from pipeline.metrics.references import References
from pipeline.metrics.suite import Suite, differences, figures
from tests.pipeline.scenes import SETTINGS, paint, painting, paintings, photographs, references
from tests.pipeline.training import ROOT

PHOTOS = photographs()
RESAMPLES = draw(10, 8, 20)


def test_distortion_has_its_closed_form() -> None:
    given = tuple(np.full((32, 32, 3), 100, np.uint8) for _ in range(10))
    outputs = [image + np.uint8(51) for image in given]
    found = Distortion(References(given, given), SETTINGS).measure(outputs, RESAMPLES)
    assert found["distortion/mse"][0] == pytest.approx(0.04)
    assert found["distortion/psnr"][0] == pytest.approx(10 * np.log10(1 / 0.04))


def test_no_distortion_is_a_hundred_decibels() -> None:
    found = Distortion(references(), SETTINGS).measure(PHOTOS, RESAMPLES)
    assert found["distortion/mse"][0] == 0
    assert found["distortion/psnr"][0] == pytest.approx(100)


def test_diversity_is_one_for_the_photographs_and_nothing_for_one_picture() -> None:
    family = Diversity(references(), SETTINGS)
    assert family.measure(PHOTOS, RESAMPLES)["diversity/pairwise"] == pytest.approx(np.ones(21), rel=1e-5)
    assert family.measure([PHOTOS[0]] * 10, RESAMPLES)["diversity/pairwise"] == pytest.approx(np.zeros(21), abs=1e-5)


def test_half_the_spread_is_half_the_diversity() -> None:
    rng = np.random.default_rng(0)
    grey = tuple(np.full((32, 32, 3), level, np.uint8) for level in rng.integers(110, 146, 10))
    half = [((image.astype(int) - 128) // 2 + 128).astype(np.uint8) for image in grey]
    found = Diversity(References(grey, grey), SETTINGS).measure(half, RESAMPLES)["diversity/pairwise"][0]
    assert found == pytest.approx(0.5, abs=0.06)


def test_pasting_training_paintings_is_seen_even_mirrored() -> None:
    training = paintings(6, 100)
    family = Memorisation(References(tuple(PHOTOS), tuple(paintings()), training), SETTINGS)
    pasted = [training[i % 6] if i % 2 else training[i % 6][:, ::-1] for i in range(10)]
    fresh = paintings(10, 200)
    name = "memorisation/nearest_train"
    assert family.measure(pasted, RESAMPLES)[name][0] < 0.01
    assert family.measure(fresh, RESAMPLES)[name][0] == pytest.approx(1, abs=0.35)


def test_crops_of_any_size_are_searched() -> None:
    crop = painting(100, 128)[:64, :64]
    family = Memorisation(References(tuple(PHOTOS), tuple(paintings()), [crop]), SETTINGS)
    assert family.measure([crop] * 10, RESAMPLES)["memorisation/nearest_train"][0] < 0.01


@pytest.mark.parametrize("training", [None, []])
def test_without_training_images_memorisation_is_not_measured(training: list[np.ndarray] | None) -> None:
    family = Memorisation(References(tuple(PHOTOS), tuple(paintings()), training), SETTINGS)
    assert family.measure(PHOTOS, RESAMPLES) == {}


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite(references(), SETTINGS)


def test_every_declared_metric_is_measured_and_no_other(suite: Suite) -> None:
    assert set(suite.measure(PHOTOS)) == set(REGISTRY)


def test_every_figure_is_possible_and_has_an_interval_around_it(suite: Suite) -> None:
    outputs = [paint(photo, i) for i, photo in enumerate(PHOTOS)]
    for name, found in figures(suite.measure(outputs)).items():
        value, low, high = found["value"], found["low"], found["high"]
        assert value is not None
        assert low is not None
        assert high is not None
        assert metric(name).low <= low <= value <= high <= metric(name).high, name
        assert low < high, name


def test_a_difference_with_itself_is_nothing(suite: Suite) -> None:
    samples = suite.measure(PHOTOS)
    assert all(found == {"value": 0, "low": 0, "high": 0} for found in differences(samples, samples).values())


def test_a_paired_difference_is_narrower_than_two_separate_intervals(suite: Suite) -> None:
    one, other = (
        suite.measure(PHOTOS),
        suite.measure([np.clip(p.astype(int) + 6, 0, 255).astype(np.uint8) for p in PHOTOS]),
    )
    paired = differences(one, other)["style/palette"]
    separate = figures(one)["style/palette"]
    width = {key: found["high"] - found["low"] for key, found in (("p", paired), ("s", separate))}  # type: ignore[operator]
    assert width["p"] < width["s"] * 0.7


@pytest.mark.parametrize(("photographs_", "paintings_"), [(1, 5), (5, 1), (0, 5)])
def test_too_few_images_are_refused(photographs_: int, paintings_: int) -> None:
    with pytest.raises(ValueError, match="at least 2 of each"):
        Suite(References(tuple(PHOTOS[:photographs_]), tuple(paintings(paintings_))), SETTINGS)


def test_views_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        Suite(References(tuple(PHOTOS), tuple(painting(i, 48) for i in range(3))), SETTINGS)


def test_an_unknown_metric_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="style/patch_swd"):
        metric("style/gram")


def test_what_measures_never_trains() -> None:
    for module in ("pipeline.train", "pipeline.losses", "pipeline.methods.cut"):
        assert not [name for name in import_closure(module, ROOT) if name.startswith("pipeline.metrics")]
    assert "pipeline.losses" not in import_closure("pipeline.metrics.suite", ROOT)
