import pytest
import torch

from pipeline.networks.averaging import Average
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.generators import ResnetGenerator
from pipeline.networks.layers import Blur, ChannelNorm, initialise, instance_norm


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(32, 32), (48, 64)])
def test_a_generator_keeps_the_size_and_the_range(antialias: bool, size: tuple[int, int]) -> None:
    network = ResnetGenerator(channels=8, blocks=2, antialias=antialias)
    painted = network(torch.rand(2, 3, *size) * 2 - 1)
    assert painted.shape == (2, 3, *size)
    assert painted.abs().max() <= 1


def test_the_published_size_has_the_published_number_of_parameters() -> None:
    # CycleGAN's ResNet-9: 11.378 M with biases everywhere; ours adds two affine values per normalised channel
    # and keeps 3x3 convolutions for upsampling where CycleGAN has transposed ones of the same size.
    network = ResnetGenerator(channels=64, blocks=9, antialias=False, detail=False, norm="instance")
    affine = 2 * (64 + 128 + 256 + 9 * 2 * 256 + 128 + 64)
    assert _parameters(network) - affine == 11_378_179


def test_the_published_discriminator_sees_patches_of_70_pixels() -> None:
    network = PatchDiscriminator(channels=64, layers=3, spectral_norm=False)
    assert _parameters(network) == 2_764_737  # pix2pix's 70x70 PatchGAN: biases in every layer
    image = torch.zeros(1, 3, 256, 256, requires_grad=True)
    assert network(image).shape == (1, 1, 30, 30)
    plain = torch.nn.Sequential(*(m for m in network.body if not isinstance(m, torch.nn.InstanceNorm2d)))
    plain(image)[0, 0, 15, 15].backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_spectral_norm_bounds_every_layer() -> None:
    network = PatchDiscriminator(channels=8, layers=2, spectral_norm=True)
    for _ in range(30):
        network(torch.rand(1, 3, 32, 32))
    for layer in network.body:
        if isinstance(layer, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def test_the_scale_multiplies_the_scores_and_nothing_else() -> None:
    plain, scaled = (PatchDiscriminator(channels=8, layers=2, scale=scale).eval() for scale in (1.0, 10.0))
    scaled.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(scaled(image), 10 * plain(image))


def test_features_have_the_channels_that_are_declared() -> None:
    network = ResnetGenerator(channels=8, blocks=3)
    features = network.encode(torch.zeros(1, 3, 32, 32))
    assert [feature.shape[1] for feature in features] == network.feature_channels


def test_detail_brings_the_first_layer_to_the_last() -> None:
    """Without the narrow middle, the output still depends on the photograph at full resolution."""
    for detail in (True, False):
        network = ResnetGenerator(channels=8, blocks=1, detail=detail)
        features = network.encode(torch.rand(1, 3, 16, 16))
        features[-1] = torch.zeros_like(features[-1])
        assert (network.decode(features).std(dim=(2, 3)).max() > 1e-3) == detail


def test_channel_norm_gives_every_place_channels_of_mean_square_one() -> None:
    x = torch.randn(2, 6, 4, 5) * torch.tensor([0.2, 100.0]).view(2, 1, 1, 1)
    norm = ChannelNorm(6)
    torch.testing.assert_close(norm(x).square().mean(1), torch.ones(2, 4, 5), rtol=0.01, atol=0)
    with torch.no_grad():
        norm.weight[2], norm.bias[2] = 3.0, 0.5
    torch.testing.assert_close(norm(x)[:, 2], 3 * ChannelNorm(6)(x)[:, 2] + 0.5)


def test_instance_norm_is_torchs_own_and_keeps_channels_last() -> None:
    x = torch.randn(2, 6, 5, 7).to(memory_format=torch.channels_last) * 3 + 1
    norm = instance_norm(6)
    torch.testing.assert_close(norm(x), torch.nn.functional.instance_norm(x))
    assert norm(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("norm", ["channel", "instance"])
def test_behind_the_encoder_a_blob_changes_what_is_far_from_it_only_with_instance_norm(norm: str) -> None:
    network = ResnetGenerator(channels=8, blocks=1, norm=norm)
    features = network.encode(torch.rand(1, 3, 128, 128))
    before = network.decode(features)
    features[-1] = features[-1].clone()
    features[-1][..., :3, :3] += 100
    far = (slice(None), slice(None), slice(64, None), slice(64, None))
    change = (network.decode(features)[far] - before[far]).abs().max()
    assert change > 0.01 if norm == "instance" else change == 0


def test_blur_keeps_flat_areas_and_removes_the_finest_checks() -> None:
    flat = torch.full((1, 2, 8, 8), 0.7)
    torch.testing.assert_close(Blur(2)(flat), flat)
    checks = torch.tensor([1.0, -1.0]).repeat(4).expand(8, 8).clone()[None, None]
    assert Blur(1)(checks).abs().max() < 1e-6
    assert Blur(2, stride=2)(flat).shape == (1, 2, 4, 4)


def test_every_parameter_gets_a_gradient() -> None:
    for network in (ResnetGenerator(8, 2), PatchDiscriminator(8, 2)):
        initialise(network, gain=1.0)
        network(torch.rand(1, 3, 32, 32)).square().mean().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            if not name.endswith("bias"):
                assert parameter.grad.abs().sum() > 0, name


def test_the_average_follows_its_definition() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average = Average(network, decay=0.9)
    torch.nn.init.ones_(network.weight)
    average.update(network, step=0)  # warm-up decay (1 + 0) / (10 + 0)
    assert average.network.weight.item() == pytest.approx(0.9)
    average.update(network, step=10_000)
    assert average.network.weight.item() == pytest.approx(0.9 + 0.1 * 0.1)
