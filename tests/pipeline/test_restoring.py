"""Scores of what restores: the same damage for everybody, cheats refused by the gate, a good model accepted."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import gate
from pipeline.damage.held_out import Wear
from pipeline.images import to_image
from pipeline.metrics.unlearnt import CONTROLS
from pipeline.params import Params
from pipeline.reports import comparison
from pipeline.restoration import Restorer
from pipeline.restoring import Compared, Workshop, compare_restorers, score_restorer
from pipeline.scoring import View
from tests.pipeline.restorers import write_restorer
from tests.pipeline.test_metrics_restored import picture
from tests.pipeline.training import smoke_params

TASKS = ("inpaint", "restore", "super_resolution")
PARAMS = smoke_params(evaluate={"bootstrap": 60}, gate={"min_paintings": 4})
VIEWS = tuple(View(f"{seed:02x}", picture(seed, 48)) for seed in range(8))


class Oracle:
    """Knows the originals, and goes a share of the way from what is best without learning to them."""

    def __init__(self, workshop: Workshop, share: float) -> None:
        self.share, self.wear = share, workshop.wear
        self.known = {
            one.picture.tobytes(): view.pixels
            for left in workshop.specimens.values()
            for one, view in zip(left, workshop.artworks, strict=True)
        }
        self.seen: list[bytes] = []

    def __call__(self, image: Image.Image, mask: Image.Image | None = None) -> Image.Image:
        self.seen.append(image.tobytes())
        best = CONTROLS[self.wear.task][{"inpaint": "smooth", "restore": "damaged"}.get(self.wear.task, "bicubic")]
        start = best(image, mask, self.wear.scale)
        return Image.blend(start, Image.fromarray(self.known[image.tobytes()]), self.share)


def workshop_of(task: str, params: Params = PARAMS) -> Workshop:
    return Workshop.of(VIEWS, Wear(task, 2, params.pix2pix.damage))


def judged(found: Mapping[str, Any], against: Mapping[str, Any] | None = None) -> gate.Verdict:
    return gate.judge(found, against, PARAMS.gate)


def held(found: Compared) -> dict[str, Any]:
    """Return what a comparison's file holds for the gate."""
    grades = {grade: {"differences": {"champion - model": alone}} for grade, alone in found.grades.items()}
    return {"metrics": found.metrics, "differences": {"champion - model": found.differences}, "grades": grades}


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_beats_every_control_is_accepted_and_the_controls_themselves_are_not(task: str) -> None:
    workshop = workshop_of(task)
    good = score_restorer(Oracle(workshop, 0.5), workshop, PARAMS.evaluate).to_dict()
    verdict = judged(good)
    assert verdict.accepted, verdict.sentence
    assert {rule.name for rule in verdict.rules} == {*CONTROLS[task], "sane", "champion"}
    nothing = score_restorer(Oracle(workshop, 0.0), workshop, PARAMS.evaluate).to_dict()
    assert not judged(nothing).accepted
    worse = score_restorer(lambda image, mask=None: _blank(image, workshop), workshop, PARAMS.evaluate).to_dict()
    failed = {rule.name for rule in judged(worse).rules if not rule.passed}
    assert failed >= set(CONTROLS[task]) - {"damaged"} | {"sane"}


def _blank(image: Image.Image, workshop: Workshop) -> Image.Image:
    scale = workshop.wear.scale if workshop.wear.task == "super_resolution" else 1
    return Image.new("RGB", (image.width * scale, image.height * scale), (120, 110, 90))


def test_everybody_gets_the_same_damage_in_whatever_order_artworks_come() -> None:
    one, other = workshop_of("inpaint"), Workshop.of(VIEWS[::-1], Wear("inpaint", 2, PARAMS.pix2pix.damage))
    first, second = Oracle(one, 1.0), Oracle(other, 1.0)
    scores = [score_restorer(*pair, PARAMS.evaluate).to_dict() for pair in ((first, one), (second, other))]
    assert first.seen == second.seen
    assert scores[0] == scores[1]
    assert scores[0]["metrics"]["restored/l1"]["value"] == 0
    assert scores[0]["metrics"]["restored/psnr"]["value"] == 100


