"""DCGAN: its networks are the published ones, and its parts are what their formulas say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pipeline import losses
from pipeline.distributed import Team
from pipeline.methods import build_method
from pipeline.methods.base import Batch
from pipeline.networks.dcgan import DcganDiscriminator, DcganGenerator, initialise
from pipeline.networks.latent import spherical
from tests.pipeline.training import smoke_params


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_generator_has_the_papers_shape_with_kernels_of_four() -> None:
    generator = DcganGenerator(latent=100, channels=128, side=64)
    widths = [1024, 512, 256, 128]  # figure 1
    convolutions = 16 * (100 * 1024 + 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3) + 3
    assert parameters(generator) == convolutions + 2 * sum(widths)
    shapes: list[tuple[int, ...]] = []
    for layer in generator.body:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.register_forward_hook(lambda *given: shapes.append(tuple(given[2].shape[1:])))
    images = generator(generator.draw(2, torch.Generator().manual_seed(0)))
    assert shapes == [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]
    assert images.shape == (2, 3, 64, 64)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("normalise", ["batch", "spectral", "none"])
def test_the_discriminator_mirrors_it(normalise: str) -> None:
    discriminator = DcganDiscriminator(channels=16, side=64, normalise=normalise)  # type: ignore[arg-type]
    assert discriminator(torch.zeros(3, 3, 64, 64)).shape == (3,)
    widths = [16, 32, 64, 128]
    weights = 16 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128 + 128)
    beside = 2 * sum(widths[1:]) + 1 if normalise == "batch" else sum(widths) + 1
    assert parameters(discriminator) == weights + beside


def test_spectral_normalisation_leaves_no_layer_that_stretches() -> None:
    torch.manual_seed(0)
    discriminator = DcganDiscriminator(channels=8, side=16, normalise="spectral")
    initialise(discriminator)
    for _ in range(50):  # power iterations
        discriminator(torch.randn(2, 3, 16, 16))
    discriminator.eval()
    for layer in discriminator.modules():
        if isinstance(layer, nn.Conv2d):
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
            assert float(largest) == pytest.approx(1, abs=0.02)


def test_weights_begin_as_the_paper_says() -> None:
    torch.manual_seed(0)
    generator = DcganGenerator(latent=100, channels=16, side=32)
    initialise(generator)
    layer = generator.body[0]
    assert isinstance(layer, nn.ConvTranspose2d)
    assert float(layer.weight.detach().mean()) == pytest.approx(0, abs=2e-4)
    assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    norms = torch.cat([m.weight.detach() for m in generator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert float(norms.mean()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", ["dcgan", "infogan"])
def test_two_processes_make_together_the_images_that_one_would(name: str) -> None:
    method = build_method(name, smoke_params())
    seen: list[torch.Tensor] = []
    method.networks["generator"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for team, count in ((Team(), 4), (Team(0, 2), 2), (Team(1, 2), 2)):
        method.team = team
        method.step(Batch(None, torch.zeros(count, 3, 16, 16)), 0, torch.Generator().manual_seed(0))
    whole, first, second = seen
    assert torch.equal(whole, torch.cat([first, second]))
    assert not torch.equal(first, second)


def test_r1_is_half_the_squared_slope_at_real_images() -> None:
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    weight = torch.randn(3, 4, 4)
    linear = (images * weight).sum((1, 2, 3))
    assert float(losses.d_r1(linear, images)) == pytest.approx(float(weight.square().sum()) / 2, rel=1e-5)
    square = images.square().sum((1, 2, 3))  # slope 2 x
    expected = 4 * images.detach().square().sum((1, 2, 3)).mean() / 2
    found = losses.d_r1(square, images)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    (second,) = torch.autograd.grad(found, images)  # of 2 |x|^2 / 5
    torch.testing.assert_close(second, 4 * images.detach() / 5)


def test_the_way_between_two_latents_is_an_arc_of_constant_length() -> None:
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    half = spherical(a, b, 0.5)
    torch.testing.assert_close(half, torch.tensor([[math.sqrt(2), math.sqrt(2)]]))
    torch.testing.assert_close(spherical(a, b, 0.0), a)
    torch.testing.assert_close(spherical(a, b, 1.0), b)
    torch.testing.assert_close(spherical(a, 3 * a, 0.5), 2 * a)  # no angle: a straight line
