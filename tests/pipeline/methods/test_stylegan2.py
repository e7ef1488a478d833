"""StyleGAN2's regularisers against closed forms, its latents, and what it remembers."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline import losses, train
from pipeline.generation import Sampler
from pipeline.methods.base import Batch
from pipeline.methods.stylegan2 import Stylegan2Method
from pipeline.trainer import Trainer, step_randomness
from tests.pipeline.training import smoke_params, tiny_workspace

SIDE, COUNT = 16, 4


def method(**own: Any) -> Stylegan2Method:
    return Stylegan2Method(smoke_params(stylegan2=own, train={"batch": COUNT}))


def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(None, torch.rand(COUNT, 3, SIDE, SIDE, generator=draw) * 2 - 1)


def stream(seed: int = 4) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Quadratic(nn.Module):
    """D(x) = a |x|^2 / 2, whose slope at x is a x."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x.square().sum((1, 2, 3)) / 2


def test_r1_is_lazy_and_scaled_by_pixels_and_batch() -> None:
    made, given = method(r1=0.003, r1_every=4), batch()
    made.discriminator = Quadratic(0.1)  # type: ignore[assignment]
    found = [made.step(given, step, stream()) for step in range(9)]
    assert [step for step, named in enumerate(found) if "r1" in named["discriminator"]] == [0, 4, 8]
    gamma = 0.003 * SIDE**2 / COUNT
    energy = given.paintings.square().sum((1, 2, 3)).mean()
    expected = 4 * gamma / 2 * 0.1**2 * energy
    assert float(found[0]["discriminator"]["r1"].detach()) == pytest.approx(float(expected), rel=1e-4)
    (slope,) = torch.autograd.grad(found[0]["discriminator"]["r1"], made.discriminator.a)
    assert float(slope) == pytest.approx(float(4 * gamma * 0.1 * energy), rel=1e-4)  # it can be descended


def test_r1_is_of_paintings_as_they_are_and_passes_back_through_their_changes() -> None:
    """D(2 x) = a |2 x|^2 / 2 has the slope 4 a x where D(x) has a x."""
    made, given = method(r1=1.0, r1_every=1), batch()
    made.discriminator = Quadratic(0.1)  # type: ignore[assignment]
    plain = made.step(given, 0, stream())["discriminator"]["r1"]
    made.augmenter.forward = lambda images, drawn: 2 * images  # type: ignore[method-assign]
    torch.testing.assert_close(made.step(given, 0, stream())["discriminator"]["r1"], 16 * plain)


def test_path_lengths_of_a_linear_generator_are_known() -> None:
    """Images c w: their Jacobian is c times the identity, so the length of a direction y is c |y| / sqrt(pixels)."""
    latents, scale = torch.randn(3, 1, 48, requires_grad=True), torch.tensor(2.5, requires_grad=True)
    directions = torch.randn(3, 3, 4, 4)
    lengths = losses.path_lengths(scale * latents.view(3, 3, 4, 4), latents, directions)
    sizes = directions.flatten(1).norm(dim=1) / 4
    torch.testing.assert_close(lengths, 2.5 * sizes)
    penalty = losses.g_path_length(lengths, torch.tensor(2.0))
    torch.testing.assert_close(penalty, (2.5 * sizes - 2).square().mean())
    (slope,) = torch.autograd.grad(penalty, scale)
    torch.testing.assert_close(slope, (2 * (2.5 * sizes - 2) * sizes).mean())


def test_of_several_latents_the_length_is_the_root_of_the_mean_square() -> None:
    matrices, latents = torch.randn(2, 48, 5), torch.randn(3, 2, 5, requires_grad=True)
    images = torch.einsum("lpd,nld->np", matrices, latents).view(3, 3, 4, 4)
    directions = torch.randn(3, 3, 4, 4)
    pulled = torch.einsum("lpd,np->nld", matrices, directions.flatten(1)) / 4
    expected = (pulled.square().sum((1, 2)) / 2).sqrt()
    torch.testing.assert_close(losses.path_lengths(images, latents, directions), expected)


def test_the_path_penalty_is_lazy_and_follows_its_own_mean() -> None:
    made = method(path_length=3.0, path_every=3)
    found = [made.step(batch(), step, stream()) for step in range(7)]
    assert [step for step, named in enumerate(found) if "path" in named["generator"]] == [0, 3, 6]
    first = method(path_length=3.0, path_every=3)
    loss = float(first.step(batch(), 0, stream())["generator"]["path"].detach())
    mean = float(first.length.mean)  # a hundredth of the mean length, as it began at 0
    double = method(path_length=6.0, path_every=3)
    assert float(double.step(batch(), 0, stream())["generator"]["path"].detach()) == pytest.approx(2 * loss)
    assert loss >= 9 * (100 * mean - mean) ** 2 * (1 - 1e-4)  # Jensen: of no less than the mean length's own distance
    assert mean > 0


