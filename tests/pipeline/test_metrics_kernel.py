"""Kernel, Fréchet and perceptual distances: the published definitions, and what must hold of any figure."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kernel_mmd
from torchmetrics.image.kid import poly_mmd

from pipeline.metrics.bootstrap import Resamples, draw, figure
from pipeline.metrics.kernel import (
    PUBLISHED,
    Kernel,
    frechet_distance,
    kernel_distance,
    polynomial,
)
from pipeline.metrics.perceptual import PerceptualDistance
from pipeline.metrics.references import NOBODY, Observers, Pixels, References
from pipeline.metrics.sketch import random_halves
from tests.pipeline.scenes import SETTINGS, FakePerception, paint, paintings, photographs, references, statistics

Array = NDArray[np.float64]
NAME = "style/kid"
PHOTOS = photographs()
PAINTED = [paint(photo, 50 + i) for i, photo in enumerate(PHOTOS)]
RESAMPLES = draw(10, 8, 40)


@dataclasses.dataclass
class Network:
    """Statistics of a picture, in another scale and under another name."""

    name: str = "statistics 1"
    scale: float = 1.0

    def __call__(self, image: Pixels) -> Array:
        return self.scale * statistics(image)


def _features(count: int, seed: int, shift: float = 0.0, size: int = 16) -> Array:
    return np.random.default_rng(seed).normal(0.4 + shift, 0.5, (count, size))


def _uniform(*counts: int) -> list[NDArray[np.float32]]:
    return [np.full((1, count), 1 / count, np.float32) for count in counts]


def _distance(x: Array, y: Array, *weights: NDArray[np.float32]) -> Array:
    return kernel_distance(polynomial(x, x), polynomial(x, y), polynomial(y, y), *weights)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0])
def test_the_kernel_distance_is_that_of_the_reference_packages(shift: float) -> None:
    x, y = _features(40, 1), _features(40, 2, shift)
    found = _distance(x, y, *_uniform(40, 40))[0]
    assert found == pytest.approx(poly_mmd(torch.tensor(x), torch.tensor(y)).item(), rel=1e-10)
    kernel = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    assert found == pytest.approx(kernel_mmd(x, y, kid_kernel_poly_coef0=1.0, **kernel), rel=1e-10)


def _directly(x: Array, y: Array) -> float:
    """Return the distance of lists in which an image may stand more than once; pairs of it with itself left out."""

    def within(rows: Array) -> float:
        kernel = polynomial(rows, rows)
        different = np.array([[not np.array_equal(a, b) for b in rows] for a in rows])
        return float(kernel[different].mean())

    return within(x) + within(y) - 2 * float(polynomial(x, y).mean())


def test_a_resample_is_the_list_of_images_that_it_stands_for() -> None:
    x, y = _features(7, 1), _features(5, 2, 0.5)
    resamples = draw(7, 5, 30)
    found = _distance(x, y, resamples.photographs, resamples.paintings)
    lists = [
        [
            np.repeat(rows, np.rint(weights * len(rows)).astype(int), axis=0)
            for rows, weights in ((x, left), (y, right))
        ]
        for left, right in zip(resamples.photographs, resamples.paintings, strict=True)
    ]
    assert any(len(np.unique(one, axis=0)) < 6 for one, _ in lists)  # some hold an image twice
    assert found == pytest.approx([_directly(*pair) for pair in lists], rel=1e-6)


def test_a_resample_of_one_image_alone_is_still_a_number() -> None:
    x, y = _features(2, 1), _features(2, 2, 0.5)
    weights = np.array([[0.5, 0.5], [1, 0], [0, 1]], np.float32)
    assert np.isfinite(_distance(x, y, weights, weights)).all()


def test_images_of_one_distribution_are_at_no_distance_on_average_and_others_are() -> None:
    draws = np.array(
        [_distance(_features(12, 2 * i), _features(9, 2 * i + 1), *_uniform(12, 9))[0] for i in range(600)]
    )
    error = draws.std() / np.sqrt(len(draws))
    assert (draws < 0).any()
    assert abs(draws.mean()) < 3 * error
    far = np.array(
        [_distance(_features(12, 2 * i), _features(9, 2 * i + 1, 0.3), *_uniform(12, 9))[0] for i in range(50)]
    )
    assert far.mean() > 10 * error


def test_halves_of_the_paintings_are_at_no_distance() -> None:
    found = Kernel(references(), SETTINGS).upper(400)[NAME]
    assert found.shape == (400,)
    painted = Kernel(references(), SETTINGS).measure(PHOTOS, RESAMPLES)[NAME][0]
    assert abs(found.mean()) < 0.05 * painted


def test_no_half_holds_an_image_of_the_other() -> None:
    left, right = random_halves(9, 50)
    assert not ((left > 0) & (right > 0)).any()
    assert np.allclose([left.sum(axis=1), right.sum(axis=1)], 1)
    assert ((left > 0).sum(axis=1) == 4).all()


@pytest.mark.parametrize("count", [2, 3])
def test_halves_without_a_pair_give_no_figure(count: int) -> None:
    family = Kernel(References(tuple(PHOTOS), tuple(paintings(count)), None, Observers(features=Network())), SETTINGS)
    assert family.upper(10)[NAME].size == 0


def test_paintings_are_nearer_than_photographs() -> None:
    family = Kernel(references(), SETTINGS)
    far, near = (figure(family.measure(images, RESAMPLES)[NAME]) for images in (PHOTOS, PAINTED))
    assert far["low"] is not None
    assert near["high"] is not None
    assert near["high"] < far["low"]


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_judges_figures_do_not_depend_on_the_scale_of_its_features(scale: float) -> None:
    plain, scaled = (_measured(Network(scale=each)) for each in (1.0, scale))
    assert scaled == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_features_stay_as_they_are(name: str) -> None:
    rows = [3 * np.array([statistics(image) for image in images]) for images in (PAINTED, paintings())]
    expected = _distance(*rows, *_uniform(10, 8))[0]
    assert _measured(Network(name, 3.0))[0] == pytest.approx(expected, rel=1e-9)
    assert _measured(Network("vgg16 00000000", 3.0))[0] != pytest.approx(expected, rel=0.01)


def _measured(network: Network) -> Array:
    family = Kernel(References(tuple(PHOTOS), tuple(paintings()), None, Observers(features=network)), SETTINGS)
    return family.measure(PAINTED, RESAMPLES)[NAME]


def test_the_order_of_images_does_not_matter() -> None:
    order = np.random.default_rng(5).permutation(10)
    family = Kernel(references(), SETTINGS)
    shuffled = Resamples(RESAMPLES.photographs[:, order], RESAMPLES.paintings)
    one, other = family.measure(PAINTED, RESAMPLES), family.measure([PAINTED[i] for i in order], shuffled)
    assert one[NAME] == pytest.approx(other[NAME], rel=1e-9)


def test_where_nobody_looks_nothing_is_measured() -> None:
    for family in (
        Kernel(references(observers=NOBODY), SETTINGS),
        PerceptualDistance(references(observers=NOBODY), SETTINGS),
    ):
        assert family.measure(PHOTOS, RESAMPLES) == {}
        assert family.upper(10) == {}


# Fréchet


@pytest.mark.parametrize("count", [400, 12])  # with 12 images of 16 features the covariance has no full rank
def test_the_frechet_distance_is_that_of_the_reference_package(count: int) -> None:
    x, y = _features(count, 1), _features(count + 3, 2, 0.3) @ np.random.default_rng(3).normal(size=(16, 16))
    statistics_ = [fid_features_to_statistics(torch.tensor(rows)) for rows in (x, y)]
    expected = fid_statistics_to_metric(*statistics_, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_gaussians_has_its_closed_form() -> None:
    x = _features(5000, 1, size=1)
    y = 3 * x + 2
    expected = (y.mean() - x.mean()) ** 2 + (y.std(ddof=1) - x.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("photos", "art", "there"), [(2000, 2000, True), (1999, 2000, False), (2000, 1999, False)])
def test_the_frechet_distance_needs_two_thousand_images_of_each_kind(photos: int, art: int, there: bool) -> None:
    rng = np.random.default_rng(4)
    pictures, others = (tuple(rng.integers(0, 200, (n, 4, 4, 3)).astype(np.uint8)) for n in (photos, art))
    family = Kernel(References(pictures, others, None, Observers(features=Network())), SETTINGS)
    found = family.measure(pictures, draw(photos, art, 2))
    assert ("style/frechet" in found) == there
    if there:
        samples = found["style/frechet"]
        assert samples[0] == pytest.approx(0, abs=0.01)
        assert figure(samples)["low"] is None  # no interval, rather than one that nobody measured


# Perceptual


def test_the_perceptual_distance_is_the_mean_over_photographs() -> None:
    family = PerceptualDistance(references(), SETTINGS)
    each = family.each(PAINTED)["content/lpips"]
    assert each == pytest.approx([FakePerception()(*pair) for pair in zip(PHOTOS, PAINTED, strict=True)])
    found = family.measure(PAINTED, RESAMPLES)["content/lpips"]
    assert found == pytest.approx(RESAMPLES.photographs.astype(float) @ each)
    assert (family.measure(PHOTOS, RESAMPLES)["content/lpips"] == 0).all()
