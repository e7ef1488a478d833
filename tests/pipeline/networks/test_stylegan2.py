"""StyleGAN2's networks: published sizes, and every layer against its formula computed in another way."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.equalised import EqualisedConv, EqualisedLinear, ModulatedConv, StyledLayer
from pipeline.networks.resampling import Fir
from pipeline.networks.stylegan2 import Mapping, StyleDiscriminator, StyleGenerator, group_deviation

TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small(side: int = 16) -> StyleGenerator:
    torch.manual_seed(0)
    return StyleGenerator(latent=6, side=side, channels=4, most=8, layers=2)


def filtered(plane: np.ndarray, before: int, behind: int, gain: float = 1) -> np.ndarray:
    """Slide the filter over one plane with zeros around it, tap by tap."""
    padded = np.pad(plane, (before, behind))
    height, width = (size - 3 for size in padded.shape)
    out = np.zeros((height, width))
    for y in range(4):
        for x in range(4):
            out += gain * TAPS[y, x] * padded[y : y + height, x : x + width]
    return out


def each(planes: Tensor) -> np.ndarray:
    return planes.detach().double().numpy().reshape(-1, *planes.shape[2:])


def test_the_networks_of_1024_px_have_the_published_numbers_of_parameters() -> None:
    generator, discriminator = StyleGenerator(512, 1024, 32), StyleDiscriminator(1024, 32)
    assert parameters(generator) == 30_370_060  # configuration F, as its authors' code prints them
    assert parameters(discriminator) == 29_012_513


def test_the_generator_of_256_px_has_the_layers_of_the_paper() -> None:
    generator = StyleGenerator()
    widths = [512, 512, 512, 512, 256, 128, 64]  # at 4, 8, ... 256 px: 16384 / px, 512 at most
    layers = [(512, 512)]
    for before, after in pairwise(widths):
        layers += [(before, after), (after, after)]
    expected = 8 * (512 * 512 + 512) + 512 * 16
    for inputs, outputs in layers:  # weights; bias; style; strength of noise
        expected += 9 * inputs * outputs + outputs + 513 * inputs + 1
    for width in widths:
        expected += 3 * width + 3 + 513 * width
    assert parameters(generator) == expected
    assert generator.synthesis.depth == 14
    assert generator.synthesis.sides == [4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256]


def test_the_discriminator_of_256_px_has_the_layers_of_the_paper() -> None:
    widths = [64, 128, 256, 512, 512, 512, 512]
    expected = 3 * 64 + 64
    for before, after in pairwise(widths):
        expected += 9 * before * before + before + 9 * before * after + after + before * after
    expected += 9 * 513 * 512 + 512 + 16 * 512 * 512 + 512 + 513
    assert parameters(StyleDiscriminator()) == expected


@pytest.mark.parametrize("side", [8, 32])
def test_images_and_scores_have_their_shapes_at_every_size(side: int) -> None:
    generator, discriminator = small(side), StyleDiscriminator(side, channels=4, most=8)
    latents = generator.draw(5, torch.Generator().manual_seed(0))
    images = generator(latents)
    assert latents.shape == (5, 6)
    assert images.shape == (5, 3, side, side)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (5,)


def test_halving_and_doubling_are_the_filter_slid_by_hand() -> None:
    fir, x = Fir(3), torch.randn(2, 3, 6, 8)
    for found, plane in zip(each(fir.halved(x)), each(x), strict=True):
        np.testing.assert_allclose(found, filtered(plane, 1, 1)[::2, ::2], atol=1e-6)
    for found, plane in zip(each(fir.doubled(x)), each(x), strict=True):
        spread = np.zeros((2 * plane.shape[0], 2 * plane.shape[1]))
        spread[::2, ::2] = plane
        np.testing.assert_allclose(found, filtered(spread, 2, 1, gain=4), atol=1e-6)
    inside = fir.doubled(torch.ones(1, 3, 4, 4))[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.ones_like(inside))  # the mean stays


def direct(weight: Tensor, style: Tensor, demodulate: bool) -> list[Tensor]:
    """Return each image's own weights, equations 1 and 3 word for word."""
    made = []
    for scales in style:
        own = weight * scales[None, :, None, None]
        if demodulate:
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        made.append(own)
    return made


