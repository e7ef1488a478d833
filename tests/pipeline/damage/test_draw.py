"""What each kind of restoration has to undo, and that held-out damage is the same for everybody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.damage import wear
from pipeline.damage.dice import Dice
from pipeline.damage.draw import GRADES, any_grade, damage, grades_of
from pipeline.damage.held_out import Wear
from pipeline.images import to_tensor
from tests.pipeline.training import smoke_params

CPU = torch.device("cpu")
SETTINGS = smoke_params().pix2pix.damage


def dice(count: int, seed: int = 0) -> Dice:
    return Dice(torch.Generator().manual_seed(seed), count, CPU)


def originals(count: int = 4, side: int = 48) -> torch.Tensor:
    draw = torch.Generator().manual_seed(9)
    coarse = torch.rand(count, 3, 6, 6, generator=draw) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(-1, 1)


def test_outside_of_holes_nothing_changes_and_inside_nothing_is_left() -> None:
    given = originals()
    left = damage(given, "inpaint", 2, SETTINGS, torch.tensor([0.0, 1.0, 2.0, 2.0]), dice(4))
    assert left.holes is not None
    lost = left.holes.expand_as(given) > 0.5
    assert torch.equal(left.pictures[~lost], given[~lost])
    assert (left.pictures[lost] == 0).all()


@pytest.mark.parametrize("scale", [2, 4])
def test_resolution_is_lost_by_the_scale(scale: int) -> None:
    left = damage(originals(), "super_resolution", scale, SETTINGS, torch.zeros(4), dice(4))
    assert left.pictures.shape == (4, 3, 48 // scale, 48 // scale)
    assert left.holes is None


@pytest.mark.parametrize("task", list(GRADES))
def test_what_is_left_is_what_a_file_of_eight_bits_holds(task: str) -> None:
    given = ((originals() + 1) * 127.5).round() / 127.5 - 1
    pictures = damage(given, task, 2, SETTINGS, torch.tensor([0.0, 0.5, 1.0, 1.0]).round(), dice(4)).pictures
    if task == "inpaint":
        pictures = torch.where(pictures == 0, torch.ones(()), pictures)  # holes are grey between two levels
    steps = (pictures + 1) * 127.5
    assert (steps - steps.round()).abs().max() < 1e-3
    assert pictures.abs().max() <= 1


@pytest.mark.parametrize("task", ["restore", "super_resolution"])
def test_a_worse_grade_does_more_harm(task: str) -> None:
    given = originals(16)
    harm = []
    for grade in GRADES[task].values():
        left = damage(given, task, 2, SETTINGS, torch.full((16,), grade), dice(16)).pictures
        left = torch.nn.functional.interpolate(left, size=given.shape[2:], mode="bicubic")
        harm.append(float((left - given).abs().mean()))
    assert harm[0] < 0.8 * harm[1]


def test_a_grade_of_nothing_leaves_wear_out() -> None:
    given, nothing = originals(), torch.zeros(4)
    for worn in (
        wear.scratch(given, nothing, 6, dice(4)),
        wear.stain(given, nothing, 3, dice(4)),
        wear.fade(given, nothing, 0.5, dice(4)),
        wear.grain(given, nothing, 12.0, dice(4)),
    ):
        torch.testing.assert_close(worn, given, rtol=0, atol=1e-6)


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    grey = torch.zeros(64, 3, 24, 24)
    found = wear.grain(grey, torch.ones(64), 10.0, dice(64)) * 127.5
    each = found.flatten(1).std(1)
    assert 2.5 < each.min() < each.max() < 10.5  # 0.3 to 1 of it
    assert abs(found.mean()) < 0.1


def test_fading_draws_all_colours_together_and_light_towards_paper() -> None:
    given = originals()
    faded = wear.fade(given, torch.ones(4), 0.8, dice(4))
    assert (faded.flatten(2).std(2) < given.flatten(2).std(2)).all()
    spread = [(x - x.mean(1, keepdim=True)).abs().mean() for x in (given, faded)]
    assert spread[1] < spread[0]


def test_a_stain_takes_light_away_and_adds_none() -> None:
    given = originals()
    stained = wear.stain(given, torch.ones(4), 3, dice(4))
    assert (stained <= given + 1e-6).all()
    assert (stained < given - 0.05).any()


def test_training_draws_every_size_that_is_named_and_no_other() -> None:
    some = replace(SETTINGS, sizes=("large", "fine"))
    assert list(grades_of("inpaint", some)) == ["fine", "large"]
    assert set(any_grade("inpaint", some, dice(64)).tolist()) == {0.0, 2.0}
    shares = any_grade("restore", SETTINGS, dice(400))
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert abs(shares.mean() - 0.5) < 0.06


@pytest.mark.parametrize("task", list(GRADES))
def test_held_out_damage_is_decided_by_the_artwork_alone(task: str) -> None:
    settings = Wear(task, 2, SETTINGS)
    pixels = ((originals(1)[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
    grade = settings.grades[-1]
    one, same = (settings.specimen("aa", pixels, grade) for _ in range(2))
    other = settings.specimen("ab", pixels, grade)
    assert one.picture.tobytes() == same.picture.tobytes()
    assert one.picture.tobytes() != other.picture.tobytes()
    assert (one.mask is not None) == (task == "inpaint")
    if one.mask is not None:
        lost = np.asarray(one.mask) > 0
        assert np.array_equal(np.asarray(one.picture)[~lost], pixels[~lost])
        assert set(np.unique(np.asarray(one.mask))) == {0, 255}


def test_the_damage_of_a_package_is_what_it_was_trained_on() -> None:
    tree = smoke_params(pix2pix={"task": "restore", "damage": {"noise": 3.0}}).tree()["pix2pix"]
    found = Wear.of_package({"method": "pix2pix", "training": {"pix2pix": tree}})
    assert (found.task, found.damage.noise, found.damage.sizes) == ("restore", 3.0, ("fine", "medium", "large"))
    assert to_tensor(found.specimen("a", np.full((16, 16, 3), 99, np.uint8), "light").picture).shape == (3, 16, 16)
