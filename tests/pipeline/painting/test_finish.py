"""From the working size to full size: edges, strokes, halos, colours, strength; on pictures whose truth is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.painting.finish import finish
from tests.pipeline.painting.networks import picture

FACTOR = 8


def _disc(side: int, inside: tuple[int, int, int], outside: tuple[int, int, int]) -> Image.Image:
    y, x = np.mgrid[:side, :side] + 0.5
    disc = (np.hypot(x - side / 2, y - side / 2) < 0.3 * side)[..., None]
    return Image.fromarray(np.where(disc, inside, outside).astype(np.uint8))


def _reduced(image: Image.Image) -> Image.Image:
    return image.resize((image.width // FACTOR, image.height // FACTOR), Image.Resampling.LANCZOS)


@pytest.fixture(scope="module")
def disc() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The painting of a disc at full size as it ought to be, restored, and enlarged without a guide; levels."""
    photo, truth = _disc(512, (200, 60, 40), (40, 90, 160)), _disc(512, (230, 190, 60), (60, 80, 40))
    soft = Image.fromarray(gaussian_filter(np.asarray(_reduced(truth), float), (0.4, 0.4, 0)).astype(np.uint8))
    restored = finish(photo, _reduced(photo), soft)
    plain = finish(photo, _reduced(photo), soft, detail=False)
    return tuple(np.asarray(image, dtype=float) for image in (truth, restored, plain))  # type: ignore[return-value]


def test_edges_stand_where_the_photograph_has_them(disc: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth, restored, plain = disc
    assert np.abs(restored - truth).mean() < 0.35 * np.abs(plain - truth).mean()
    steep = lambda image: np.abs(np.diff(image, axis=1)).max()  # noqa: E731
    assert steep(restored) > 0.7 * steep(truth) > 2 * steep(plain)


def test_no_halo_stands_beside_an_edge(disc: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Beyond the two colours there are hardly any: an overshoot of a tenth of the step is none to the eye."""
    truth, restored, _ = disc
    low, high = truth.min(axis=(0, 1)), truth.max(axis=(0, 1))
    beyond = np.maximum(low - restored, restored - high).clip(0)
    assert (beyond > 0.15 * (high - low)).mean() < 0.001


def test_strokes_that_the_photograph_does_not_have_stay() -> None:
    rng = np.random.default_rng(0)
    strokes = gaussian_filter(rng.normal(0, 1, (64, 64)), (0.8, 2))
    painting = Image.fromarray(np.clip(120 + 60 * strokes / strokes.std(), 0, 255).astype(np.uint8)).convert("RGB")
    photo = Image.new("RGB", (512, 512), (90, 120, 150))
    made = finish(photo, _reduced(photo), painting)
    kept = np.asarray(_reduced(made).convert("L"), float)
    wanted = np.asarray(painting.convert("L"), float)
    assert np.corrcoef(kept.ravel(), wanted.ravel())[0, 1] > 0.95
    assert kept.std() > 0.8 * wanted.std()


def test_fine_detail_of_the_photograph_shows_where_the_painting_follows_its_light() -> None:
    photo = np.full((256, 256, 3), 60, np.uint8)
    photo[:, 128:] = 200
    photo[100:104, 20:240] = 130  # thinner than a working pixel
    full = Image.fromarray(photo)
    made = np.asarray(finish(full, _reduced(full), _reduced(full)), float)[..., 0]
    assert made[102, 40:110].mean() - made[80, 40:110].mean() > 20


def test_strips_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.painting import finish as module

    photo = picture(300, 220)
    painting = _reduced(picture(300, 220, seed=1)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    once = finish(photo, _reduced(photo), painting)
    monkeypatch.setattr(module, "_STRIP", 300 * 7)
    assert np.array_equal(finish(photo, _reduced(photo), painting), once)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40)
def test_any_size_and_shape_is_finished_in_its_size(width: int, height: int, low: int, high: int) -> None:
    photo, small = picture(width, height), picture(low, high)
    assert finish(photo, small, small).size == (width, height)


def test_strength_is_monotone_and_0_is_the_photograph() -> None:
    photo, small = picture(96, 64), picture(24, 16)
    painting = small.transpose(Image.Transpose.ROTATE_180)
    made = [np.asarray(finish(photo, small, painting, strength=s), float) for s in (0, 0.25, 0.5, 0.75, 1)]
    assert np.array_equal(made[0], photo)
    for nearer, farther in itertools.pairwise(made):
        assert (np.abs(nearer - made[0]) <= np.abs(farther - made[0]) + 1).all()
        assert np.abs(nearer - made[0]).mean() < np.abs(farther - made[0]).mean()


def test_preserved_colours_are_the_photographs_at_full_size() -> None:
    photo = _disc(256, (150, 90, 70), (90, 110, 150))
    small = _reduced(photo)
    painting = Image.new("RGB", small.size, (128, 128, 128))
    made = finish(photo, small, painting, preserve_color=True)
    kept, wanted = (np.asarray(image.convert("YCbCr"), int)[..., 1:] for image in (made, photo))
    assert np.abs(kept - wanted).max() <= 3
