"""pix2pix: its objective, what its discriminator sees, and its three tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pipeline import evaluate, losses, package, train
from pipeline.distributed import Team
from pipeline.files import read_json
from pipeline.methods import build_method
from pipeline.methods.base import Batch
from pipeline.methods.conditions import NOTHING, Mask
from pipeline.methods.pix2pix import Pix2PixMethod
from pipeline.params import check_method
from tests.pipeline.training import smoke_params, tiny_workspace

TASKS = ("inpaint", "restore", "super_resolution")
SIDE = 24


def method_of(**own: Any) -> Pix2PixMethod:
    method = build_method("pix2pix", smoke_params(pix2pix=own))
    assert isinstance(method, Pix2PixMethod)
    return method


def batch(count: int = 2) -> Batch:
    return Batch(None, torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4)) * 2 - 1)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_l1_is_the_mean_of_what_was_lost_alone() -> None:
    output, original = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    output[0, :, 0, 0], output[1, :, 1, 1] = 0.5, 3.0
    holes = torch.zeros(2, 1, 4, 4)
    holes[0, 0, 0, 0] = holes[1, 0, 1, 1] = 1
    torch.testing.assert_close(losses.g_restored(output, original, holes), torch.tensor((0.5 + 2.0) / 2))
    torch.testing.assert_close(losses.g_restored(output, original), (output - original).abs().mean())
    assert losses.g_restored(output, original, torch.zeros(2, 1, 4, 4)) == 0


@pytest.mark.parametrize("task", TASKS)
def test_a_step_is_equation_4_of_what_was_damaged(task: str) -> None:
    method = method_of(task=task, gan="non_saturating", generator={"dropout": 0.0, "norm": "none"})
    found = method.step(batch(), 0, draw())
    originals = batch().paintings
    left, told = method.damage(originals, draw())  # the same stream: the same damage
    holes = told.holes if isinstance(told, Mask) else None
    output = method.restore(left, told)
    seen = left if task != "super_resolution" else left.repeat_interleave(2, 2).repeat_interleave(2, 3)
    if holes is not None:
        seen = torch.cat([seen, holes], dim=1)
    real, fake = (method.discriminator(torch.cat([seen, x], dim=1)) for x in (originals, output))
    torch.testing.assert_close(found["discriminator"]["gan"], F.softplus(-real).mean() + F.softplus(fake).mean())
    torch.testing.assert_close(found["generator"]["gan"], F.softplus(-fake).mean())
    far = (output - originals).abs()
    mean = far.mean() if holes is None else (far.mean(1, keepdim=True) * holes).sum() / holes.sum()
    torch.testing.assert_close(found["generator"]["l1"], 100 * mean)


@pytest.mark.parametrize("task", TASKS)
def test_a_gradient_reaches_every_parameter_whatever_the_task(task: str) -> None:
    method = method_of(task=task)
    reached = set()
    for seed in range(3):
        found = method.step(batch(), seed, draw(seed))
        for player, named in found.items():
            (name,) = method.players[player]
            own = [f"{name}.{key}" for key, _ in method.networks[name].named_parameters()]
            wanted = method.player_parameters(player)
            slopes = torch.autograd.grad(torch.stack(list(named.values())).sum(), wanted, retain_graph=True)
            reached |= {key for key, slope in zip(own, slopes, strict=True) if slope.abs().max() > 0}
    known = {f"{name}.{key}" for name, net in method.networks.items() for key, _ in net.named_parameters()}
    assert reached == known


def test_dropout_follows_the_stream_of_the_step() -> None:
    method = method_of(generator={"dropout": 0.5, "norm": "none"})
    one, same, other = (method.step(batch(), 0, draw(seed))["generator"]["gan"] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_two_processes_damage_their_own_parts_of_one_batch() -> None:
    method, whole = method_of(), batch(4).paintings
    together, told = method.damage(whole, draw())
    assert isinstance(told, Mask)
    for rank in (0, 1):
        method.team = Team(rank, 2)
        own = whole[2 * rank :][:2]
        left, mask = method.damage(own, draw())
        assert isinstance(mask, Mask)
        assert torch.equal(left, together[2 * rank :][:2])
        assert torch.equal(mask.holes, told.holes[2 * rank :][:2])


def test_a_mask_of_another_size_and_none_are_refused_in_a_sentence() -> None:
    method, pictures = method_of(task="inpaint"), torch.zeros(2, 3, 24, 32)
    with pytest.raises(ValueError, match=r"shape \(2, 1, 24, 24\); these pictures need \(2, 1, 24, 32\)"):
        method.restore(pictures, Mask(torch.zeros(2, 1, 24, 24)))
    with pytest.raises(ValueError, match=r"takes Mask as its condition, not NoCondition"):
        method.restore(pictures, NOTHING)
    with pytest.raises(ValueError, match=r"takes NoCondition as its condition, not Mask"):
        method_of(task="restore").restore(pictures, Mask(torch.zeros(2, 1, 24, 32)))


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"pix2pix": {"damage": {"sizes": []}}}, "names none; choose each once of fine, medium, large"),
        ({"pix2pix": {"damage": {"sizes": ["huge"]}}}, "names 'huge'"),
        ({"pix2pix": {"damage": {"sizes": ["fine", "fine"]}}}, "names one twice"),
        ({"pix2pix": {"task": "super_resolution", "scale": 4}, "train": {"crop": 30}}, "crop is 30.*set it to 28"),
    ],
)
def test_wrong_settings_are_refused_before_work_starts(overlay: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_method(smoke_params(**overlay), "pix2pix")


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_each_task_goes_from_a_recipe_to_a_page(task: str, tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, "pix2pix", pix2pix={"task": task})
    train.main("dots", workspace)
    config = read_json(package.main("dots", workspace) / "config.json")
    scale = 2 if task == "super_resolution" else 1
    assert (config["task"], config["restores"], config["scale"]) == ("restore", task, scale)
    report = evaluate.main("dots", workspace)
    metrics = read_json(report / "metrics.json")
    assert metrics["restores"] == task
    assert "original" in metrics["controls"]
    page = (report / "report.html").read_text()
    assert page.count("Restored<small>") == 2 + 4  # two of the gallery, four of the worst
