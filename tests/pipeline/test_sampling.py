"""Figures of images out of noise: controls are what they are called, cheats are refused, a painter is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from PIL import Image

from pipeline import gate
from pipeline.metrics.bootstrap import draw
from pipeline.metrics.diversity import pairwise
from pipeline.metrics.drawn import mean_image, shuffled, spectral_noise
from pipeline.metrics.references import Pixels
from pipeline.metrics.spread import mean_distance
from pipeline.params import Evaluate, load_params
from pipeline.sampling import Paintings, compare_samplers, reduced, score_samples
from pipeline.scoring import View
from tests.pipeline.training import ROOT

SIDE = 32
SETTINGS = Evaluate(
    max_images=64, patches=48, directions=16, levels=2, bootstrap=60, features="auto", samples=24, coded=32, gallery=3
)
GATE = load_params(ROOT / "params.yaml").gate


def painted(seed: int, side: int = SIDE) -> Pixels:
    """A picture of one imaginary hand: warm bands on blue, strokes along them, everywhere something else."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    angle, phase, pace = rng.uniform(-0.6, 0.6), rng.uniform(0, 6), rng.uniform(3, 6)
    along = x * np.sin(angle) + y * np.cos(angle)
    band = np.tanh(3 * np.sin(pace * along + phase))[..., None]
    strokes = 12 * np.sign(np.sin(40 * along + 5 * x + phase))[..., None]
    centre = rng.uniform(0.2, 0.8, 2)
    sun = np.exp(-60 * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2))[..., None]
    warm, blue = np.array([200, 160, 60]), np.array([40, 70, 150])
    picture = 0.5 * (warm + blue) + 0.5 * band * (warm - blue) + strokes + sun * np.array([80, 70, 20])
    return np.asarray(picture.clip(0, 255), dtype=np.uint8)


class Maker:
    """Seeds in, given images out."""

    def __init__(self, images: Sequence[Pixels]) -> None:
        self.images, self.side = images, images[0].shape[0]

    def __call__(self, seeds: Sequence[int]) -> Iterable[Image.Image]:
        return (Image.fromarray(np.ascontiguousarray(self.images[seed])) for seed in seeds)


TRAINING = [painted(seed) for seed in range(100, 140)]
HELD_OUT = tuple(View(f"{seed:03d}", painted(seed)) for seed in range(200, 216))


def paintings() -> Paintings:
    return Paintings(HELD_OUT, lambda: iter(TRAINING), len(TRAINING))


def failed(images: Sequence[Pixels]) -> set[str]:
    """Return the rules that refuse a maker; that no network looked is not its fault."""
    scores = score_samples(Maker(images), paintings(), SETTINGS)
    verdict = gate.judge(scores.to_dict(), None, GATE)
    sane = next(rule for rule in verdict.rules if rule.name == "sane")
    assert sane.passed or "style/kid is missing" in sane.sentence
    return {rule.name for rule in verdict.rules if not rule.passed} - {"sane"}


def test_a_painter_of_the_hand_passes() -> None:
    assert failed([painted(seed) for seed in range(300, 324)]) == set()


CHEATS = {
    "one picture for all": ([painted(300)] * 24, {"diverse"}),
    "the mean": (list(mean_image(TRAINING, 24)), {"mean_image", "diverse"}),
    "noise": (list(spectral_noise(TRAINING, 24)), {"spectral_noise"}),
    "the training set": (TRAINING[:24], {"copies"}),
    "the training set, mirrored": ([image[:, ::-1] for image in TRAINING[:24]], {"copies"}),
}


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_a_cheat_fails_by_the_rule_against_it(name: str) -> None:
    images, rules = CHEATS[name]
    assert rules <= failed(images)


def noise_rule(**found: tuple[float, float]) -> gate.Rule:
    """Return the rule about noise for intervals of `noise - model`."""
    names = {"patch": "style/patch_swd", "texture": "style/texture_swd", "kernel": "style/kid"}
    differences = {
        names[name]: {"value": (low + high) / 2, "low": low, "high": high} for name, (low, high) in found.items()
    }
    sheet = {"task": "generate", "differences": {"spectral_noise - model": differences}}
    rules = gate.judge(sheet, None, GATE).rules
    return next(rule for rule in rules if rule.name == "spectral_noise")


