"""What holds of every method, whatever it is for: a new one is one more line in `METHODS`, and passes all this."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import evaluate, judge, package, train
from pipeline.catalogue import METHODS as FACTS
from pipeline.files import read_json
from pipeline.inference import build_network
from pipeline.methods import METHODS, build_method
from pipeline.methods.base import Batch
from pipeline.methods.conditions import Condition
from pipeline.networks.latent import LatentGenerator
from pipeline.params import Params, load_params
from pipeline.trainer import Health, Trainer, step_randomness
from tests.pipeline.test_trainer import Poison, reloaded, same, tensors, training_state
from tests.pipeline.training import smoke_params, tiny_workspace

NAMES = sorted(METHODS)
CPU = torch.device("cpu")
SIDE = 32


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def params_of(name: str) -> Params:
    """Small, every loss at work from the first step; no boundary at which a gradient is exactly 0."""
    own = asdict(smoke_params())[name]
    overlay = {key: value for key, value in {"warmup_steps": 0, "gan": "lsgan", "r1": 0.1}.items() if key in own}
    return smoke_params(**{name: overlay, "train": {"steps": 40, "decay_from": 1.0}})


def new_trainer(name: str) -> Trainer:
    params = params_of(name)
    return Trainer(build_method(name, params), params.train, CPU)


def take(trainer: Trainer, step: int) -> object:
    draw = torch.Generator().manual_seed(step)
    photos, paintings = (torch.rand(2, 3, SIDE, SIDE, generator=draw) * 2 - 1 for _ in range(2))
    batch = Batch(photos if trainer.method.photographs else None, paintings)
    return trainer.step(batch, step, step_randomness(0, step))


@pytest.mark.parametrize("name", NAMES)
def test_a_method_makes_what_its_task_says_and_refuses_the_others(name: str) -> None:
    method = build_method(name, params_of(name))
    draw = torch.Generator().manual_seed(0)
    if method.task == "generate":
        images = method.sample(3, draw)
        assert len(images) == 3
        assert images.shape[1:] == (3, images.shape[2], images.shape[2])
        again = method.sample(3, torch.Generator().manual_seed(0))
        assert torch.equal(images, again)
        with pytest.raises(ValueError, match=r"makes images out of noise.*choose one that repaints"):
            method.translate(torch.zeros(1, 3, SIDE, SIDE))
    else:
        photos = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
        images = method.translate(photos)
        assert images.shape == photos.shape
        with pytest.raises(ValueError, match=r"repaints photographs.*choose one that makes images out of noise"):
            method.sample(1, draw)
    assert images.abs().max() <= 1


@dataclass(frozen=True)
class Whim(Condition):
    """What no method takes."""


@pytest.mark.parametrize("name", NAMES)
def test_a_condition_that_is_not_declared_is_refused_by_name(name: str) -> None:
    method = build_method(name, params_of(name))
    if method.task == "generate":
        with pytest.raises(ValueError, match=r"NoCondition.*not Whim"):
            method.sample(1, torch.Generator(), Whim())
    else:
        with pytest.raises(ValueError, match=r"NoCondition.*not Whim"):
            method.translate(torch.zeros(1, 3, SIDE, SIDE), Whim())


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_every_parameter_of_every_player(name: str) -> None:
    trainer = new_trainer(name)
    reached: dict[str, bool] = {}
    for step in range(3):
        take(trainer, step)
        for player, networks in trainer.method.players.items():
            for network in networks:
                for key, parameter in trainer.method.networks[network].named_parameters():
                    assert parameter.grad is not None, f"{player}: {network}.{key}"
                    assert parameter.grad.isfinite().all()
                    moved = bool(parameter.grad.abs().max() > 0)
                    reached[f"{network}.{key}"] = reached.get(f"{network}.{key}", False) or moved
    assert [key for key, moved in reached.items() if not moved] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_network_belongs_to_one_player(name: str) -> None:
    method = build_method(name, params_of(name))
    played = [network for networks in method.players.values() for network in networks]
    assert sorted(played) == sorted(method.networks)
    assert "generator" in method.averaged
    assert set(method.averaged) <= set(method.networks)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_deterministic_and_training_resumes_bit_by_bit(name: str) -> None:
    one, other = new_trainer(name), new_trainer(name)
    for step in range(2):
        losses = [[*tensors(take(trainer, step))] for trainer in (one, other)]
        assert same(*losses)
    fresh = new_trainer(name)
    fresh.load(reloaded(copy.deepcopy(one.state())))
    for trainer in (other, fresh):
        take(trainer, 2)
    assert same(training_state(other), training_state(fresh))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_that_is_not_finite_leaves_weights_buffers_moments_and_averages(name: str) -> None:
    trainer = new_trainer(name)
    take(trainer, 0)
    before = training_state(trainer)
    poison = Poison(trainer, next(iter(trainer.method.players)), "gradient")
    take(trainer, 1)
    assert same(training_state(trainer), before)
    assert trainer.health() == Health(bad_in_a_row=1, bad_total=1)
    poison.on = False
    take(trainer, 2)
    assert not same(training_state(trainer), before)


@pytest.mark.parametrize("name", NAMES)
def test_the_packaged_network_is_the_averaged_one(name: str) -> None:
    trainer = new_trainer(name)
    take(trainer, 0)
    average = trainer.averages["generator"].network
    built = build_network(trainer.method.describe()).eval()
    built.load_state_dict(average.state_dict())
    if isinstance(built, LatentGenerator):
        given = built.draw(2, torch.Generator().manual_seed(0))
    else:
        given = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(built(given), average(given), rtol=1e-4, atol=1e-5)  # memory formats differ


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_becomes_a_package_with_figures_pictures_and_a_page(name: str, tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, method=name)
    judge.main("dots", workspace, load_params(workspace.params_file))
    train.main("dots", workspace)
    assert list((workspace.trained("dots") / "samples").glob("*.jpg"))
    folder = package.main("dots", workspace)
    assert {path.name for path in folder.iterdir()} == {
        "generator.safetensors",
        "generator.onnx",
        "config.json",
        "preview.jpg",
        "manifest.json",
        "trained_on.json",
    }  # of these, none is pickle; the graph was held against torch when it was written
    collections = {"photos", "dots"} if FACTS[name].photographs else {"dots"}
    assert set(read_json(folder / "trained_on.json")) == collections
    with np.load(workspace.trained("dots") / "networks.npz", allow_pickle=False) as arrays:
        assert arrays.files
    report = evaluate.main("dots", workspace)
    metrics = read_json(report / "metrics.json")
    assert metrics.get("task", "stylize") == FACTS[name].task == read_json(folder / "config.json")["task"]
    assert "dots" in (report / "report.html").read_text()
    assert (report / "model_card.md").read_text().startswith("# dots")
    assert (report / "sheets" / "overview.jpg").is_file()
