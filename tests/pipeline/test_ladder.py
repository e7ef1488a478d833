"""The metrics and the gate, held to pictures of known quality: a really trained model, controls, rubble, cheats."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ladder import Climb, apart, build, climb
from benchmarks.workspaces import samples_of
from pipeline.metrics import REGISTRY
from tests.pipeline.training import ROOT

REAL = ROOT.parent / "shared" / "data"
_ABSENT = pytest.mark.skipif(not REAL.is_dir(), reason="there are no real images beside the checkout")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(
    scope="module",
    params=["impasto", pytest.param("vangogh", marks=_ABSENT)],
)
def climbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Climb:
    root, style = tmp_path_factory.mktemp("ladder"), request.param
    if style == "vangogh":
        photos, artworks = REAL / "photos", REAL / "vangogh"
    else:
        photos, artworks = samples_of(root / "samples", style)
    return climb(build(root / "workspace", Path(photos), Path(artworks), style), style)


def test_every_metric_tells_its_rungs_apart(climbed: Climb) -> None:
    told = {gap.metric for gap in climbed.gaps}
    assert told == {metric.name for metric in REGISTRY.values() if metric.tells}
    unclear = [f"{gap.metric}: {gap.better} and {gap.worse} {gap.figure}" for gap in climbed.gaps if not gap.clear]
    assert not unclear


def test_the_interval_of_an_unpaired_difference_is_that_of_normal_figures() -> None:
    found = apart({"value": 3.0, "low": 2.7, "high": 3.3}, {"value": 1.0, "low": 0.6, "high": 1.4})
    assert found == {"value": 2.0, "low": pytest.approx(1.5), "high": pytest.approx(2.5)}  # 0.5 = hypot(0.3, 0.4)


def test_every_judged_metric_says_what_it_tells_apart() -> None:
    describing = {"distortion/mse", "distortion/psnr", "stability/snapshots", "style/frechet", "content/lpips"}
    silent = {metric.name for metric in REGISTRY.values() if not metric.tells and "stylize" in metric.tasks}
    assert silent == describing


def test_the_trained_model_is_accepted(climbed: Climb) -> None:
    assert climbed.verdicts["the model"].accepted, climbed.verdicts["the model"].sentence


CHEATS = {
    "rubble": "structure",
    "a training painting, pasted": "copies",
    "a training painting pasted for every third": "copies",
    "one output for all": "structure",
    "a blurred photograph": "structure",
    "colour inversion": "structure",
    "output equals input": "sane",
    "Lab transfer": "texture",
    "Lab transfer and a painterly filter": "texture",
    "noise tuned to Gram statistics": "judge",
    "swapped sign (style)": "sane",
    "swapped sign (structure)": "structure",
    "NaN": "sane",
    "a metric stubbed to a constant": "sane",
}


@pytest.mark.parametrize("cheat", sorted(CHEATS))
def test_a_cheat_is_refused_for_what_it_is(climbed: Climb, cheat: str) -> None:
    verdict = climbed.verdicts[cheat]
    assert not verdict.accepted
    assert CHEATS[cheat] in {rule.name for rule in verdict.rules if not rule.passed}, verdict.sentence


def test_no_cheat_is_left_out(climbed: Climb) -> None:
    assert set(climbed.verdicts) == {*CHEATS, "the model"}
