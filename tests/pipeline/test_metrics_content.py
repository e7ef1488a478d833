import numpy as np
import pytest

from pipeline.colour import pixels_to_lab
from pipeline.metrics.bootstrap import draw
from pipeline.metrics.content import Content, edges, structure
from pipeline.params import load_params
from tests.pipeline.scenes import SETTINGS, Pixels, blurred, noisy, paint, painting, photographs, references, shuffled
from tests.pipeline.training import ROOT

PHOTOS = photographs()
FLOOR = load_params(ROOT / "params.yaml").gate.min_structure


def _kept(outputs: list[Pixels]) -> float:
    found = Content(references(), SETTINGS).measure(outputs, draw(10, 8, 20))
    return float(found["content/structure"][0])


def test_a_photograph_keeps_all_of_itself() -> None:
    found = Content(references(), SETTINGS).measure(PHOTOS, draw(10, 8, 20))
    assert found["content/structure"] == pytest.approx(np.ones(21), abs=1e-5)
    assert found["content/edges"] == pytest.approx(np.ones(21), abs=1e-5)


def test_paint_and_recolouring_stay_above_the_gates_floor() -> None:
    warm = [(photo * np.array([1.0, 0.72, 0.3])).astype(np.uint8) for photo in PHOTOS]
    assert _kept(warm) > 0.85
    assert _kept([paint(photo, i) for i, photo in enumerate(PHOTOS)]) > FLOOR + 0.05
    assert _kept([noisy(photo, 25) for photo in PHOTOS]) > FLOOR + 0.1


@pytest.mark.parametrize(
    "ruin",
    [
        lambda photo, i: blurred(photo, 64 / 12),
        lambda photo, i: shuffled(photo, 8, i),
        lambda photo, i: shuffled(painting(i), 16, i),
        lambda photo, i: photograph_of_another(i),
        lambda photo, i: 255 - photo,
        lambda photo, i: np.full_like(photo, 128),
        lambda photo, i: (photo * 0.1 + 110).astype(np.uint8),
    ],
    ids=["blur", "shuffled tiles", "rubble of paint", "another photograph", "inverted", "blank", "faded"],
)
def test_what_loses_the_subject_falls_below_the_gates_floor(ruin) -> None:  # type: ignore[no-untyped-def]
    assert _kept([ruin(photo, i) for i, photo in enumerate(PHOTOS)]) < FLOOR - 0.05


def photograph_of_another(index: int) -> Pixels:
    return PHOTOS[index - 1]


def test_more_blur_keeps_less() -> None:
    kept = [_kept([blurred(photo, radius) for photo in PHOTOS]) for radius in (0.5, 1.5, 3, 6)]
    assert kept == sorted(kept, reverse=True)


def _luminance(picture: Pixels) -> np.ndarray:
    return pixels_to_lab(picture)[..., 0]


def test_added_contrast_costs_little_and_lost_contrast_much() -> None:
    light = _luminance(PHOTOS[0])
    strong, weak = (light - 50) * 1.8 + 50, (light - 50) / 1.8 + 50
    assert structure(light, strong) > 0.95
    assert structure(light, weak) < structure(light, strong) - 0.05


def test_strokes_in_an_empty_sky_cost_less_than_over_the_subject() -> None:
    light = _luminance(PHOTOS[0]).copy()
    light[:32] = 70  # an empty sky above the scene
    strokes = 12 * np.sign(np.sin(np.arange(64) * 1.3)).astype(np.float32)
    sky, ground = light.copy(), light.copy()
    sky[:32] += strokes
    ground[32:] += strokes
    assert structure(light, sky) > structure(light, ground)


def test_edges_follow_the_sign_and_ignore_the_level() -> None:
    light = _luminance(PHOTOS[1])
    assert edges(light, light + 20) == pytest.approx(1, abs=1e-5)
    assert edges(light, light * 0.5) == pytest.approx(1, abs=1e-5)
    assert edges(light, 100 - light) == pytest.approx(-1, abs=1e-5)


def test_blank_sheets_agree_and_a_blank_sheet_has_no_edges_of_a_picture() -> None:
    blank = np.full((64, 64), 40, np.float32)
    assert edges(blank, blank) == 1
    assert edges(blank, _luminance(PHOTOS[0])) == 0
