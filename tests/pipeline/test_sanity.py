"""What cannot be in a metrics.json, found by the name of the figure."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.metrics import REGISTRY, of_task
from pipeline.params import Gate, SeedNoise
from pipeline.sanity import LEAST, NEARER, NEEDED, UNTOUCHED, problems
from pipeline.scoresheet import ScoreSheet
from tests.pipeline.scoresheets import JUDGE, Tree, changed, figure, good, with_differences

MEASURED = [one.name for one in of_task("stylize")]
SETTINGS = Gate(
    mode="not_worse",
    min_gap_closed=0.2,
    min_structure=0.55,
    max_flicker=4.0,
    min_spread=0.5,
    seed_noise=SeedNoise(style=0.02, texture=0.012, structure=0.02, psnr=0.1, ssim=0.003),
    min_photographs=8,
    min_paintings=5,
)


def found(metrics: Tree) -> list[str]:
    return problems(ScoreSheet(metrics), SETTINGS)


def test_nothing_is_wrong_with_good_figures() -> None:
    assert found(good()) == []
    assert all(found({**good(), part: None}) for part in ("metrics", "controls", "checks", "counts"))
    assert found({})


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf"), "much", True])
def test_a_figure_that_is_no_number_is_found_by_name(name: str, wrong: Any) -> None:
    metrics = good()
    metrics["metrics"][name]["value"] = wrong
    assert any(name in problem for problem in found(metrics))


@pytest.mark.parametrize("name", MEASURED)
def test_a_missing_interval_is_found_by_name(name: str) -> None:
    metrics = good()
    metrics["metrics"][name]["low"] = None
    assert found(metrics) == [f"{name} has no interval"]


@pytest.mark.parametrize("name", MEASURED)
def test_only_what_need_not_be_measured_may_do_without_an_interval(name: str) -> None:
    metrics = good()
    metrics["metrics"][name] |= {"low": None, "high": None}
    assert found(metrics) == ([] if REGISTRY[name].optional else [f"{name} has no interval"])


@pytest.mark.parametrize("name", MEASURED)
def test_only_what_need_not_be_measured_may_be_missing(name: str) -> None:
    metrics = good()
    del metrics["metrics"][name]
    assert found(metrics) == ([] if REGISTRY[name].optional else [f"{name} is missing or no number"])


@pytest.mark.parametrize("name", MEASURED)
def test_a_constant_figure_is_found(name: str) -> None:
    metrics = good()
    value = metrics["metrics"][name]["value"]
    metrics["metrics"][name] = figure(value, 0.0)
    assert [problem for problem in found(metrics) if f"{name} is constant: {value:g}" in problem]


@pytest.mark.parametrize(
    ("name", "value"), [("content/structure", 1.4), ("style/palette", -3.0), ("distortion/mse", 7)]
)
def test_an_impossible_figure_is_found(name: str, value: float) -> None:
    (problem,) = found(changed(good(), {name: value}))
    assert f"{name} is {value:g}, which cannot be" in problem
    assert any("which cannot be" in problem for problem in found(changed(good(), {name: value}, "lab_transfer")))


@pytest.mark.parametrize("control", NEEDED["stylize"])
@pytest.mark.parametrize("name", NEARER)
def test_a_control_without_figures_is_found(control: str, name: str) -> None:
    metrics = good()
    metrics["controls"][control][name]["value"] = None
    assert found(metrics) == [f"{name} of the control {control} is missing or no number"]
    del metrics["controls"][control][name]
    assert found(metrics) == [f"{name} of the control {control} is missing"]


@pytest.mark.parametrize("name", sorted(UNTOUCHED))
def test_an_untouched_photograph_that_was_touched_is_found(name: str) -> None:
    assert found(changed(good(), {name: abs(UNTOUCHED[name] - 1e-6)}, "photograph")) == []
    wrong = changed(good(), {name: abs(UNTOUCHED[name] - 0.03)}, "photograph")
    assert any(f"the untouched photograph has {name}" in problem for problem in found(wrong))


@pytest.mark.parametrize("name", NEARER)
def test_paintings_no_nearer_to_paintings_than_photographs_are_found(name: str) -> None:
    wrong = changed(good(), {name: 0.31}, "paintings")
    assert len(found(wrong)) == 1
    assert f"{name} puts held-out paintings (0.31) no nearer" in found(wrong)[0]


@pytest.mark.parametrize("name", JUDGE)
def test_a_judge_that_tells_nothing_apart_is_found(name: str) -> None:
    (problem,) = found(changed(good(), {name: 0.95}, "photograph"))
    assert "worth nothing" in problem


@pytest.mark.parametrize("name", MEASURED)
def test_a_metric_that_tells_no_control_from_another_is_found(name: str) -> None:
    metrics = good()
    value = metrics["metrics"][name]["value"]
    for control in metrics["controls"].values():
        if name in control:
            control[name] = figure(value)
    assert any(
        f"{name} is {value:g} for every control alike" in problem for problem in found(with_differences(metrics))
    )


@pytest.mark.parametrize("name", MEASURED)
def test_a_difference_with_a_swapped_sign_is_found(name: str) -> None:
    metrics = good()
    pair = metrics["differences"]["photograph - model"]
    pair[name] = figure(-pair[name]["value"])
    (problem,) = found(metrics)
    assert f"photograph - model of {name} is given as" in problem


@pytest.mark.parametrize("check", sorted(LEAST))
def test_outputs_that_are_no_pictures_are_found(check: str) -> None:
    metrics = good()
    metrics["checks"][check] = 0.0
    (problem,) = found(metrics)
    assert LEAST[check][1] in problem


def test_nearly_one_picture_for_all_is_found() -> None:
    (problem,) = found(changed(good(), {"diversity/pairwise": 0.05}))
    assert "nearly one picture" in problem


def test_too_few_images_say_how_many_would_do() -> None:
    metrics = good()
    metrics["counts"] = {"photographs": 6, "paintings": 20}
    assert found(metrics) == ["only 6 held-out photographs: 8 would do, 2 more"]
