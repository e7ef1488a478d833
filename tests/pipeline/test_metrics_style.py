import dataclasses

import numpy as np
import pytest

from pipeline.colour import pixels_to_lab
from pipeline.metrics.bootstrap import draw
from pipeline.metrics.pyramid import contrast_normalised, gaussian, smooth
from pipeline.metrics.references import References
from pipeline.metrics.style import Style, project_patches
from tests.pipeline.scenes import (
    SETTINGS,
    Pixels,
    blurred,
    noisy,
    paint,
    painting,
    paintings,
    photograph,
    photographs,
    references,
    shuffled,
)


@pytest.fixture(scope="module")
def style() -> Style:
    return Style(references(), SETTINGS)


def _score(style: Style, outputs: list[Pixels], name: str) -> float:
    return float(style.measure(outputs, draw(10, 8, 20))[f"style/{name}"][0])


def test_paintings_photographs_and_their_ruins_come_in_order(style: Style) -> None:
    photos = photographs()
    painted = [paint(photo, 50 + i) for i, photo in enumerate(photos)]
    for name in ("patch_swd", "texture_swd", "palette"):
        art = _score(style, paintings(10, 200), name)
        ours = _score(style, painted, name)
        untouched = _score(style, photos, name)
        assert art < untouched / 2, name
        assert ours < untouched / 2, name
    assert _score(style, [blurred(p, 3) for p in photos], "texture_swd") > _score(style, photos, "texture_swd")
    assert _score(style, [noisy(p, 60) for p in photos], "patch_swd") > _score(style, painted, "patch_swd") * 2


def test_recolouring_changes_palette_and_not_texture(style: Style) -> None:
    photos = photographs()
    warm = [(photo * np.array([1.0, 0.72, 0.3])).astype(np.uint8) for photo in photos]
    assert _score(style, warm, "palette") < _score(style, photos, "palette") / 2
    assert _score(style, warm, "texture_swd") > _score(style, photos, "texture_swd") * 0.7


def test_the_palette_distance_of_a_shift_is_about_the_shift() -> None:
    """Grey levels far from the ends, where a step in levels is a step in L."""
    rng = np.random.default_rng(0)
    grey = [np.full((64, 64, 3), level, np.uint8) for level in rng.integers(90, 110, 12)]
    lighter = [image + np.uint8(30) for image in grey]
    shift = float(
        np.mean([pixels_to_lab(b)[0, 0, 0] - pixels_to_lab(a)[0, 0, 0] for a, b in zip(grey, lighter, strict=True)])
    )
    style = Style(References(tuple(lighter), tuple(grey)), SETTINGS)
    found = float(style.measure(lighter, draw(12, 12, 20))["style/palette"][0])
    assert found == pytest.approx(shift, rel=0.25)


def test_palette_ignores_where_colours_are(style: Style) -> None:
    photos = photographs()
    moved = [np.asarray(photo[::-1, ::-1]) for photo in photos]
    assert _score(style, moved, "palette") == pytest.approx(_score(style, photos, "palette"), rel=1e-3)


def test_flat_paper_stays_calm_under_contrast_normalisation() -> None:
    rng = np.random.default_rng(0)
    paper = (80 + rng.normal(0, 0.4, (64, 64))).astype(np.float32)
    strokes = (50 + 25 * np.sign(np.sin(np.arange(64) * 0.9))[None].repeat(64, axis=0)).astype(np.float32)
    assert contrast_normalised(paper, 2.0, 3.0).std() < 0.2
    assert contrast_normalised(strokes, 2.0, 3.0).std() > 0.7


def test_grain_on_a_flat_style_is_told_from_none() -> None:
    """Ink on flat paper: an output with a photograph's grain is not as good as one without."""

    def ink(seed: int) -> Pixels:
        return np.where(photograph(seed)[..., :1] < 80, 20, 235).astype(np.uint8).repeat(3, axis=2)

    art = tuple(ink(i) for i in range(8))
    style = Style(References(tuple(photographs()), art), SETTINGS)
    clean = [ink(100 + i) for i in range(10)]
    grainy = [noisy(image, 9, i) for i, image in enumerate(clean)]
    for name in ("patch_swd", "texture_swd"):
        assert _score(style, grainy, name) > _score(style, clean, name) * 1.1


def test_noise_does_not_pass_for_brushwork(style: Style) -> None:
    photos = photographs()
    plain = _score(style, photos, "texture_swd")
    assert all(_score(style, [noisy(p, s) for p in photos], "texture_swd") > plain * 0.6 for s in (6, 12, 25))


def test_rubble_deceives_style_which_is_why_structure_has_a_rule_of_its_own(style: Style) -> None:
    rubble = [shuffled(art, 32, i) for i, art in enumerate(paintings(10, 300))]
    assert _score(style, rubble, "patch_swd") < _score(style, photographs(), "patch_swd")


def test_two_evaluations_give_the_same_digits(style: Style) -> None:
    outputs = photographs()
    again = Style(references(), SETTINGS)
    for name, values in style.measure(outputs, draw(10, 8, 20)).items():
        assert np.array_equal(values, again.measure(outputs, draw(10, 8, 20))[name])


def test_more_directions_estimate_the_same_distance() -> None:
    values = []
    for directions in (32, 128):
        style = Style(references(), dataclasses.replace(SETTINGS, directions=directions, patches=200))
        values.append(_score(style, photographs(), "patch_swd"))
    assert values[0] == pytest.approx(values[1], rel=0.2)


def test_each_output_has_a_distance_of_its_own(style: Style) -> None:
    photos = photographs()
    outputs = [*photos[:9], painting(400)]
    assert int(np.argmin(style.each(outputs)["style/patch_swd"])) == 9


def test_the_upper_control_lies_near_paintings_by_the_same_hand(style: Style) -> None:
    upper = style.upper(60)["style/patch_swd"].mean()
    assert upper == pytest.approx(_score(style, paintings(10, 200), "patch_swd"), rel=0.8)
    assert upper < _score(style, photographs(), "patch_swd") / 2


def test_grain_that_nobody_sees_changes_no_figure() -> None:
    """One level of dither on flat paper: without a noise floor it would count like brushwork."""
    rng = np.random.default_rng(5)
    art = [np.where(photograph(i)[..., :1] < 80, 20, 235).astype(np.uint8).repeat(3, axis=2) for i in range(18)]
    style = Style(References(tuple(photographs()), tuple(art[:8])), SETTINGS)
    dithered = [(image + rng.integers(0, 2, (64, 64, 1))).astype(np.uint8) for image in art[8:]]
    for name in ("patch_swd", "texture_swd"):
        assert _score(style, dithered, name) == pytest.approx(_score(style, art[8:], name), rel=0.15), name


def test_directions_tell_coherent_strokes_from_noise_of_the_same_strength() -> None:
    noise = np.random.default_rng(6).normal(size=(128, 128)).astype(np.float32)
    coherent = smooth(noise, gaussian(1.2))
    coherent /= coherent.std()
    spread = [project_patches([level], SETTINGS).std() for level in (noise, coherent)]
    assert spread[1] > 1.7 * spread[0]
