import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import gate
from pipeline.gate import LEAST, Verdict, judge
from pipeline.metrics import REGISTRY
from pipeline.params import Gate

SETTINGS = Gate(mode="not_worse", min_gap_closed=0.2, min_structure=0.55, min_photographs=8, min_paintings=5)
Tree = dict[str, Any]


def _figure(value: float, half: float = 0.02) -> Tree:
    return {"value": value, "low": value - half, "high": value + half}


def good() -> Tree:
    """Return a metrics.json that passes everything."""
    values = {
        "style/patch_swd": 0.12,
        "style/texture_swd": 0.08,
        "style/palette": 6.0,
        "content/structure": 0.8,
        "content/edges": 0.85,
        "diversity/pairwise": 0.9,
        "diversity/modes": 0.9,
        "distortion/mse": 0.05,
        "distortion/psnr": 14.0,
        "memorisation/nearest_train": 1.1,
        "joint/score": 1.35,
        "temporal/flicker": 1.5,
    }
    style = {"style/patch_swd": 0.3, "style/texture_swd": 0.16, "style/palette": 20.0}
    controls = {
        name: {key: _figure(value * share) for key, value in style.items()}
        for name, share in {"photograph": 1.0, "lab_transfer": 0.8, "paintings": 0.3}.items()
    }
    return {
        "format": 1,
        "counts": {"photographs": 30, "paintings": 20},
        "metrics": {name: _figure(value) for name, value in values.items()},
        "controls": controls,
        "differences": {
            "photograph - model": {"style/patch_swd": _figure(0.18, 0.05)},
            "lab_transfer - model": {"style/texture_swd": _figure(0.05, 0.02)},
        },
        "checks": {"variety": 40.0, "contrast": 50.0, "change": 20.0},
    }


def rival(style: Tree | None = None, texture: Tree | None = None, structure: Tree | None = None) -> Tree:
    """Return a comparison: champion - model, by default no difference beyond noise."""
    differences = {
        "style/patch_swd": style or _figure(0.0),
        "style/texture_swd": texture or _figure(0.0),
        "content/structure": structure or _figure(0.0),
    }
    return {"champion": "c" * 64, "metrics": {}, "differences": {"champion - model": differences}}


def failed(verdict: Verdict) -> list[str]:
    assert verdict.accepted == all(rule.passed for rule in verdict.rules)
    return [rule.name for rule in verdict.rules if not rule.passed]


def test_a_good_first_model_is_accepted_and_told_why() -> None:
    verdict = judge(good(), None, SETTINGS)
    assert verdict.accepted
    assert verdict.sentence.startswith("Accepted: ")
    assert [rule.name for rule in verdict.rules] == ["style", "texture", "structure", "sane", "champion"]
    assert "no champion yet" in verdict.rules[-1].sentence
    assert all(rule.sentence.endswith(".") for rule in verdict.rules)


def test_a_verdict_is_plain_values() -> None:
    found = judge(good(), None, SETTINGS).to_dict()
    assert found["accepted"] is True
    assert set(found["rules"][0]) == {"name", "passed", "sentence", "value", "bound"}


@pytest.mark.parametrize(
    ("pair", "figure", "rule"),
    [("photograph - model", "style/patch_swd", "style"), ("lab_transfer - model", "style/texture_swd", "texture")],
)
def test_an_interval_that_reaches_zero_is_no_proof(pair: str, figure: str, rule: str) -> None:
    metrics = good()
    metrics["differences"][pair][figure] = {"value": 0.02, "low": -0.02, "high": 0.06}
    verdict = judge(metrics, None, SETTINGS)
    assert failed(verdict) == [rule]
    # The interval is to shrink to a half: four times the images.
    assert "about 121 held-out photographs and 81 paintings would settle" in verdict.sentence


@pytest.mark.parametrize("low", [0.0, -0.3])
def test_the_bound_itself_does_not_pass(low: float) -> None:
    metrics = good()
    metrics["differences"]["photograph - model"]["style/patch_swd"] = {"value": 0.1, "low": low, "high": 0.2}
    assert failed(judge(metrics, None, SETTINGS)) == ["style"]


def test_a_model_farther_than_the_photograph_is_told_so_and_not_to_find_more_images() -> None:
    metrics = good()
    metrics["differences"]["photograph - model"]["style/patch_swd"] = _figure(-0.2, 0.05)
    verdict = judge(metrics, None, SETTINGS)
    assert failed(verdict) == ["style"]
    assert "no closer" in verdict.sentence
    assert "would settle" not in verdict.sentence


@pytest.mark.parametrize(("value", "passes"), [(0.56, True), (0.55, True), (0.54, False), (-0.8, False)])
def test_structure_has_a_floor(value: float, passes: bool) -> None:
    metrics = good()
    metrics["metrics"]["content/structure"] = _figure(value)
    verdict = judge(metrics, None, SETTINGS)
    assert failed(verdict) == ([] if passes else ["structure"])
    assert f"{value:.2f}" in verdict.rules[2].sentence


@pytest.mark.parametrize("name", sorted(REGISTRY))
@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf"), "much", True])
def test_a_figure_that_is_no_number_is_refused_by_name(name: str, wrong: Any) -> None:
    metrics = good()
    metrics["metrics"][name]["value"] = wrong
    verdict = judge(metrics, None, SETTINGS)
    assert "sane" in failed(verdict)
    assert name in verdict.sentence


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_missing_figure_or_interval_is_refused_by_name(name: str) -> None:
    for damage in ("figure", "interval"):
        metrics = good()
        if damage == "figure":
            del metrics["metrics"][name]
        else:
            metrics["metrics"][name]["low"] = None
        assert name in next(rule.sentence for rule in judge(metrics, None, SETTINGS).rules if rule.name == "sane")