def test_without_mixing_all_layers_have_one_latent_and_with_it_two() -> None:
    made = method(mixing=0.0)
    styles = made._styles(COUNT, stream())
    torch.testing.assert_close(styles, styles[:, :1].expand_as(styles))
    mixed = method(mixing=1.0)
    for image in mixed._styles(32, stream()):
        changes = (image[1:] != image[:-1]).any(1)
        assert int(changes.sum()) == 1  # coarse layers one latent, fine ones another
    depth = mixed.generator.synthesis.depth
    borders = [int((image != image[0]).any(1).nonzero()[0]) for image in mixed._styles(200, stream())]
    assert set(borders) == set(range(1, depth))
    often = method(mixing=0.9)._styles(400, stream())
    share = (often[:, 0] != often[:, -1]).any(1).float().mean()
    assert float(share) == pytest.approx(0.9, abs=0.05)


def test_the_mean_latent_follows_what_was_mapped() -> None:
    made = method()
    made.generator.mean.fill_(1.0)
    styles = method(mixing=0.0)
    seen = styles.generator.mapping(torch.randn(4096, 8)).mean(0)
    for step in range(900):
        made._styles(COUNT, step_randomness(0, step))
    torch.testing.assert_close(made.generator.mean, seen, atol=0.1, rtol=0)


def test_p_and_the_mean_length_are_in_checkpoints() -> None:
    params = smoke_params(train={"batch": COUNT})
    trainer = Trainer(Stylegan2Method(params), params.train, torch.device("cpu"))
    for step in range(2):
        trainer.step(batch(), step, step_randomness(0, step))
    made = trainer.method
    assert isinstance(made, Stylegan2Method)
    made.augmenter.p.fill_(0.25)
    kept = trainer.state()["memories"]
    assert float(kept["augmenter"]["p"]) == 0.25
    assert float(kept["length"]["mean"]) == float(made.length.mean) > 0
    assert set(made.figures) == {"p", "sign"}


@pytest.mark.parametrize("gan", ["non_saturating", "lsgan"])
def test_the_sign_is_counted_from_where_the_loss_puts_its_border(gan: str) -> None:
    made = method(gan=gan)
    real = torch.tensor([0.4, 0.6, 0.7, 0.8])
    made._adapt(real, 0)
    assert float(made.figures["sign"]) == (1.0 if gan == "non_saturating" else 0.5)


def test_a_seed_gives_one_image_and_truncation_0_the_same_for_all_seeds() -> None:
    made = method()
    made._styles(COUNT, stream())
    sampler = Sampler(made.generator, {}, "", torch.device("cpu"))
    one, other = sampler([1, 2])
    assert next(iter(sampler([1]))).tobytes() == one.tobytes() != other.tobytes()
    means = {image.tobytes() for image in sampler([1, 2, 3], truncation=0.0)}
    assert len(means) == 1
    way = list(sampler.between(1, 2, 3, truncation=0.5))
    assert way[0].tobytes() == next(iter(sampler([1], truncation=0.5))).tobytes()


def test_the_settings_reach_the_networks() -> None:
    made = method(generator={"channels": 4, "most": 8}, mapping={"layers": 3, "rate": 0.02}, side=32)
    assert made.generator.synthesis.constant.shape == (1, 8, 4, 4)
    assert [layer.rate for layer in made.generator.mapping] == pytest.approx([0.02 * math.sqrt(2)] * 3)
    assert made.describe()["arguments"] == {
        "latent": 8,
        "side": 32,
        "channels": 4,
        "most": 8,
        "layers": 3,
        "rate": 0.02,
    }


def test_p_and_the_sign_stand_in_the_history_beside_the_losses(tmp_path: Path) -> None:
    folder = train.main("dots", tiny_workspace(tmp_path, "stylegan2"))
    with (folder / "history.csv").open() as table:
        last = list(csv.DictReader(table))[-1]
    assert 0 <= float(last["method/p"]) <= 1
    assert -1 <= float(last["method/sign"]) <= 1


@pytest.mark.slow
def test_compiled_networks_keep_the_lazy_terms() -> None:
    """What differentiates a gradient is computed by the networks as they are written: nothing has to be left out."""
    plain, compiled = method(r1=0.01, r1_every=1, path_every=1), method(r1=0.01, r1_every=1, path_every=1)
    compiled.compile("aot_eager")
    expected, found = (made.step(batch(), 0, stream()) for made in (plain, compiled))
    assert set(found["discriminator"]) == {"gan", "r1"}
    assert set(found["generator"]) == {"gan", "path"}
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for player in plain.players:
        sums = [sum(named[player].values()) for named in (expected, found)]
        slopes = [
            torch.autograd.grad(total, made.player_parameters(player), retain_graph=True)  # type: ignore[arg-type]
            for total, made in zip(sums, (plain, compiled), strict=True)
        ]
        for one, other in zip(*slopes, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4)
