"""What holds of every method, whatever it is for: a new one is one more line in `METHODS`, and passes all this."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import devices, evaluate, judge, package, train, warm_start
from pipeline.catalogue import METHODS as FACTS
from pipeline.files import read_json
from pipeline.inference import build_network
from pipeline.methods import METHODS, build_method
from pipeline.methods.base import Batch, Losses, Method
from pipeline.methods.conditions import NOTHING, Code, Condition, Direction, Reference
from pipeline.networks.adain import AdainGenerator
from pipeline.networks.infogan import InfoganRecogniser
from pipeline.networks.latent import LatentGenerator
from pipeline.networks.layers import plain_weights
from pipeline.networks.unet import RestorationGenerator
from pipeline.params import Adversarial, Params, load_params
from pipeline.trainer import Health, State, Trainer, step_randomness
from tests.pipeline.test_trainer import Poison, reloaded, same, tensors, training_state
from tests.pipeline.training import smoke_params, tiny_workspace

CPU = torch.device("cpu")
SIDE = 24  # px: the least of which a pyramid's top still holds a patch
every = pytest.mark.parametrize("name", list(METHODS))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def params_of(name: str, own: dict[str, Any] | None = None, **settings: object) -> Params:
    """Small, every loss at work from the first step; no boundary at which a gradient is exactly 0."""
    there = asdict(smoke_params())[name]
    overlay = {key: value for key, value in {"warmup_steps": 0, "gan": "lsgan", "r1": 0.1}.items() if key in there}
    loop = {"steps": 40, "decay_from": 1.0, "crop": SIDE} | settings
    return smoke_params(**{name: overlay | (own or {}), "train": loop, "prepare": {"crop": 32}})


def new_trainer(name: str, own: dict[str, Any] | None = None, **settings: object) -> Trainer:
    params = params_of(name, own, **settings)
    return Trainer(build_method(name, params), params.train, CPU)


def take(trainer: Trainer, step: int) -> Losses:
    draw = torch.Generator().manual_seed(step)
    photos, paintings = (torch.rand(2, 3, SIDE, SIDE, generator=draw) * 2 - 1 for _ in range(2))
    batch = Batch(photos if trainer.method.photographs else None, paintings)
    return trainer.step(batch, step, step_randomness(0, step))


def condition_of(method: Method, count: int) -> Condition:
    """Return what a method wants to be told of `count` images: nothing, if that is one of its conditions."""
    if Reference not in method.conditions:
        return NOTHING
    images = torch.rand(count, 2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Reference(images, torch.tensor([[0.25, 0.75]]).expand(count, 2))


def _translate(method: Method) -> None:
    images = method.translate(torch.rand(3, 3, 16, 24) * 2 - 1, condition_of(method, 3))
    assert images.shape == (3, 3, 16, 24)
    assert images.abs().max() <= 1


def _sample(method: Method) -> None:
    images = method.sample(3, torch.Generator().manual_seed(0))
    assert len(images) == 3
    assert images.shape[1:] == (3, images.shape[2], images.shape[2])
    assert images.abs().max() <= 1
    assert torch.equal(images, method.sample(3, torch.Generator().manual_seed(0)))


def _restore(method: Method) -> None:
    originals = torch.rand(3, 3, 16, 24) * 2 - 1
    left, told = method.damage(originals, torch.Generator().manual_seed(0))
    again, _ = method.damage(originals, torch.Generator().manual_seed(0))
    assert torch.equal(left, again)
    assert not torch.equal(left, originals)
    images = method.restore(left, told)
    assert images.shape == originals.shape
    assert images.abs().max() <= 1
    assert torch.equal(images, method.restore(left, told))


@dataclass(frozen=True)
class Work:
    """What a method of a task does, and how it is asked."""

    check: Callable[[Method], None]
    ask: Callable[[Method, Condition], object]
    said: str


WORK = {
    "stylize": Work(_translate, lambda m, told: m.translate(torch.zeros(1, 3, SIDE, SIDE), told), "repaints"),
    "generate": Work(_sample, lambda m, told: m.sample(1, torch.Generator(), told), "makes images out of noise"),
    "restore": Work(_restore, lambda m, told: m.restore(torch.zeros(1, 3, SIDE, SIDE), told), "restores damaged"),
}


@every
def test_a_method_makes_what_its_task_says_and_refuses_the_others(name: str) -> None:
    method = build_method(name, params_of(name))
    own = WORK[method.task]
    own.check(method)
    for task, other in WORK.items():
        if task != method.task:
            with pytest.raises(ValueError, match=rf"{own.said}.*choose one that {other.said}"):
                other.ask(method, NOTHING)


@every
def test_its_discriminators_can_be_asked_about_any_images(name: str) -> None:
    """What the heat maps of a report need; one whose discriminator sees more than images has its own `scores`."""
    method = build_method(name, params_of(name))
    judging = [network for network in method.networks if network.endswith("discriminator")]
    assert "discriminator" in judging
    for network in judging:
        method.networks[network].eval()
        for side in (SIDE, 3 * SIDE):
            with torch.no_grad():
                found = method.scores(torch.rand(2, 3, side, side) * 2 - 1, network)
            assert found.shape == ((2,) if found.ndim == 1 else (2, 1, *found.shape[2:]))
            assert found.isfinite().all()


@dataclass(frozen=True)
class Whim(Condition):
    """What no method takes."""


@every
def test_a_condition_that_is_not_declared_is_refused_by_name(name: str) -> None:
    method = build_method(name, params_of(name))
    known = method.conditions[0].__name__
    with pytest.raises(ValueError, match=rf"takes {known}.*not Whim"):
        WORK[method.task].ask(method, Whim())


@every
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
                    assert parameter.grad.stride() == parameter.stride()  # as a fused optimiser needs it
                    moved = bool(parameter.grad.abs().max() > 0)
                    reached[f"{network}.{key}"] = reached.get(f"{network}.{key}", False) or moved
    assert [key for key, moved in reached.items() if not moved] == []


@every
def test_every_network_belongs_to_one_player(name: str) -> None:
    method = build_method(name, params_of(name))
    played = [network for networks in method.players.values() for network in networks]
    assert sorted(played) == sorted(method.networks)
    assert "generator" in method.averaged
    assert set(method.averaged) <= set(method.networks)


@every
@pytest.mark.parametrize("gan", Adversarial.__args__)  # type: ignore[attr-defined]
def test_every_adversarial_loss_trains_it(name: str, gan: str) -> None:
    losses = take(new_trainer(name, {"gan": gan}), 0)
    assert {"generator", "discriminator"} == set(losses)
    assert all(value.isfinite() for value in tensors(losses))


@every
def test_the_same_step_twice_gives_the_same_bits_whatever_the_global_stream(name: str) -> None:
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        trainer = new_trainer(name)
        for step in range(2):
            take(trainer, step)
        states.append([*tensors(trainer.state())])
    assert same(*states)


@every
def test_from_any_step_a_resumed_training_ends_in_the_same_bits(name: str) -> None:
    """Enough steps for a pool of three images to fill and to give back earlier ones."""
    trainer, states = new_trainer(name), list[State]()
    for step in range(4):
        states.append(reloaded(trainer.state()))
        take(trainer, step)
    for begin, state in enumerate(states):
        other = new_trainer(name)
        other.load(state)
        for step in range(begin, 4):
            take(other, step)
        assert same([*tensors(other.state())], [*tensors(trainer.state())]), begin


@every
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(name: str, where: str) -> None:
    trainer = new_trainer(name)
    for step in range(2):
        take(trainer, step)
    before = training_state(trainer)
    poison = Poison(trainer, "generator", where)
    take(trainer, 2)
    assert same(training_state(trainer), before)
    assert trainer.health() == Health(bad_in_a_row=1, bad_total=1)
    poison.on = False
    take(trainer, 3)
    assert not same(training_state(trainer), before)


@every
def test_in_bf16_all_that_is_kept_stays_in_full_precision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: True)
    exact, fast = new_trainer(name), new_trainer(name, precision="bf16")
    expected, losses = take(exact, 0), take(fast, 0)
    kept = {part: fast.state()[part] for part in ("networks", "averages", "memories")}
    assert {value.dtype for value in [*tensors(kept), *tensors(losses)]} <= {torch.float32, torch.int64}
    assert not same([*tensors(losses)], [*tensors(expected)])
    for one, other in zip(tensors(losses), tensors(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)


@every
@pytest.mark.slow
def test_a_compiled_step_gives_the_losses_and_gradients_of_a_plain_one(name: str) -> None:
    own: dict[str, Any] = {"r1": 0.0} if "r1" in asdict(smoke_params())[name] else {}  # which cannot be compiled
    plain, compiled = new_trainer(name, own), new_trainer(name, own)
    compiled.method.compile("aot_eager")  # all but writing machine code, which takes minutes on a CPU
    for step in range(2):  # of fastcut one that is mirrored, and one that is not
        for one, other in zip(tensors(take(compiled, step)), tensors(take(plain, step)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        for player in plain.method.players:
            pairs = zip(*(t.method.player_parameters(player) for t in (plain, compiled)), strict=True)
            for one, other in pairs:
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-2, atol=1e-4)
        compiled.load(copy.deepcopy(plain.state()))
    assert compiled.state()["networks"].keys() == plain.state()["networks"].keys()


@every
def test_the_packaged_networks_are_the_averaged_ones(name: str) -> None:
    trainer = new_trainer(name)
    take(trainer, 0)
    beside = trainer.method.describe_beside()
    for network, average in ((network, average.network) for network, average in trainer.averages.items()):
        built = build_network(beside.get(network, trainer.method.describe())).eval()
        built.load_state_dict(plain_weights(average.state_dict()))
        if isinstance(built, InfoganRecogniser):  # which tells the codes, without the score that training has too
            given = torch.rand(2, 3, 16, 16) * 2 - 1
            with torch.no_grad():
                torch.testing.assert_close(built(given), average(given, told=True)[:, 1:], rtol=1e-4, atol=1e-5)
            continue
        given = _inputs(built)
        with torch.no_grad():
            torch.testing.assert_close(built(*given), average(*given), rtol=1e-4, atol=1e-5)  # memory formats differ


def _inputs(network: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    if isinstance(network, LatentGenerator):
        return (network.draw(2, torch.Generator().manual_seed(0)),)
    pictures = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    if isinstance(network, AdainGenerator):
        return pictures, torch.rand(1, 3, SIDE, SIDE) * 2 - 1, torch.ones(1), torch.ones(1)
    if isinstance(network, RestorationGenerator) and network.masked:
        return pictures, (torch.rand(2, 1, SIDE, SIDE) > 0.7).float()
    return (pictures,)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "cut"])  # cut: tests of the stage
def test_it_trains_through_its_stage_to_the_same_bytes_cold_and_goes_on_warm(name: str, tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, name, train={"steps": 3})
    trained = train.main("dots", workspace)
    first = (trained / "networks.npz").read_bytes()
    assert (train.main("dots", workspace) / "networks.npz").read_bytes() == first
    warm_start.keep(workspace.warm_start("first"), trained / "networks.npz", {"trained_on": {}})
    begun = build_method(name, smoke_params())
    assert warm_start.begin_with(begun.networks, workspace.warm_start("first"))
    averaged = set(begun.averaged)
    with np.load(trained / "networks.npz", allow_pickle=False) as arrays:
        assert {key.partition(".")[0] for key in arrays.files} == set(begun.networks) >= averaged
        for network, module in begun.networks.items():
            for key, value in module.state_dict().items():
                assert np.array_equal(value.numpy(), arrays[f"{network}.{key}"]), (network, key)
    with np.load(trained / "best.npz", allow_pickle=False) as arrays:
        assert {key.partition(".")[0] for key in arrays.files} == averaged


def test_the_networks_of_another_method_are_no_warm_start(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, "fastcut", train={"steps": 3})
    trained = train.main("dots", workspace)
    folder = warm_start.keep(workspace.warm_start("other"), trained / "networks.npz", {"trained_on": {}})
    with pytest.raises(ValueError, match=r"warm start 'other' does not fit: \S+ is missing there"):
        warm_start.begin_with(build_method("cyclegan", smoke_params()).networks, folder)


@pytest.mark.slow
@every
def test_a_recipe_becomes_a_package_with_figures_pictures_and_a_page(name: str, tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, method=name)
    judge.main("dots", workspace, load_params(workspace.params_file))
    train.main("dots", workspace)
    assert list((workspace.trained("dots") / "samples").glob("*.jpg"))
    folder = package.main("dots", workspace)
    beside = {Direction: "reverse", Code: "discriminator"}
    networks = ("generator", *(beside[kind] for kind in METHODS[name].conditions if kind in beside))
    assert {path.name for path in folder.iterdir()} == {
        *(f"{network}.{kind}" for network in networks for kind in ("safetensors", "onnx")),
        "config.json",
        "preview.jpg",
        "manifest.json",
        "trained_on.json",
        *(["references-dots.jpg"] if FACTS[name].reference else []),
    }  # of these, none is pickle; the graphs were held against torch when they were written
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
    if FACTS[name].task == "generate":
        assert bool(metrics["codes"]) is (Code in METHODS[name].conditions)
    if Code in METHODS[name].conditions:
        assert 0 <= metrics["metrics"]["codes/independent"]["value"] <= 1
        assert metrics["controls"]["chance"]["codes/own"]["value"] == pytest.approx(1 / 3)
        assert "What the codes do" in (report / "report.html").read_text()
        assert "`k1`, `c1`" in (report / "model_card.md").read_text()
    heat = read_json(report / "gallery" / "heat.json")
    assert heat["missing"] == ""
    assert [len(group["shown"]) for group in heat["groups"]]
    assert "What the discriminator takes for painted" in (report / "report.html").read_text()
