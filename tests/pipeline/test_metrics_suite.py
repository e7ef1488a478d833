"""Diversity, distortion, memorisation, and all families together."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import losses
from pipeline.closure import import_closure, module_file
from pipeline.methods import statistics
from pipeline.metrics import REGISTRY, memorisation, metric, style
from pipeline.metrics.bootstrap import draw, figure
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


def test_the_nearest_training_image_is_named_however_it_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    training = paintings(6, 100)
    outputs = [training[i % 6][:, ::-1] if i % 2 else training[i % 6] for i in range(9)] + [painting(300)]
    found = []
    for rows in (4096, 5):
        monkeypatch.setattr(memorisation, "_ROWS", rows)
        family = Memorisation(References(tuple(PHOTOS), tuple(paintings()), iter(training)), SETTINGS)
        found.append(family.nearest(outputs))
        whole = family.measure(outputs, RESAMPLES)["memorisation/nearest_train"][0]
        assert np.mean([near.ratio for near in found[-1]]) == pytest.approx(whole)
    assert [(near.training, near.mirrored) for near in found[0][:9]] == [(i % 6, bool(i % 2)) for i in range(9)]
    assert max(near.ratio for near in found[0][:9]) < 0.01 < found[0][9].ratio
    for one, other in zip(*found, strict=True):
        assert (one.training, one.mirrored) == (other.training, other.mirrored)
        assert one.ratio == pytest.approx(other.ratio, abs=1e-5)


@pytest.mark.parametrize("training", [None, []])
def test_without_training_images_memorisation_is_not_measured(training: list[np.ndarray] | None) -> None:
    family = Memorisation(References(tuple(PHOTOS), tuple(paintings()), training), SETTINGS)
    assert family.measure(PHOTOS, RESAMPLES) == {}
    assert family.nearest(PHOTOS) == []


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite(references(), SETTINGS)


def test_every_declared_metric_is_measured_and_no_other(suite: Suite) -> None:
    found = set(suite.measure(PHOTOS) | suite.moving(lambda photo: photo))
    always = {name for name, declared in REGISTRY.items() if not declared.optional and "stylize" in declared.tasks}
    assert always <= found <= set(REGISTRY)


def test_every_figure_is_possible_and_has_an_interval_around_it(suite: Suite) -> None:
    outputs = [paint(photo, i) for i, photo in enumerate(PHOTOS)]
    samples = suite.measure(outputs) | suite.moving(lambda photo: paint(photo, 7))
    for name, found in figures(samples).items():
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


def test_the_joint_score_is_its_product_row_by_row(suite: Suite) -> None:
    samples = suite.measure([paint(photo, i) for i, photo in enumerate(PHOTOS)])
    expected = (2 - samples["content/structure"]) * (1 + samples["style/patch_swd"])
    assert samples["joint/score"] == pytest.approx(expected)
    assert suite.measure(PHOTOS)["joint/score"][0] == pytest.approx(1 + suite.measure(PHOTOS)["style/patch_swd"][0])


def test_the_joint_score_wants_style_and_content_both(suite: Suite) -> None:
    sets = {
        "painted": [paint(photo, i) for i, photo in enumerate(PHOTOS)],
        "photographs": PHOTOS,
        "other paintings": paintings(10, 50),
    }
    scores = {name: suite.measure(outputs)["joint/score"] for name, outputs in sets.items()}
    for name in ("photographs", "other paintings"):
        low = figure(scores[name] - scores["painted"])["low"]
        assert low is not None
        assert low > 0, name


WATCHING = sorted(path for folder in ("metrics", "observers") for path in (ROOT / "pipeline" / folder).rglob("*.py"))


def _closure(path: Path) -> frozenset[str]:
    return import_closure(".".join(path.relative_to(ROOT).with_suffix("").parts), ROOT)


_TRAINERS = [ROOT / "pipeline/train.py", ROOT / "pipeline/losses.py", *(ROOT / "pipeline/methods").glob("*.py")]
TRAINING = sorted(frozenset[str]().union(*map(_closure, _TRAINERS)))


def _seeds(path: Path) -> set[int]:
    """Return the whole numbers that a module calls a seed."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and "SEED" in target.id for target in targets):
                found |= _numbers(node.value)
    return found


def _numbers(tree: ast.AST) -> set[int]:
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, int) and not isinstance(value, bool)}


def test_what_measures_never_trains() -> None:
    assert {"pipeline.train", "pipeline.losses", "pipeline.methods.cut"} <= set(TRAINING)
    for name in TRAINING:
        assert not name.startswith(("pipeline.metrics", "pipeline.observers")), name
    for path in WATCHING:
        trains = {"pipeline.losses", "pipeline.train", "pipeline.trainer", "pipeline.methods"}
        assert not _closure(path) & trains, path


def test_no_seed_of_what_measures_occurs_in_what_trains() -> None:
    seeds = {path: _seeds(path) for path in WATCHING}
    assert sum(len(found) for found in seeds.values()) >= 3
    used: set[int] = set()
    for name in TRAINING:
        path = module_file(name, ROOT)
        assert path is not None
        used |= _numbers(ast.parse(path.read_text()))
    for path, found in seeds.items():
        assert not found & used, f"{path} shares the seeds {found & used} with what trains"


def test_no_loss_draws_the_filters_that_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[torch.Tensor]] = {"g_texture": [], "g_palette": []}
    for name, kept in drawn.items():
        monkeypatch.setattr(losses, name, lambda output, painting, directions, kept=kept: kept.append(directions))
    draw_ = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 3, 64, 64)
    for _ in range(2):
        terms = statistics.statistics(statistics.Judged(*images), draw_)
        terms["texture"]()
        terms["palette"]()
    for one, other in drawn.values():
        assert not torch.equal(one, other)  # drawn anew at each step
    for filters in drawn["g_texture"]:
        assert filters.shape[-1] != style._PATCH
    with monkeypatch.context() as patch:  # the colour directions of the metric, as it projects pure colours on them
        patch.setattr(style, "pixels_to_lab", lambda image: image.astype(np.float32))
        patch.setattr(style, "_PALETTE_CELLS", 3)
        seen = style.project_colours(np.eye(3)[:, None].repeat(3, axis=1))
    measuring = seen.reshape(len(seen), 3, 3)[:, :, 0]
    assert np.linalg.norm(measuring, axis=1) == pytest.approx(np.ones(len(measuring)), rel=1e-5)
    for filters in drawn["g_palette"]:
        cosines = measuring @ filters.reshape(len(filters), 3).numpy().T
        assert np.abs(cosines).max() < 1 - 1e-5
