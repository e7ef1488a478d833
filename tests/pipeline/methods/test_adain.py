"""AdaIN against its definition, its losses against closed forms, and the encoder: frozen, VGG16's or its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from pipeline import losses
from pipeline.files import sha256_file
from pipeline.methods.adain import AdainMethod, load_vgg16
from pipeline.methods.base import Batch
from pipeline.methods.conditions import NOTHING, Reference
from pipeline.networks.adain import (
    EPSILON,
    IMAGENET_MEAN,
    IMAGENET_STD,
    AdainGenerator,
    StyleDecoder,
    StyleEncoder,
    adain,
    fuse,
    statistics,
)
from pipeline.params import Params
from pipeline.trainer import Trainer, step_randomness
from pipeline.weights import CACHED
from tests.pipeline.training import smoke_params

CPU = torch.device("cpu")
SIDE = 24


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(count: int, seed: int = 0, side: int = SIDE) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def params_of(**own: object) -> Params:
    return smoke_params(adain=own, train={"steps": 40, "crop": SIDE})


def trainer_of(**own: object) -> Trainer:
    params = params_of(**own)
    return Trainer(AdainMethod(params), params.train, CPU)


def take(trainer: Trainer, step: int) -> dict[str, dict[str, Tensor]]:
    batch = Batch(pictures(2, seed=step), pictures(2, seed=100 + step))
    return trainer.step(batch, step, step_randomness(0, step))


# The operation


def test_the_result_has_the_reference_s_means_and_deviations() -> None:
    content, style = 3 * noise(2, 5, 9, 7) + 1, 0.5 * noise(2, 5, 11, 4, seed=1) - 2
    found = adain(content, statistics(style))
    torch.testing.assert_close(found.mean((2, 3)), style.mean((2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        found.var((2, 3), correction=0).sqrt(), style.var((2, 3), correction=0).sqrt(), atol=1e-3, rtol=1e-3
    )
    # and content's own arrangement, whatever its scale: equation 8 written out for one channel of one image
    one, other = content[1, 3], style[1, 3]
    expected = (one - one.mean()) / (one.var(correction=0) + EPSILON).sqrt()
    expected = expected * (other.var(correction=0) + EPSILON).sqrt() + other.mean()
    torch.testing.assert_close(found[1, 3], expected)


def test_strength_goes_from_the_content_to_the_whole_in_a_straight_line() -> None:
    content, code = noise(2, 3, 6, 6), statistics(4 * noise(2, 3, 6, 6, seed=1))
    assert torch.equal(fuse(content, code, 0.0), content)
    torch.testing.assert_close(fuse(content, code, 1.0), adain(content, code))
    torch.testing.assert_close(fuse(content, code, 0.3), 0.7 * content + 0.3 * adain(content, code))


def test_a_mixture_of_references_mixes_what_each_alone_would_give() -> None:
    network = AdainGenerator((4, 8), (2, 1), (2, 2))
    photos, references, weights = pictures(2), pictures(3, seed=1), torch.tensor([0.5, 0.2, 0.3])
    content = network.encode(photos)[-1]
    alone = [adain(content, network.code(one[None], torch.ones(1))) for one in references]
    expected = sum(weight * one for weight, one in zip(weights, alone, strict=True))
    torch.testing.assert_close(adain(content, network.code(references, weights)), expected, atol=1e-4, rtol=1e-4)
    only = network.code(references, torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(only, network.code(references[1:2], torch.ones(1)))


# The losses


def test_the_style_loss_is_the_squared_difference_of_means_and_of_deviations() -> None:
    found, wanted = noise(2, 3, 5, 5), 2 * noise(2, 3, 5, 5, seed=1) + 1
    means = F.mse_loss(found.mean((2, 3)), wanted.mean((2, 3)))
    deviations = F.mse_loss(
        (found.var((2, 3), correction=0) + EPSILON).sqrt(), (wanted.var((2, 3), correction=0) + EPSILON).sqrt()
    )
    torch.testing.assert_close(losses.g_style(statistics(found), statistics(wanted)), means + deviations)
    # deviations 1 and 3 about means 0 and 2: (0 - 2)^2 + (1 - 3)^2
    flat = torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2)
    assert losses.g_style(statistics(flat), statistics(3 * flat + 2)).item() == pytest.approx(8, rel=1e-3)


def test_the_content_loss_is_a_mean_square() -> None:
    assert losses.g_content(torch.full((1, 2, 2, 2), 3.0), torch.ones(1, 2, 2, 2)).item() == 4


def test_kinship_is_the_cross_entropy_of_finding_one_s_own_half() -> None:
    alike = torch.eye(3)
    expected = -torch.log_softmax(torch.tensor([1.0, 0.0, 0.0]) / 0.5, 0)[0]
    torch.testing.assert_close(losses.e_kinship(alike, 7 * alike, 0.5), expected)
    assert losses.e_kinship(alike, alike.roll(1, 0), 0.5) > losses.e_kinship(alike, alike, 0.5)


# The networks


def test_the_published_decoder_and_vgg16_have_the_published_sizes() -> None:
    network = AdainGenerator()
    assert sum(value.numel() for value in network.decoder.parameters()) == 3_505_219
    with torch.device("meta"):
        vgg = torchvision.models.vgg16(weights=None, init_weights=False).features[:19]  # up to relu4_1
    held = [value for name, value in network.encoder.named_buffers() if name.startswith("stages")]
    assert [value.shape for value in held] == [value.shape for value in vgg.parameters()]
    levels = network.encode(pictures(1, side=32))
    assert [tuple(level.shape[1:]) for level in levels] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    layers = [layer for layer in network.decoder.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [tuple(layer.weight.shape[:2]) for layer in layers] == [
        (256, 512), (256, 256), (256, 256), (256, 256), (128, 256), (128, 128), (64, 128), (64, 64), (3, 64)
    ]  # fmt: skip
    assert network.multiple == 8
    painted = network(pictures(1, side=16), pictures(1, 1, side=17), torch.ones(1), torch.ones(1))
    assert painted.shape == (1, 3, 16, 16)


def test_the_decoder_mirrors_any_encoder() -> None:
    images = StyleDecoder((4, 8, 16), (2, 2, 3))(StyleEncoder((4, 8, 16), (2, 2, 1))(pictures(2))[-1])
    assert images.shape == (2, 3, SIDE, SIDE)


# The encoder: frozen


def test_no_gradient_reaches_the_frozen_encoder_and_no_step_moves_it() -> None:
    trainer = trainer_of(warmup_steps=0)
    encoder = trainer.method.networks["generator"].encoder
    assert isinstance(encoder, StyleEncoder)
    assert list(encoder.parameters()) == []
    assert not any(value.requires_grad for value in encoder.buffers())
    before = [value.clone() for value in encoder.buffers()]
    decoder = [value.clone() for value in trainer.method.player_parameters("generator")]
    for step in range(2):
        assert set(take(trainer, step)) == {"generator", "discriminator"}
    assert all(torch.equal(now, then) for now, then in zip(encoder.buffers(), before, strict=True))
    now = trainer.method.player_parameters("generator")
    assert not any(torch.equal(one, other) for one, other in zip(now, decoder, strict=True))


def test_its_own_encoder_is_trained_first_then_frozen_in_what_is_packaged() -> None:
    trainer = trainer_of(warmup_steps=3)
    own = trainer.method.networks["encoder"]
    for step in range(3):
        assert set(take(trainer, step)) == {"encoder", "generator"}
        reached = [bool(value.grad.abs().max() > 0) for value in own.parameters() if value.grad is not None]
        assert len(reached) == len(list(own.parameters()))
        assert all(reached)
    learnt = {name: value.clone() for name, value in own.encoder.state_dict().items()}  # type: ignore[union-attr]
    for step in (3, 4):
        assert set(take(trainer, step)) == {"generator", "discriminator"}
    for network in (trainer.method.networks["generator"], trainer.averages["generator"].network):
        held = network.encoder.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(held[name], value) for name, value in learnt.items())
    assert trainer.method.warmup_steps == 3


def test_the_levels_of_its_own_encoder_end_up_equally_strong() -> None:
    trainer = trainer_of(warmup_steps=40)
    for step in range(40):
        take(trainer, step)
    levels = trainer.method.networks["encoder"](torch.cat([pictures(2), pictures(2, seed=3)]))
    assert [level.square().mean().sqrt().item() for level in levels] == pytest.approx([1.0] * 3, abs=0.15)


# The encoder: VGG16


@pytest.fixture(scope="module")
def vgg16_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """The layers of torchvision's network, with random weights, and a file of them under torchvision's names."""
    with torch.device("meta"):
        layers = torchvision.models.vgg16(weights=None, init_weights=False).features.to_empty(device="cpu")
    draw = torch.Generator().manual_seed(3)
    for value in layers.parameters():
        with torch.no_grad():
            value.normal_(0, (2 / max(1, value[0].numel())) ** 0.5 if value.ndim == 4 else 0.1, generator=draw)
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save({f"features.{name}": value for name, value in layers.state_dict().items()}, path)
    return path, layers


def with_vgg16(path: Path, **train: Any) -> Params:
    encoder = {"kind": "auto", "vgg16_sha256": sha256_file(path)}
    own: dict[str, Any] = {"encoder": encoder, "warmup_steps": 2}
    params = smoke_params(adain=own, train={"steps": 4, "crop": SIDE} | train)
    return replace(params, weights=replace(params.weights, vgg16=str(path)))


def test_a_file_of_vgg16_becomes_the_encoder_and_sees_what_torchvision_s_does(
    vgg16_file: tuple[Path, torch.nn.Module],
) -> None:
    path, layers = vgg16_file
    method = AdainMethod(with_vgg16(path))
    assert "encoder" not in method.networks
    assert method.warmup_steps == 0
    assert method.describe()["encoder"].startswith("vgg16 ")
    assert method.brings(with_vgg16(path)) == {"encoder": method.describe()["encoder"]}
    image = pictures(1, side=40)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    seen = (image * 0.5 + 0.5 - mean) / deviation
    for place, layer in enumerate(list(layers.children())[:19]):
        if isinstance(layer, torch.nn.Conv2d):  # the paper's padding
            seen = F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)
        else:
            seen = layer(seen)
        if place == 1:
            torch.testing.assert_close(method.generator.encode(image)[0], seen)
    torch.testing.assert_close(method.generator.encode(image)[-1], seen)


def test_with_vgg16_a_step_trains_decoder_and_discriminator(vgg16_file: tuple[Path, torch.nn.Module]) -> None:
    params = with_vgg16(vgg16_file[0])
    trainer = Trainer(AdainMethod(params), params.train, CPU)
    before = [value.clone() for value in trainer.method.networks["generator"].buffers()]
    found = take(trainer, 0)
    assert set(found) == {"generator", "discriminator"}
    assert all(value.isfinite() for named in found.values() for value in named.values())
    after = trainer.method.networks["generator"].buffers()
    assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(ValueError, match=r"not hold torchvision's VGG16 \(features.0.weight is \(4, 3, 3, 3\)\)"):
        load_vgg16(StyleEncoder((64, 128), (2, 1)), path)


def test_vgg16_that_must_be_there_and_is_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert CACHED["vgg16"]
    with pytest.raises(ValueError, match=r"adain.encoder.kind is 'vgg16', but its weights are not at hand"):
        AdainMethod(params_of(encoder={"kind": "vgg16"}))
    assert AdainMethod(params_of(encoder={"kind": "auto"})).describe()["encoder"] == "own"


# The condition


def test_translating_follows_each_photograph_s_own_references() -> None:
    method = AdainMethod(params_of(warmup_steps=0))
    photos, references = pictures(2), pictures(2, seed=1)[:, None]
    both = method.translate(photos, Reference(references, torch.ones(2, 1)))
    swapped = method.translate(photos, Reference(references.flip(0), torch.ones(2, 1)))
    assert not torch.allclose(both, swapped)
    for place in range(2):
        row = slice(place, place + 1)
        alone = method.translate(photos[row], Reference(references[row], torch.ones(1, 1)))
        torch.testing.assert_close(both[place : place + 1], alone, atol=1e-5, rtol=1e-4)


def test_without_a_reference_it_refuses() -> None:
    method = AdainMethod(params_of(warmup_steps=0))
    with pytest.raises(ValueError, match=r"AdainMethod takes Reference as its condition, not NoCondition"):
        method.translate(pictures(1), NOTHING)


@pytest.mark.parametrize(
    ("weights", "strength", "said"),
    [
        (torch.ones(1, 3) / 3, 1.0, r"\(N, R, 3, H, W\) and \(N, R\), not \(1, 2, 3, 4, 4\) and \(1, 3\)"),
        (torch.tensor([[0.5, 0.6]]), 1.0, "have the sum 1"),
        (torch.tensor([[-0.5, 1.5]]), 1.0, "at least 0"),
        (torch.tensor([[0.5, 0.5]]), 1.5, "strength is 1.5; it must be between 0 and 1"),
    ],
)
def test_what_is_no_mixture_of_references_is_refused(weights: Tensor, strength: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Reference(torch.zeros(1, 2, 3, 4, 4), weights, strength)