def test_the_controls_see_what_the_model_sees() -> None:
    workshop = workshop_of("restore")
    found = score_restorer(lambda image, mask=None: image, workshop, PARAMS.evaluate)
    assert found.metrics == found.controls["damaged"]
    assert all(figure["value"] == 0 for figure in found.differences["damaged - model"].values())


def test_a_model_that_is_worse_than_the_champion_beyond_noise_is_refused() -> None:
    workshop = workshop_of("super_resolution")
    weak, strong = Oracle(workshop, 0.3), Oracle(workshop, 0.7)
    found = score_restorer(weak, workshop, PARAMS.evaluate).to_dict()
    rule = judged(found, held(compare_restorers(weak, strong, workshop, PARAMS.evaluate))).rules[-1]
    assert not rule.passed
    assert "worse than the champion beyond noise: peak signal-to-noise by" in rule.sentence
    found = score_restorer(strong, workshop, PARAMS.evaluate).to_dict()
    rule = judged(found, held(compare_restorers(strong, weak, workshop, PARAMS.evaluate))).rules[-1]
    assert rule.passed
    assert rule.sentence.startswith("The model is better than the champion: peak signal-to-noise higher by ")


class Uneven(Oracle):
    """Good at some grades, and at the others no better than what has not learnt."""

    def __init__(self, workshop: Workshop, share: float, grades: Collection[str]) -> None:
        super().__init__(workshop, share)
        self.easy = {one.picture.tobytes() for grade in grades for one in workshop.specimens[grade]}

    def __call__(self, image: Image.Image, mask: Image.Image | None = None) -> Image.Image:
        share, self.share = self.share, self.share if image.tobytes() in self.easy else 0.0
        try:
            return super().__call__(image, mask)
        finally:
            self.share = share


def damage_of(sizes: tuple[str, ...]) -> Wear:
    return Wear("inpaint", 1, replace(PARAMS.pix2pix.damage, sizes=sizes))


def test_a_recipe_that_names_less_damage_is_held_against_the_champion_on_the_champion_s_too() -> None:
    narrow = Workshop.of(VIEWS, damage_of(("fine",)))
    joined = narrow.joined(damage_of(("fine", "large")), "Champion v1")
    assert list(joined.specimens) == ["fine", "large"]
    model, champion = Uneven(joined, 0.9, ["fine"]), Oracle(joined, 0.6)
    found = score_restorer(model, narrow, PARAMS.evaluate).to_dict()
    assert judged(found, held(compare_restorers(model, champion, narrow, PARAMS.evaluate))).accepted
    rule = judged(found, held(compare_restorers(model, champion, joined, PARAMS.evaluate))).rules[-1]
    assert not rule.passed
    assert "beyond noise" in rule.sentence


def test_one_grade_that_is_lost_is_not_made_up_for_by_another() -> None:
    workshop = workshop_of("restore")
    model, champion = Uneven(workshop, 0.99, ["heavy"]), Oracle(workshop, 0.4)
    found = score_restorer(model, workshop, PARAMS.evaluate).to_dict()
    compared = compare_restorers(model, champion, workshop, PARAMS.evaluate)
    assert compared.differences["restored/psnr"]["high"] < 0  # on the mean the model is plainly better
    rule = judged(found, held(compared)).rules[-1]
    assert not rule.passed
    assert "in a grade of damage: peak signal-to-noise by " in rule.sentence
    assert "(light)" in rule.sentence
    assert "(heavy)" not in rule.sentence


@pytest.mark.parametrize("change", [lambda tree: tree.pop("grades"), lambda tree: tree["grades"].pop("light")])
def test_a_comparison_that_lacks_a_grade_says_nothing(change: Any) -> None:
    workshop = workshop_of("restore")
    model = Oracle(workshop, 0.5)
    found = score_restorer(model, workshop, PARAMS.evaluate).to_dict()
    against = held(compare_restorers(model, model, workshop, PARAMS.evaluate))
    assert judged(found, against).accepted
    change(against)
    assert "lacks figures of the damage 'light' alone" in judged(found, against).rules[-1].sentence