@pytest.mark.parametrize("demodulate", [True, False])
def test_a_modulated_convolution_is_each_images_own_convolution(demodulate: bool) -> None:
    torch.manual_seed(1)
    layer = ModulatedConv(5, 7, 3, latent=4, demodulate=demodulate)
    x, latents = torch.randn(3, 5, 6, 6), torch.randn(3, 4)
    own = direct(layer.weight / math.sqrt(45), layer.style(latents), demodulate)
    expected = torch.cat([F.conv2d(image[None], weight, padding=1) for image, weight in zip(x, own, strict=True)])
    torch.testing.assert_close(layer(x, latents), expected, rtol=1e-4, atol=1e-5)
    if demodulate:
        for weight in own:
            norms = weight.square().sum((1, 2, 3))
            torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-4, atol=1e-4)


def test_a_style_begins_at_one_and_follows_its_latent() -> None:
    layer = ModulatedConv(5, 7, 3, latent=4)
    torch.testing.assert_close(layer.style(torch.zeros(2, 4)), torch.ones(2, 5))


def test_a_doubling_convolution_is_zeros_between_then_its_weights_then_the_filter() -> None:
    torch.manual_seed(2)
    layer = ModulatedConv(2, 3, 3, latent=4, up=True)
    x, latents = torch.randn(2, 2, 5, 5), torch.randn(2, 4)
    found = layer(x, latents)
    assert found.shape == (2, 3, 10, 10)
    own = direct(layer.weight / math.sqrt(18), layer.style(latents), True)
    for image, weight, result in zip(x, own, found, strict=True):
        spread = torch.zeros(2, 9, 9)  # a zero between every two
        spread[:, ::2, ::2] = image
        mirrored = weight.flip(2, 3)  # a transposed convolution slides the mirrored kernel
        wide = F.conv2d(spread[None], mirrored, padding=2)[0].detach().double().numpy()
        expected = np.stack([filtered(plane, 1, 1, gain=4) for plane in wide])
        np.testing.assert_allclose(result.detach().numpy(), expected, atol=1e-5)


def test_a_halving_convolution_filters_first() -> None:
    torch.manual_seed(2)
    layer = EqualisedConv(2, 3, 3, down=True, activate=False)
    x = torch.randn(1, 2, 8, 8)
    smooth = torch.from_numpy(np.stack([filtered(plane, 2, 2) for plane in each(x)])).float()
    expected = F.conv2d(smooth[None], layer.weight / math.sqrt(18))[:, :, ::2, ::2]
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    assert layer(x).shape == (1, 3, 4, 4)


def test_equalised_layers_scale_their_weights_at_run_time() -> None:
    torch.manual_seed(3)
    layer, x = EqualisedLinear(40, 3, bias=0.5, rate=0.1, activate=True), torch.randn(2, 40)
    drawn = layer.weight.detach() * 0.1
    assert float(drawn.std()) == pytest.approx(1, rel=0.2)
    expected = math.sqrt(2) * F.leaky_relu(x @ drawn.T / math.sqrt(40) + 0.5, 0.2)
    torch.testing.assert_close(layer(x), expected)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    slope = torch.where(expected > 0, 1.0, 0.2) * math.sqrt(2)
    torch.testing.assert_close(layer.bias.grad, 0.1 * slope.sum(0))  # so Adam's equal steps move it a tenth as far


def test_a_styled_layer_adds_noise_of_a_learnt_strength_before_the_relu() -> None:
    torch.manual_seed(4)
    layer = StyledLayer(3, 2, latent=4)
    x, latents, noise = torch.randn(2, 3, 4, 4), torch.randn(2, 4), torch.randn(2, 1, 4, 4)
    quiet = layer(x, latents, noise)
    torch.testing.assert_close(layer(x, latents, -noise), quiet)  # the strength begins at 0
    with torch.no_grad():
        layer.strength.fill_(0.7)
        layer.bias.copy_(torch.tensor([0.3, -0.2])[:, None, None])
    made = layer.conv(x, latents) + 0.7 * noise + torch.tensor([0.3, -0.2])[:, None, None]
    torch.testing.assert_close(layer(x, latents, noise), math.sqrt(2) * F.leaky_relu(made, 0.2))


def test_the_mapping_network_sees_only_the_direction_of_its_noise() -> None:
    mapping, noise = Mapping(8, layers=3), torch.randn(4, 8)
    torch.testing.assert_close(mapping(3 * noise), mapping(noise), rtol=1e-4, atol=1e-5)
    assert float((mapping(noise) - mapping(-noise)).detach().abs().max()) > 0.1


