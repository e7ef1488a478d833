"""Declared transforms make crops that depend on seed, image and index alone; wrong ones are named."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from typing import Any

import numpy as np
import pytest

from pipeline.augment import Augmenter, Pixels, smallest_window
from pipeline.params import Transform, load_params
from tests.pipeline.pictures import ROOT, texture

SIDE = 32
SHA = "ab" * 32
CROP = Transform("RandomResizedCrop", {"scale": [0.35, 1.0], "ratio": [0.9, 1.1]})
FLIP = Transform("HorizontalFlip", {"p": 0.5})


def augmenter(*transforms: Transform) -> Augmenter:
    return Augmenter(transforms, SIDE, "prepare.augment.photos")


def pixels(seed: int = 1, width: int = 90, height: int = 70) -> Pixels:
    return np.asarray(texture(seed, width, height))


def test_crops_have_the_declared_size_and_differ() -> None:
    crops = augmenter(CROP, FLIP).crops(pixels(), seed=1, sha256=SHA, count=5)
    assert crops.shape == (5, SIDE, SIDE, 3)
    assert crops.dtype == np.uint8
    assert len({crop.tobytes() for crop in crops}) == 5


def test_a_crop_depends_on_seed_image_and_index_alone() -> None:
    used, fresh = augmenter(CROP, FLIP), augmenter(CROP, FLIP)
    used.crops(pixels(2), seed=9, sha256="cd" * 32, count=7)  # whatever was made before
    crops = used.crops(pixels(), seed=1, sha256=SHA, count=6)
    assert np.array_equal(crops[:3], fresh.crops(pixels(), seed=1, sha256=SHA, count=3))
    assert not np.array_equal(crops, used.crops(pixels(), seed=2, sha256=SHA, count=6))
    assert not np.array_equal(crops, used.crops(pixels(), seed=1, sha256="ef" * 32, count=6))


def test_every_transform_draws_for_itself() -> None:
    flips = augmenter(Transform("CenterCrop", {}), FLIP, Transform("VerticalFlip", {"p": 0.5}))
    image = pixels(4, SIDE, SIDE)
    versions = {image.tobytes(), image[:, ::-1].tobytes(), image[::-1].tobytes(), image[::-1, ::-1].tobytes()}
    made = [crop.tobytes() for crop in flips.crops(image, seed=1, sha256=SHA, count=64)]
    # with one seed for both, they would flip together or not at all
    assert set(made) == versions
    assert all(8 <= made.count(version) <= 25 for version in versions)


def test_a_reduced_crop_is_antialiased() -> None:
    board = (np.indices((320, 320)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    crops = augmenter(Transform("RandomResizedCrop", {"scale": [0.9, 1.0]})).crops(board, seed=1, sha256=SHA, count=3)
    assert np.abs(crops.astype(int) - 127).max() < 40  # nearest or bilinear sampling keeps black and white


def test_turning_leaves_no_black_corners() -> None:
    white = np.full((80, 80, 3), 255, np.uint8)
    turned = augmenter(Transform("CenterCrop", {}), Transform("Rotate", {"limit": [44, 45], "p": 1.0}))
    assert turned.crops(white, seed=1, sha256=SHA, count=2).min() == 255


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([CROP, Transform("HorizontalFlop", {})], r"photos\[1\]: unknown transform 'HorizontalFlop'.*HorizontalFlip"),
        ([Transform("Lambda", {})], "unknown transform 'Lambda'"),
        ([Transform("RandomResizedCrop", {"scal": [0.1, 1.0]})], "has no argument 'scal'; it takes .*scale"),
        ([Transform("RandomResizedCrop", {"size": [9, 9]})], "takes 'size' from prepare.crop; leave it out"),
        ([Transform("RandomResizedCrop", {"scale": [0.5, 7.0]})], "RandomResizedCrop refuses its arguments: scale"),
        ([Transform("RandomResizedCrop", {"scale": "big"})], "refuses its arguments: scale.*'big'"),
        ([CROP, Transform("HorizontalFlip", {"p": float("nan")})], "an argument of HorizontalFlip is no plain value"),
        ([CROP, Transform("HorizontalFlip", {"p": date(2026, 1, 1)})], "HorizontalFlip is no plain value.* date "),
        ([CROP, Transform("HorizontalFlip", {"p": 3})], "HorizontalFlip refuses its arguments: p"),
        ([FLIP], "exactly one of RandomResizedCrop, .*it holds none"),
        ([CROP, CROP], "exactly one of"),
        ([Transform("RandomCrop", {"p": 0.5})], "exactly one of"),
        ([], "exactly one of"),
    ],
)
def test_wrong_declaration_is_one_clear_sentence(transforms: list[Transform], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        augmenter(*transforms)
    assert "\n" not in str(caught.value)
    assert "prepare.augment.photos" in str(caught.value)


@pytest.mark.parametrize("domain", ["paintings", "photos"])
def test_params_yaml_declares_what_works(domain: str) -> None:
    augment = load_params(ROOT / "params.yaml").prepare.augment
    transforms = {"paintings": augment.paintings, "photos": augment.photos}[domain]
    assert Augmenter(transforms, SIDE, domain).crops(pixels(), seed=1, sha256=SHA, count=2).shape[0] == 2


ALLOWED: list[tuple[str, dict[str, Any]]] = [
    *(
        (name, {})
        for name in ("VerticalFlip", "Transpose", "RandomRotate90", "D4", "Rotate", "Affine", "Perspective")
    ),
    *(
        (name, {})
        for name in ("ColorJitter", "RandomBrightnessContrast", "HueSaturationValue", "RGBShift", "RandomGamma")
    ),
    *((name, {}) for name in ("CLAHE", "ToGray", "Sharpen", "GaussianBlur", "GaussNoise", "ISONoise")),
    *((name, {}) for name in ("ImageCompression", "Downscale")),
]


@pytest.mark.parametrize(("name", "args"), ALLOWED)
def test_allowed_transform_is_repeatable(name: str, args: dict[str, Any]) -> None:
    one, other = (augmenter(CROP, Transform(name, args | {"p": 1.0})) for _ in range(2))
    other.crops(pixels(2), seed=5, sha256=SHA, count=1)
    made = [which.crops(pixels(), seed=3, sha256=SHA, count=2) for which in (one, other)]
    assert np.array_equal(*made)


def test_smallest_window_is_what_a_crop_is_made_of() -> None:
    assert smallest_window([Transform("RandomResizedCrop", {"scale": [0.25, 1.0]})], 64, 200, 200) == 100
    assert smallest_window([Transform("RandomCrop", {})], 64, 200, 50) == 50


def test_library_calls_no_server_and_waits_for_its_use() -> None:
    code = (
        "import sys, os, pipeline.augment as a; late = 'albumentations' not in sys.modules; a._library();"
        "sys.exit(0 if late and os.environ['NO_ALBUMENTATIONS_UPDATE'] == '1' else 1)"
    )
    env = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=env, cwd=ROOT).returncode == 0