def test_a_constant_figure_is_refused() -> None:
    metrics = good()
    metrics["metrics"]["style/patch_swd"] = _figure(0.05, 0.0)
    assert failed(judge(metrics, None, SETTINGS)) == ["sane"]


@pytest.mark.parametrize(
    ("name", "value"), [("content/structure", 1.4), ("style/palette", -3.0), ("distortion/mse", 7)]
)
def test_an_impossible_figure_is_refused(name: str, value: float) -> None:
    metrics = good()
    metrics["metrics"][name] = _figure(value)
    verdict = judge(metrics, None, SETTINGS)
    assert failed(verdict) == ["sane"]
    assert "cannot be" in verdict.sentence


@pytest.mark.parametrize("control", ["photograph", "lab_transfer", "paintings"])
def test_a_control_without_figures_is_refused(control: str) -> None:
    metrics = good()
    metrics["controls"][control]["style/texture_swd"]["value"] = None
    verdict = judge(metrics, None, SETTINGS)
    assert failed(verdict) == ["sane"]
    assert control in verdict.sentence


@pytest.mark.parametrize("check", sorted(LEAST))
def test_outputs_that_are_no_pictures_are_refused(check: str) -> None:
    metrics = good()
    metrics["checks"][check] = 0.0
    verdict = judge(metrics, None, SETTINGS)
    assert failed(verdict) == ["sane"]
    assert LEAST[check][1] in verdict.sentence


def test_nearly_one_picture_for_all_is_refused() -> None:
    metrics = good()
    metrics["metrics"]["diversity/pairwise"] = _figure(0.05, 0.01)
    assert failed(judge(metrics, None, SETTINGS)) == ["sane"]


def test_too_few_images_say_how_many_would_do() -> None:
    metrics = good()
    metrics["counts"] = {"photographs": 6, "paintings": 20}
    verdict = judge(metrics, None, SETTINGS)
    assert failed(verdict) == ["sane"]
    assert "only 6 held-out photographs: 8 would do, 2 more" in verdict.sentence


@pytest.mark.parametrize("part", ["metrics", "controls", "differences", "checks", "counts"])
def test_nothing_that_is_missing_passes(part: str) -> None:
    metrics = good()
    del metrics[part]
    assert not judge(metrics, None, SETTINGS).accepted
    assert not judge({}, None, SETTINGS).accepted


def _mode(mode: Any) -> Gate:
    return dataclasses.replace(SETTINGS, mode=mode)


@pytest.mark.parametrize(
    ("comparison", "not_worse", "better"),
    [
        (rival(), True, False),
        (rival(style=_figure(0.1)), True, True),
        (rival(style=_figure(-0.1)), False, False),
        (rival(style=_figure(-0.01)), True, False),
        (rival(style=_figure(0.1), structure=_figure(0.2)), False, False),
        (rival(style=_figure(0.1), structure=_figure(-0.2)), True, True),
        (rival(style=_figure(0.1), texture=_figure(-0.1)), False, False),
    ],
    ids=["equal", "better", "worse", "worse within noise", "lost structure", "gained structure", "lost texture"],
)
def test_against_the_champion(comparison: Tree, not_worse: bool, better: bool) -> None:
    for mode, expected in (("not_worse", not_worse), ("better", better), ("manual", False)):
        verdict = judge(good(), comparison, _mode(mode))
        assert failed(verdict) == ([] if expected else ["champion"]), mode


def test_manual_never_accepts_by_itself_even_the_first() -> None:
    verdict = judge(good(), None, _mode("manual"))
    assert failed(verdict) == ["champion"]
    assert "atelier promote" in verdict.sentence


def test_a_comparison_that_lacks_a_figure_is_refused() -> None:
    comparison = rival()
    del comparison["differences"]["champion - model"]["content/structure"]
    verdict = judge(good(), comparison, SETTINGS)
    assert failed(verdict) == ["champion"]
    assert "content/structure" in verdict.sentence
    assert failed(judge(good(), {}, SETTINGS)) == ["champion"]


def test_the_anchor_may_not_be_lost_sight_of_but_need_not_be_beaten() -> None:
    assert failed(judge(good(), rival(style=_figure(0.1)), _mode("better"), anchor=rival())) == []
    assert failed(judge(good(), rival(), SETTINGS, anchor=rival(style=_figure(-0.1)))) == ["anchor"]


def test_judging_changes_nothing() -> None:
    metrics, comparison = good(), rival()
    before = copy.deepcopy((metrics, comparison))
    judge(metrics, comparison, SETTINGS)
    assert (metrics, comparison) == before


@given(st.floats(-1, 1), st.floats(0.001, 1))
def test_acceptance_follows_the_lower_bound_alone(value: float, half: float) -> None:
    metrics = good()
    metrics["differences"]["photograph - model"]["style/patch_swd"] = _figure(value, half)
    assert judge(metrics, None, SETTINGS).accepted == (value - half > 0)


def test_what_is_compared_is_declared() -> None:
    assert set(gate.COMPARED) <= set(REGISTRY)