def test_more_than_noise_is_closer_in_something_and_farther_in_nothing() -> None:
    unclear, closer, farther = (-0.1, 0.1), (0.1, 0.2), (-0.2, -0.1)
    assert noise_rule(patch=closer).passed
    assert noise_rule(patch=unclear, texture=unclear, kernel=closer).passed
    assert noise_rule(patch=unclear, texture=closer).passed
    assert not noise_rule(patch=unclear, texture=unclear, kernel=unclear).passed
    assert not noise_rule(patch=closer, texture=closer, kernel=farther).passed
    assert not noise_rule(patch=farther, texture=closer).passed
    assert not noise_rule(texture=closer, kernel=closer).passed  # without the figure that must always be there
    said = noise_rule(patch=farther, kernel=closer).sentence
    assert "farther from the paintings than that of noise" in said
    assert "brushwork and colour (-0.15 [-0.2, -0.1])" in said


def test_a_model_is_as_good_as_itself_and_worse_than_a_better_one() -> None:
    hand, grey = (Maker([make(seed) for seed in range(300, 324)]) for make in (painted, _washed_out))
    _, same = compare_samplers(hand, hand, paintings(), SETTINGS)
    assert same["style/patch_swd"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    theirs, found = compare_samplers(grey, hand, paintings(), SETTINGS)
    assert theirs["style/patch_swd"]["value"] is not None
    assert (found["style/patch_swd"]["high"] or 0) < 0  # the other one, the champion, is nearer
    scores = score_samples(grey, paintings(), SETTINGS).to_dict()
    comparison = {"differences": {"champion - model": found}, "observers": scores["observers"]}
    rules = {rule.name: rule for rule in gate.judge(scores, comparison, GATE).rules}
    assert not rules["champion"].passed
    assert "worse than the champion" in rules["champion"].sentence


def _washed_out(seed: int) -> Pixels:
    return np.asarray(painted(seed) // 3 + 85, dtype=np.uint8)


def test_images_of_another_size_are_refused_in_a_sentence() -> None:
    small = Maker([painted(seed, 16) for seed in range(24)])
    with pytest.raises(ValueError, match="images of 32 px, the other of 16"):
        compare_samplers(small, Maker([painted(seed) for seed in range(24)]), paintings(), SETTINGS)
    with pytest.raises(ValueError, match=r"64 px, prepared views and crops only 32; raise prepare\.view"):
        reduced(painted(0), 64)


def test_spectral_noise_keeps_spectrum_and_mean_and_nothing_else() -> None:
    grey = (painted(1).astype(float) - 127.5) * 0.25 + 127.5  # so that nothing is clipped
    image = np.asarray(grey, dtype=np.uint8)
    (noise,) = spectral_noise([image], 1)
    before, after = (np.abs(np.fft.fft2(one.astype(float), axes=(0, 1))) for one in (image, noise))
    assert np.corrcoef(before[1:].ravel(), after[1:].ravel())[0, 1] > 0.99  # rounded to 8 bits
    assert np.allclose(image.mean((0, 1)), noise.mean((0, 1)), atol=0.5)
    assert abs(np.corrcoef(image.ravel(), noise.ravel())[0, 1]) < 0.9
    assert not np.array_equal(image, noise)


def test_shuffled_images_are_made_of_blocks_of_paintings() -> None:
    (made,) = shuffled(TRAINING[:3], 1)
    block = SIDE // 8
    windows = {
        one[y : y + block, x : x + block].tobytes()
        for one in TRAINING[:3]
        for y in range(SIDE - block + 1)
        for x in range(SIDE - block + 1)
    }
    blocks = [made[y : y + block, x : x + block] for y in range(0, SIDE, block) for x in range(0, SIDE, block)]
    assert all(one.tobytes() in windows for one in blocks)


def test_the_spread_is_the_mean_over_pairs_of_different_images() -> None:
    rows = np.array([[0.0, 0], [3, 4], [0, 8]], np.float32)
    weights = np.array([[1 / 3] * 3, [2 / 3, 1 / 3, 0], [1, 0, 0]], np.float32)
    found = mean_distance(pairwise(rows), weights)
    assert found == pytest.approx([(5 + 8 + 5) / 3, 5, 0], abs=1e-6)
    assert len(draw(3, 2, 4).photographs) == 5