def test_the_deviation_of_a_group_is_numpys() -> None:
    x = torch.randn(6, 3, 2, 2)
    found = group_deviation(x, 3).numpy()
    for start in (0, 3):
        expected = x[start : start + 3].numpy().std(axis=0).mean()
        np.testing.assert_allclose(found[start : start + 3], np.full((3, 1, 2, 2), expected), rtol=1e-5)
    assert group_deviation(x, 4).shape == (6, 1, 2, 2)  # 4 does not divide 6: groups of 3
    np.testing.assert_allclose(group_deviation(x, 4).numpy(), found)
    np.testing.assert_allclose(group_deviation(x[:1].expand(4, -1, -1, -1), 4).numpy(), 1e-4, rtol=1e-4)


def test_the_discriminator_can_tell_a_group_whose_images_are_alike() -> None:
    torch.manual_seed(5)
    discriminator = StyleDiscriminator(8, channels=4, most=8, group=2)
    one, other = torch.randn(2, 1, 3, 8, 8).unbind(0)
    alone = discriminator(torch.cat([one, one]))[0]
    assert not torch.isclose(alone, discriminator(torch.cat([one, other]))[0])
    four = discriminator(torch.cat([one, other, one, one]))
    torch.testing.assert_close(four[2], alone)  # groups follow each other


def test_truncation_goes_to_the_mean_image_and_no_further() -> None:
    generator = small()
    generator.remember(torch.full((6,), 40.0))
    torch.testing.assert_close(generator.mean, torch.full((6,), 0.2))
    latents = generator.draw(3, torch.Generator().manual_seed(1))
    assert generator.truncate(latents, 1.0) is latents
    mean = generator(generator.mean[None])
    for image in generator(generator.truncate(latents, 0.0)):
        torch.testing.assert_close(image, mean[0])
    half = generator.truncate(latents, 0.5)
    torch.testing.assert_close(half, (latents + 0.2) / 2)


def test_the_way_between_two_latents_is_straight() -> None:
    generator = small()
    a, b = generator.draw(2, torch.Generator().manual_seed(2)).split(1)
    torch.testing.assert_close(generator.between(a, b, 0.25), 0.75 * a + 0.25 * b)


def noisy(side: int) -> StyleGenerator:
    generator = small(side)
    with torch.no_grad():
        for layer in generator.synthesis.layers:
            layer.strength.fill_(0.5)
    return generator


def test_a_latent_alone_decides_its_image() -> None:
    generator = noisy(8)
    latents = generator.draw(3, torch.Generator().manual_seed(3))
    torch.testing.assert_close(generator(latents)[1:], generator(latents[1:]), rtol=1e-4, atol=1e-5)


def test_noise_is_the_images_own_of_unit_variance_and_none_in_the_mean_image() -> None:
    generator = noisy(64)
    directions = F.normalize(torch.randn(200, 8))
    finest = generator.synthesis.noise(directions)[-1].squeeze(1)
    assert finest.shape == (200, 64, 64)
    assert float(finest.mean()) == pytest.approx(0, abs=0.03)
    assert float(finest.std()) == pytest.approx(1, abs=0.03)
    others = ~torch.eye(200, dtype=torch.bool)
    alike = torch.corrcoef(finest.flatten(1))[others]
    torch.testing.assert_close(alike, (directions @ directions.T)[others], atol=0.1, rtol=0)
    every = generator.mean.expand(1, generator.synthesis.depth, -1)
    silent = [torch.zeros(1, 1, side, side) for side in generator.synthesis.sides]
    torch.testing.assert_close(generator(generator.mean[None]), generator.synthesis(every, silent).clamp(-1, 1))


def test_each_layer_has_a_latent_and_noise_of_its_own() -> None:
    generator = noisy(8)
    synthesis = generator.synthesis
    latents = generator.draw(2, torch.Generator().manual_seed(3))
    every = latents[:1, None].repeat(1, synthesis.depth, 1)
    silent = [torch.zeros(1, 1, side, side) for side in synthesis.sides]
    plain = synthesis(every, silent)
    for number in range(synthesis.depth):
        changed = every.clone()
        changed[:, number] = latents[1]
        assert float((synthesis(changed, silent) - plain).detach().abs().max()) > 1e-4, number
    for number in range(len(silent)):
        noise = [torch.ones_like(given) if i == number else given for i, given in enumerate(silent)]
        assert float((synthesis(every, noise) - plain).detach().abs().max()) > 1e-4, number
