"""One step: what moves, what stays when a number is not finite, and that the fast ways equal the plain ones."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline import devices
from pipeline.methods import build_method
from pipeline.methods.base import Batch, Losses
from pipeline.methods.cut import CutMethod
from pipeline.trainer import Health, State, Trainer, learning_rate, step_randomness
from tests.pipeline.training import smoke_params

CPU = torch.device("cpu")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SETTINGS = {"steps": 40, "decay_from": 1.0}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def new_trainer(device: torch.device = CPU, **train: object) -> Trainer:
    params = smoke_params(cut={"warmup_steps": 0}, train=SETTINGS | train)
    return Trainer(build_method("cut", params), params.train, device)


def batch_at(step: int) -> Batch:
    draw = torch.Generator().manual_seed(step)
    return Batch(*(torch.rand(2, 3, 32, 32, generator=draw) * 2 - 1 for _ in range(2)))


def take(trainer: Trainer, step: int) -> Losses:
    return trainer.step(batch_at(step), step, step_randomness(0, step))


def tensors(state: object) -> Iterator[Tensor]:
    """Yield every tensor of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)


def training_state(trainer: Trainer) -> list[Tensor]:
    """Everything that a step moves but the counters."""
    state = copy.deepcopy(trainer.state())
    return [*tensors({name: state[name] for name in ("networks", "averages", "optimisers", "memories")})]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Poison:
    """Makes a chosen number of a chosen player NaN: the loss itself, or its gradient alone."""

    def __init__(self, trainer: Trainer, player: str, where: str) -> None:
        self.player, self.where, self.on = player, where, True
        self.real: Callable[..., Losses] = trainer.method.step
        trainer.method.step = self.step  # type: ignore[method-assign]

    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        losses = self.real(batch, step, draw)
        if self.on:
            name, value = next(iter(losses[self.player].items()))
            if self.where == "loss":
                losses[self.player][name] = value * torch.inf
            else:
                value.register_hook(lambda gradient: gradient * torch.nan)
        return losses


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_step_that_is_not_finite_moves_nothing_of_any_player_and_is_counted(player: str, where: str) -> None:
    trainer = new_trainer()
    take(trainer, 0)
    assert trainer.health() == Health(bad_in_a_row=0, bad_total=0)
    before = training_state(trainer)
    poison = Poison(trainer, player, where)
    for step in (1, 2):
        take(trainer, step)
        assert same(training_state(trainer), before)
        assert trainer.health() == Health(bad_in_a_row=step, bad_total=step)
    poison.on = False
    take(trainer, 3)
    assert not same(training_state(trainer), before)
    assert trainer.health() == Health(bad_in_a_row=0, bad_total=2)


def test_after_a_skipped_step_training_goes_on_as_if_it_had_never_been() -> None:
    plain, hit = new_trainer(), new_trainer()
    take(hit, 0)
    take(plain, 0)
    poison = Poison(hit, "generator", "gradient")
    take(hit, 1)
    poison.on = False
    for trainer in (plain, hit):
        take(trainer, 2)
    assert same(training_state(plain), training_state(hit))


def test_the_very_first_step_may_be_the_bad_one() -> None:
    trainer = new_trainer()
    before = copy.deepcopy(trainer.method.networks)
    Poison(trainer, "discriminator", "loss")
    take(trainer, 0)
    for name, network in trainer.method.networks.items():
        assert same([*tensors(network.state_dict())], [*tensors(before[name].state_dict())])


def test_slowing_down_multiplies_the_rate_from_then_on_and_is_part_of_the_state() -> None:
    trainer = new_trainer()
    trainer.slow_down(0.5)
    trainer.slow_down(0.5)
    take(trainer, 0)
    rate = learning_rate(trainer.settings, 0)
    assert trainer.optimisers["generator"].param_groups[0]["lr"] == pytest.approx(rate / 4)
    other = new_trainer()
    other.load(reloaded(trainer.state()))
    take(other, 1)
    take(trainer, 1)
    assert same(training_state(other), training_state(trainer))


