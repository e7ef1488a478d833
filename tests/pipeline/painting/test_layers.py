"""Finer brushwork over coarse: where it goes on, what it adds, and what it must leave alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.inference import Stylizer
from pipeline.painting.finish import finish
from pipeline.painting.layers import laid_over, layer_sizes
from tests.pipeline.painting.networks import CPU, picture

SIDE = st.integers(1, 12_000)


@given(st.tuples(SIDE, SIDE), st.floats(1, 60))
def test_layers_get_finer_and_stay_smaller_than_the_picture(full: tuple[int, int], factor: float) -> None:
    small = (max(1, round(full[0] / factor)), max(1, round(full[1] / factor)))
    below = small
    for size in layer_sizes(small, full):
        assert below[0] < size[0] <= full[0] / 1.4
        assert below[1] < size[1] <= full[1] / 1.4
        below = size


def test_only_pictures_with_room_for_it_get_finer_strokes() -> None:
    assert layer_sizes((224, 224), (512, 512)) == []
    assert layer_sizes((224, 224), (700, 700)) == [(448, 448)]
    assert layer_sizes((336, 224), (12_000, 8000)) == [(672, 448), (1344, 896)]


def _levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=float)


def test_a_layer_adds_fine_light_and_leaves_colours_and_what_is_coarse_alone() -> None:
    photo = picture(128, 96).resize((256, 192), Image.Resampling.BICUBIC)
    small = photo.resize((64, 48), Image.Resampling.LANCZOS)
    rng = np.random.default_rng(1)
    strokes = gaussian_filter(rng.normal(0, 1, (192, 256)), 1)
    finer = Image.fromarray(np.clip(60 + 40 * strokes / strokes.std(), 0, 255).astype(np.uint8)).convert("RGB")
    base = finish(photo, small, Image.new("RGB", small.size, (140, 120, 100)))
    made = laid_over(small, Image.new("RGB", small.size, (140, 120, 100)), photo, finer)
    added = _levels(made) - _levels(base)
    assert np.abs(added - added.mean(axis=2, keepdims=True)).max() <= 1  # light alone
    coarse = np.abs(gaussian_filter(added, (8, 8, 0)))
    assert coarse.max() < 0.1 * added.std()
    assert np.corrcoef(added[..., 0].ravel(), strokes.ravel())[0, 1] > 0.7


class _Grain(torch.nn.Module):
    """Paints the same checks, a pixel each, whatever the size: strokes that a size alone makes finer."""

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        rows, columns = torch.arange(photos.shape[2]), torch.arange(photos.shape[3])
        checks = ((rows[:, None] // 2 + columns[None] // 2) % 2).float() - 0.5
        return 0.3 * photos + 0.5 * checks


def test_a_large_picture_has_strokes_of_several_widths() -> None:
    stylizer = Stylizer(_Grain(), {"view": 40, "multiple": 4}, "", CPU)
    photo = Image.new("RGB", (800, 800), (120, 120, 120))
    spectrum = np.abs(np.fft.rfft(_levels(stylizer(photo))[..., 0] - 120, axis=1)).mean(axis=0)
    widths = [round(800 / (4 * 800 / (56 * ratio))) for ratio in (1, 2, 4)]  # periods of four working pixels
    background = np.median(spectrum)
    assert all(spectrum[width - 2 : width + 3].max() > 5 * background for width in widths)


@pytest.mark.slow
def test_strokes_of_100_megapixels_are_seen_when_the_whole_picture_is_looked_at() -> None:
    """Painted at the picture's own size they would have a period of 4 px, and be gone on a screen."""
    stylizer = Stylizer(_Grain(), {"view": 160, "multiple": 4}, "", CPU)
    photo = Image.new("RGB", (12_000, 8_334), (120, 120, 120))
    seen = _levels(stylizer(photo).reduce(10).convert("L"))
    assert seen.shape == (834, 1200)
    spectrum = np.abs(np.fft.rfft(seen - seen.mean(), axis=1)).mean(axis=0)
    period = round(1200 / (4 * 12_000 / (1.4 * 160 * 12_000 / 8_334) / 10))  # in waves across the picture
    assert spectrum[period - 2 : period + 3].max() > 5 * np.median(spectrum)
    assert seen.std() > 5
