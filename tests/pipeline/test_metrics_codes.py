"""What is said of codes: all of it where images show them, chance where they do not, whoever reads."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.gate_generation import generation_rules
from pipeline.metrics import codes
from pipeline.metrics.codes import Coded
from pipeline.metrics.references import Pixels
from pipeline.metrics.suite import figures
from pipeline.params import load_params
from pipeline.scoresheet import ScoreSheet
from tests.pipeline.training import ROOT

COUNT, KINDS = 240, 4


def coded(shown: float, own: float) -> Coded:
    """Images that show their category (a hue) and number (light) so strongly; a head that is right so often."""
    rng = np.random.default_rng(0)
    categories, numbers = rng.integers(KINDS, size=COUNT), rng.uniform(-1, 1, (COUNT, 1))
    hues = np.array([[60, 0, 0], [0, 60, 0], [0, 0, 60], [30, 30, -30]])
    images: list[Pixels] = []
    for category, (number,) in zip(categories, numbers, strict=True):
        clean = 110 + shown * (hues[category] + 40 * number)
        images.append((clean + rng.normal(0, 15, (16, 16, 3))).clip(0, 255).astype(np.uint8))
    right = rng.random(COUNT) < own
    read = np.where(right, categories, (categories + 1) % KINDS)
    told = np.where(right[:, None], numbers, rng.permutation(numbers))
    return Coded(images, (categories,), (KINDS,), numbers, (read,), told)


def test_codes_that_images_show_are_read_by_anybody() -> None:
    found = figures(codes.measure(coded(1.0, 1.0), 60))
    assert found["codes/own"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert (found["codes/independent"]["low"] or 0) > 0.95
    assert (found["codes/independent_continuous"]["low"] or 0) > 0.95
    assert found["codes/own_continuous"]["value"] == pytest.approx(1)


def test_codes_that_images_hide_are_read_by_chance_however_sure_the_head_is() -> None:
    found = figures(codes.measure(coded(0.0, 0.9), 60))
    guess = figures(codes.chance(coded(0.0, 0.9), 60))
    assert found["codes/own"]["value"] == pytest.approx(0.9, abs=0.06)
    for name in ("codes/independent", "codes/independent_continuous"):
        low, level, high = found[name]["low"], guess[name]["value"], found[name]["high"]
        assert low is not None
        assert level is not None
        assert high is not None
        assert low <= level + 0.03
        assert high >= level - 0.03
    assert guess["codes/independent"] == {"value": 0.25, "low": 0.25, "high": 0.25}


def test_what_teaches_is_never_what_is_tested() -> None:
    """Codes that only the images of even place show are no use on the others."""
    shown, hidden = coded(1.0, 1.0), coded(0.0, 1.0)
    images = [(shown if place % 2 == 0 else hidden).images[place] for place in range(COUNT)]
    mixed = Coded(images, shown.categories, shown.kinds, shown.numbers, shown.read_categories, shown.read_numbers)
    assert (figures(codes.measure(mixed, 60))["codes/independent"]["value"] or 0) < 0.45


def test_the_same_images_always_teach_the_same() -> None:
    one, other = (codes.measure(coded(0.3, 0.5), 60) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_model_with_one_kind_of_code_has_no_figures_of_the_other() -> None:
    given = coded(1.0, 1.0)
    only = Coded(given.images, (), (), given.numbers, (), given.read_numbers)
    assert set(codes.measure(only, 20)) == set(codes.chance(only, 20)) == {
        "codes/own_continuous",
        "codes/independent_continuous",
    }
    none = np.zeros((COUNT, 0))
    rest = Coded(given.images, given.categories, given.kinds, none, given.read_categories, none)
    assert set(codes.measure(rest, 20)) == set(codes.chance(rest, 20)) == {"codes/own", "codes/independent"}


@pytest.mark.parametrize(("low", "passed"), [(0.2, False), (0.3, True)])
def test_the_gate_asks_that_codes_are_read_better_than_by_chance(low: float, passed: bool) -> None:
    sheet = {
        "task": "generate",
        "codes": ["k1"],
        "metrics": {"codes/independent": {"value": 0.4, "low": low, "high": 0.5}},
        "controls": {"chance": {"codes/independent": {"value": 0.25, "low": 0.25, "high": 0.25}}},
    }
    gate = load_params(ROOT / "params.yaml").gate
    (rule,) = [rule for rule in generation_rules(ScoreSheet(sheet), None, gate, None) if rule.name == "codes"]
    assert rule.passed is passed
    assert "chance is 0.25" in rule.sentence


FIGURE = {"value": 0.4, "low": 0.3, "high": 0.5}
CHANCE = {"codes/independent": {"value": 0.1, "low": 0.1, "high": 0.1}}
SURE = {"codes/independent": FIGURE, "codes/independent_continuous": FIGURE}


@pytest.mark.parametrize(
    ("tree", "passed"),
    [
        ({"codes": [], "metrics": {}}, None),  # dcgan and stylegan2 have none
        ({"metrics": {}}, False),  # nobody says whether there are any
        ({"codes": ["k1", "c1"], "metrics": {}}, False),
        ({"codes": ["k1", "c1"], "metrics": SURE}, False),  # what guessing scores is missing
        ({"codes": ["k1", "c1"], "metrics": {"codes/independent": FIGURE}, "controls": {"chance": CHANCE}}, False),
        ({"codes": ["k1", "c1"], "metrics": SURE, "controls": {"chance": CHANCE}}, True),
        ({"codes": ["c1"], "metrics": {}}, False),
        ({"codes": [], "metrics": {"codes/independent": FIGURE}}, False),  # it contradicts itself
        ({"codes": ["x1"], "metrics": {}}, False),  # a kind from a later version
    ],
)
def test_the_gate_refuses_codes_that_nobody_read(tree: dict[str, object], passed: bool | None) -> None:
    gate = load_params(ROOT / "params.yaml").gate
    rules = generation_rules(ScoreSheet({"task": "generate"} | tree), None, gate, None)
    assert [rule.passed for rule in rules if rule.name == "codes"] == ([] if passed is None else [passed])


@pytest.mark.parametrize(("low", "passed"), [(-0.1, False), (0.3, True)])
def test_a_model_of_continuous_codes_alone_is_asked_for_those(low: float, passed: bool) -> None:
    name = "codes/independent_continuous"
    sheet = {
        "task": "generate",
        "codes": ["c1", "c2"],
        "metrics": {name: {"value": 0.4, "low": low, "high": 0.5}},
        "controls": {"chance": {name: {"value": 0.0, "low": 0.0, "high": 0.0}}},
    }
    gate = load_params(ROOT / "params.yaml").gate
    (rule,) = [rule for rule in generation_rules(ScoreSheet(sheet), None, gate, None) if rule.name == "codes"]
    assert rule.passed is passed
    assert "correlation 0.4" in rule.sentence
