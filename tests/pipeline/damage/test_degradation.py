"""Blur, reduction and JPEG against Pillow, scipy and closed forms."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import fft, ndimage

from pipeline.damage import degradation
from pipeline.images import to_image, to_tensor


def picture(height: int = 48, width: int = 64, seed: int = 0) -> Image.Image:
    """Return something like a painting: smooth forms and some noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height), 3)
    noisy = np.asarray(coarse) + rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(float)


def test_blur_is_the_gaussian_of_each_pictures_own_deviation() -> None:
    pictures = torch.stack([to_tensor(picture(seed=seed)) for seed in range(3)])
    found = degradation.blur(pictures, torch.tensor([0.6, 1.5, 0.0]), 1.5)
    for one, given, deviation in zip(found, pictures, (0.6, 1.5), strict=False):
        expected = ndimage.gaussian_filter(given.numpy(), (0, deviation, deviation), mode="nearest", radius=5)
        np.testing.assert_allclose(one.numpy(), expected, atol=1e-4)
    assert torch.equal(found[2], pictures[2])


@pytest.mark.parametrize("scale", [2, 4])
def test_reduction_is_pillows_bicubic(scale: int) -> None:
    given = picture()
    expected = given.resize((64 // scale, 48 // scale), Image.Resampling.BICUBIC)
    found = to_image(degradation.reduce(to_tensor(given)[None], scale)[0])
    assert np.abs(levels(found) - levels(expected)).max() <= 1


def test_the_cosine_transform_is_scipys() -> None:
    cosines = degradation._cosines().double().numpy()
    block = np.random.default_rng(0).normal(size=(8, 8))
    np.testing.assert_allclose(cosines @ block @ cosines.T, fft.dctn(block, norm="ortho"), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(cosines @ cosines.T, np.eye(8), atol=1e-6)


@pytest.mark.parametrize("quality", [20, 50, 75, 95])
def test_jpeg_loses_what_libjpeg_loses(quality: int) -> None:
    given = picture()
    stream = io.BytesIO()
    given.save(stream, "JPEG", quality=quality, subsampling=2)
    theirs = levels(Image.open(stream).convert("RGB"))
    ours = levels(to_image(degradation.jpeg(to_tensor(given)[None], torch.tensor([float(quality)]))[0]))
    lost = np.square(theirs - levels(given)).mean()
    # Both round, and each in places of its own: apart from that the two lie far closer than the loss.
    assert np.square(ours - theirs).mean() < 0.25 * lost
    assert 0.8 < np.square(ours - levels(given)).mean() / lost < 1.3


def test_jpeg_of_a_flat_grey_and_of_quality_100_changes_nothing() -> None:
    flat = torch.full((1, 3, 20, 20), 8 / 127.5 - 1)
    assert (degradation.jpeg(flat, torch.tensor([30.0])) - flat).abs().max() < 12 / 127.5
    given = to_tensor(picture())[None].repeat(2, 1, 1, 1)
    found = degradation.jpeg(given, torch.tensor([100.0, 40.0]))
    assert torch.equal(found[0], given[0])
    assert not torch.equal(found[1], given[1])