def reloaded(state: State) -> State:
    """Return a state as it comes back from a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: State = torch.load(buffer, weights_only=True)
    return loaded


def test_a_state_that_was_taken_stays_as_it_was_while_training_counts_on() -> None:
    trainer = new_trainer()
    Poison(trainer, "generator", "loss")
    take(trainer, 0)
    state = trainer.state()
    take(trainer, 1)
    trainer.load(state)
    assert trainer.health() == Health(bad_in_a_row=1, bad_total=1)


class PlainAdam(torch.optim.Adam):
    """Adam tensor by tensor, as written in its paper; it knows nothing of steps to skip."""

    def step(self, closure: None = None) -> None:
        del self.found_inf
        for group in self.param_groups:
            group["fused"] = False  # a loaded state brings its own
        super().step(closure)


def test_the_fused_step_is_plain_adam() -> None:
    fast, plain = new_trainer(), new_trainer()
    for player in plain.method.players:
        parameters = plain.method.player_parameters(player)
        plain.optimisers[player] = PlainAdam(parameters, lr=2e-4, betas=(0.5, 0.99), foreach=False)
    for step in range(3):
        for trainer in (fast, plain):
            take(trainer, step)
        for one, other in zip(training_state(fast), training_state(plain), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
        # Both start each step from the same state: a bias before a normalisation has a gradient of rounding errors
        # alone, which Adam divides by its own size.
        plain.load(copy.deepcopy(fast.state()))


def test_in_bf16_weights_moments_averages_and_losses_stay_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: True)
    exact, fast = new_trainer(), new_trainer(precision="bf16")
    expected, losses = take(exact, 0), take(fast, 0)
    assert {value.dtype for value in [*training_state(fast), *tensors(losses)]} == {torch.float32}
    assert not same([*tensors(losses)], [*tensors(expected)])
    for one, other in zip(tensors(losses), tensors(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=0.03, atol=0.03)


def test_one_pass_over_photographs_and_paintings_gives_what_two_give() -> None:
    method = new_trainer(device=CPU).method
    assert isinstance(method, CutMethod)
    method.params = replace(method.params, weights=replace(method.params.weights, identity=1.0))
    batch = batch_at(0)
    found = method._paint(batch, step_randomness(0, 0))
    torch.testing.assert_close(found.output, method.translate(batch.photos), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.kept, method.translate(batch.paintings), rtol=1e-4, atol=1e-5)
    sides = ((found.features, batch.photos), (found.painting_features, batch.paintings))
    for features, images in sides:
        for one, other in zip(features, method._compared(method.generator.encode(images)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_step_gives_the_losses_and_gradients_of_a_plain_one() -> None:
    plain, compiled = new_trainer(), new_trainer()
    compiled.method.compile("aot_eager")  # all but writing machine code, which takes minutes on a CPU
    for one, other in zip(tensors(take(compiled, 0)), tensors(take(plain, 0)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for player in plain.method.players:
        pairs = zip(*(t.method.player_parameters(player) for t in (plain, compiled)), strict=True)
        for one, other in pairs:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-2, atol=1e-4)
    assert compiled.state()["networks"]["generator"].keys() == plain.state()["networks"]["generator"].keys()


@needs_cuda
@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_on_a_gpu_no_step_waits_for_the_device(precision: str) -> None:
    device = torch.device("cuda")
    trainer = new_trainer(device, precision=precision)
    batch = Batch(*(images.to(device) for images in (batch_at(0).photos, batch_at(0).paintings)))
    for step in (0, 1):  # the first ones make what is kept: moments, plans of convolutions
        trainer.step(batch, step, step_randomness(0, step))
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = trainer.step(batch, 2, step_randomness(0, 2))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(value.isfinite() for value in tensors(losses))


@needs_cuda
@pytest.mark.gpu
def test_a_gpu_skips_a_step_that_is_not_finite_as_a_cpu_does() -> None:
    trainer = new_trainer(torch.device("cuda"))
    batch = Batch(*(images.cuda() for images in (batch_at(0).photos, batch_at(0).paintings)))
    trainer.step(batch, 0, step_randomness(0, 0))
    before = training_state(trainer)
    Poison(trainer, "generator", "gradient")
    trainer.step(batch, 1, step_randomness(0, 1))
    assert same(training_state(trainer), before)
    assert trainer.health() == Health(bad_in_a_row=1, bad_total=1)


def test_gradients_lie_in_memory_as_their_weights_do() -> None:
    trainer = new_trainer()
    take(trainer, 0)
    for player in trainer.method.players:
        for parameter in trainer.method.player_parameters(player):
            assert parameter.grad is not None
            assert parameter.grad.stride() == parameter.stride()