def test_other_damage_of_the_same_grade_is_a_grade_of_its_own_and_the_same_is_none() -> None:
    workshop = workshop_of("restore")
    harder = replace(workshop.wear, damage=replace(PARAMS.pix2pix.damage, noise=40.0))
    joined = workshop.joined(harder, "Champion v2")
    assert list(joined.specimens) == ["light", "heavy", "light, as Champion v2", "heavy, as Champion v2"]
    assert joined.specimens["heavy, as Champion v2"] == Workshop.of(VIEWS, harder).specimens["heavy"]
    assert list(workshop.joined(workshop.wear, "Champion v2").specimens) == ["light", "heavy"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree["metrics"].pop("restored/ssim"), "restored/ssim is missing"),
        (lambda tree: tree["metrics"]["restored/l1"].update(value=-1.0), "restored/l1 is -1, which cannot be"),
        (lambda tree: tree["controls"].pop("original"), "of the control original is missing"),
        (lambda tree: tree["controls"]["original"]["restored/psnr"].update(value=30.0), "it can only be 100"),
        (lambda tree: tree["counts"].update(paintings=1), "only 1 held-out paintings"),
        (lambda tree: tree["checks"].update(contrast=0.0), "the outputs are blank"),
        (lambda tree: tree.update(restores="alchemy"), "Nothing is known of restoring by 'alchemy'"),
        (lambda tree: tree.update(task="alchemy"), "Nothing is known of the task 'alchemy'"),
        (lambda tree: tree["differences"].pop("bicubic - model"), "beside bicubic was not measured"),
    ],
)
def test_what_cannot_be_is_refused(change: Any, said: str) -> None:
    workshop = workshop_of("super_resolution")
    tree = copy.deepcopy(score_restorer(Oracle(workshop, 0.6), workshop, PARAMS.evaluate).to_dict())
    change(tree)
    verdict = judged(tree)
    assert not verdict.accepted
    assert said in verdict.sentence


def test_a_model_that_returns_another_size_is_named() -> None:
    workshop = workshop_of("inpaint")
    with pytest.raises(ValueError, match="the model returned 5 x 5 px for an artwork of 48 x 48 px"):
        score_restorer(lambda image, mask=None: image.resize((5, 5)), workshop, PARAMS.evaluate)


def test_two_packages_are_compared_on_one_damage_and_other_tasks_are_refused(tmp_path: Path) -> None:
    one, other, apart = (
        comparison.Restoring(key, key, Restorer.load(write_restorer(tmp_path / key, task, scale, seed)))
        for key, task, scale, seed in (
            ("A", "restore", 1, 0), ("B", "restore", 1, 1), ("C", "super_resolution", 2, 1)
        )
    )
    found = comparison.write_restored(tmp_path / "out", one, other, VIEWS, PARAMS.evaluate)
    assert set(found["differences"]) == {"A - B"}
    assert set(found["grades"]) == {"light", "heavy"}
    assert set(found["grades"]["heavy"]["differences"]) == {"A - B"}
    assert len(found["pictures"]) == comparison.SHOWN
    page = comparison.render(tmp_path / "out")
    assert "Peak signal-to-noise" in page
    with pytest.raises(ValueError, match="A was trained for restore x 1, C for super_resolution x 2"):
        comparison.write_restored(tmp_path / "out", one, apart, VIEWS, PARAMS.evaluate)


def test_two_packages_of_other_recipes_are_compared_on_the_damage_of_both(tmp_path: Path) -> None:
    sizes = {"A": ["fine", "large"], "B": ["fine"]}
    one, other = (
        comparison.Restoring(key, key, Restorer.load(write_restorer(tmp_path / key, seed=1, damage={"sizes": given})))
        for key, given in sizes.items()
    )
    for place, pair in enumerate(((one, other), (other, one))):
        found = comparison.write_restored(tmp_path / f"out{place}", *pair, VIEWS[:3], PARAMS.evaluate)
        assert set(found["grades"]) == {"fine", "large"}
        assert {work["title"].partition(", ")[2] for work in found["pictures"]} == {"fine", "large"}


def test_holes_of_a_view_hold_grey_and_nothing_of_the_original() -> None:
    workshop = workshop_of("inpaint")
    for left in workshop.specimens.values():
        for one in left:
            assert one.mask is not None
            inside = np.asarray(one.picture)[np.asarray(one.mask) > 0]
            assert (inside == np.asarray(to_image(_grey()))[0, 0]).all()


def _grey() -> Any:
    import torch

    return torch.zeros(3, 1, 1)
