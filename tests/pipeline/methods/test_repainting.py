"""What holds for every method that repaints photographs: one suite over all of them."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline import devices, train, warm_start
from pipeline.methods import METHODS, build_method
from pipeline.methods.base import Batch, Losses
from pipeline.params import Adversarial
from pipeline.trainer import Health, State, Trainer, step_randomness
from tests.pipeline.training import smoke_params, tiny_workspace

CPU = torch.device("cpu")
SIDE = 24  # px: the least of which a pyramid's top still holds a patch
REPAINT = [name for name, method in METHODS.items() if method.task == "stylize"]
every = pytest.mark.parametrize("method", REPAINT)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def new_trainer(method: str, own: dict[str, object] | None = None, **settings: object) -> Trainer:
    methods: dict[str, dict[str, object]] = {"cut": {"warmup_steps": 0}}
    methods[method] = methods.get(method, {}) | (own or {})
    loop = {"steps": 40, "decay_from": 1.0, "crop": SIDE} | settings
    params = smoke_params(**methods, train=loop, prepare={"crop": 32})
    return Trainer(build_method(method, params), params.train, CPU)


def batch_at(step: int) -> Batch:
    draw = torch.Generator().manual_seed(step)
    return Batch(*(torch.rand(2, 3, SIDE, SIDE, generator=draw) * 2 - 1 for _ in range(2)))


def take(trainer: Trainer, step: int) -> Losses:
    return trainer.step(batch_at(step), step, step_randomness(0, step))


def tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)


def same(one: object, other: object) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def reloaded(state: State) -> State:
    """Return a state as it comes back from a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: State = torch.load(buffer, weights_only=True)
    return loaded


@every
def test_a_translation_has_the_shape_and_the_range_of_its_photograph(method: str) -> None:
    found = new_trainer(method).method.translate(torch.rand(3, 3, 16, 24) * 2 - 1)
    assert found.shape == (3, 3, 16, 24)
    assert found.abs().max() <= 1


@every
def test_every_parameter_of_every_player_is_moved(method: str) -> None:
    trainer = new_trainer(method)
    owned = [name for names in trainer.method.players.values() for name in names]
    assert sorted(owned) == sorted(trainer.method.networks)  # each by one player
    take(trainer, 0)
    for player in trainer.method.players:
        for parameter in trainer.method.player_parameters(player):
            assert parameter.grad is not None
            assert parameter.grad.stride() == parameter.stride()  # as a fused optimiser needs it
    for name, network in trainer.method.networks.items():
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters()), name


@every
def test_the_same_step_twice_gives_the_same_bits_whatever_the_global_stream(method: str) -> None:
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        trainer = new_trainer(method)
        for step in range(2):
            take(trainer, step)
        states.append(trainer.state())
    assert same(*states)


@every
def test_from_any_step_a_resumed_training_ends_in_the_same_bits(method: str) -> None:
    """Enough steps for a pool of three images to fill and to give back earlier ones."""
    trainer, states = new_trainer(method), list[State]()
    for step in range(4):
        states.append(reloaded(trainer.state()))
        take(trainer, step)
    for begin, state in enumerate(states):
        other = new_trainer(method)
        other.load(state)
        for step in range(begin, 4):
            take(other, step)
        assert same(other.state(), trainer.state()), begin


@every
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(method: str) -> None:
    trainer = new_trainer(method)
    for step in range(2):
        take(trainer, step)
    before = copy.deepcopy(trainer.state())
    real = trainer.method.step

    def poisoned(batch: Batch, step: int, draw: torch.Generator) -> Losses:
        losses = real(batch, step, draw)
        losses["generator"] = {name: value * torch.nan for name, value in losses["generator"].items()}
        return losses

    trainer.method.step = poisoned  # type: ignore[method-assign]
    take(trainer, 2)
    for part in ("networks", "averages", "optimisers", "memories"):
        assert same(trainer.state()[part], before[part]), part
    assert trainer.health() == Health(bad_in_a_row=1, bad_total=1)


@every
@pytest.mark.parametrize("gan", Adversarial.__args__)  # type: ignore[attr-defined]
def test_every_adversarial_loss_trains_it(method: str, gan: str) -> None:
    losses = take(new_trainer(method, {"gan": gan}), 0)
    assert {"generator", "discriminator"} == set(losses)
    assert all(value.isfinite() for value in tensors(losses))


@every
def test_in_bf16_all_that_is_kept_stays_in_full_precision(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: True)
    exact, fast = new_trainer(method), new_trainer(method, precision="bf16")
    expected, losses = take(exact, 0), take(fast, 0)
    kept = {name: fast.state()[name] for name in ("networks", "averages", "memories")}
    assert {value.dtype for value in [*tensors(kept), *tensors(losses)]} <= {torch.float32, torch.int64}
    assert not same(losses, expected)
    for one, other in zip(tensors(losses), tensors(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)


@every
@pytest.mark.slow
def test_a_compiled_step_gives_the_losses_and_gradients_of_a_plain_one(method: str) -> None:
    plain, compiled = new_trainer(method), new_trainer(method)
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


@pytest.mark.parametrize("method", [name for name in REPAINT if name != "cut"])  # cut: tests of the stage
def test_it_trains_through_its_stage_to_the_same_bytes_cold_and_goes_on_warm(method: str, tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, method, train={"steps": 3})
    trained = train.main("dots", workspace)
    first = (trained / "networks.npz").read_bytes()
    assert (train.main("dots", workspace) / "networks.npz").read_bytes() == first
    warm_start.keep(workspace.warm_start("first"), trained / "networks.npz", {"trained_on": {}})
    begun = build_method(method, smoke_params())
    assert warm_start.begin_with(begun.networks, workspace.warm_start("first"))
    averaged = set(begun.averaged)
    with np.load(trained / "networks.npz", allow_pickle=False) as arrays:
        assert {name.partition(".")[0] for name in arrays.files} == set(begun.networks) >= averaged
        for name, network in begun.networks.items():
            for key, value in network.state_dict().items():
                assert np.array_equal(value.numpy(), arrays[f"{name}.{key}"]), (name, key)
    with np.load(trained / "best.npz", allow_pickle=False) as arrays:
        assert {name.partition(".")[0] for name in arrays.files} == averaged


def test_the_networks_of_another_method_are_no_warm_start(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, "fastcut", train={"steps": 3})
    trained = train.main("dots", workspace)
    folder = warm_start.keep(workspace.warm_start("other"), trained / "networks.npz", {"trained_on": {}})
    with pytest.raises(ValueError, match=r"warm start 'other' does not fit: \S+ is missing there"):
        warm_start.begin_with(build_method("cyclegan", smoke_params()).networks, folder)
