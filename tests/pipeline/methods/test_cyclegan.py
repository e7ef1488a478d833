"""CycleGAN: its losses against their definitions, both ways alike, and what its discriminators see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.methods.base import Batch
from pipeline.methods.conditions import NOTHING, Direction
from pipeline.methods.cyclegan import CycleGanMethod
from pipeline.params import load_params
from tests.pipeline.training import ROOT, smoke_params

STATISTICS = ("texture", "palette", "contrast", "structure", "calm", "smoothness")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def batch(seed: int = 3) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return Batch(*(torch.rand(2, 3, 32, 32, generator=draw) * 2 - 1 for _ in range(2)))


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def cyclegan(**changes: object) -> CycleGanMethod:
    return CycleGanMethod(smoke_params(cyclegan=changes))


def test_the_losses_are_those_of_the_paper() -> None:
    method, images = cyclegan(pool=0), batch()
    x, y = images.photos, images.paintings
    to_painting, to_photo = method.generator, method.reverse
    judge, judge_photos = method.discriminator, method.reverse_discriminator
    found = method.step(images, 0, stream())
    fake_y, fake_x = to_painting(x), to_photo(y)

    def apart(one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs().mean()

    generator = {
        "gan": (judge(fake_y) - 1).square().mean(),
        "reverse_gan": (judge_photos(fake_x) - 1).square().mean(),
        "cycle": 10 * apart(to_photo(fake_y), x),
        "reverse_cycle": 10 * apart(to_painting(fake_x), y),
        "identity": 5 * apart(to_painting(y), y),
        "reverse_identity": 5 * apart(to_photo(x), x),
    }
    discriminator = {
        "gan": ((judge(y) - 1).square().mean() + judge(fake_y).square().mean()) / 2,
        "reverse_gan": ((judge_photos(x) - 1).square().mean() + judge_photos(fake_x).square().mean()) / 2,
    }
    expected = {"generator": generator, "discriminator": discriminator}
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_first_weights_are_drawn_as_published() -> None:
    method = CycleGanMethod(load_params(ROOT / "params.yaml"))
    for network in method.networks.values():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 10_000:
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert module.weight.mean().item() == pytest.approx(0, abs=1e-3)


def test_it_has_the_published_settings() -> None:
    settings = load_params(ROOT / "params.yaml").cyclegan
    assert (settings.gan, settings.pool) == ("lsgan", 50)
    weights = {name: value for name, value in vars(settings.weights).items() if value}
    assert weights == {"gan": 1.0, "cycle": 10.0, "identity": 0.5}


def test_the_discriminators_see_earlier_outputs_and_the_generators_are_judged_by_the_present_ones() -> None:
    """With a pool of one image, filled by another step: the discriminator's loss is of it, or of the new one."""
    method = cyclegan(pool=1)
    method.step(batch(1), 0, stream())
    given = list[Tensor]()
    method.pool.register_forward_hook(lambda _module, _input, output: given.append(output))
    for seed in range(2, 30):  # until the draws have it that an earlier output comes back
        kept, images = method.pool.images.clone(), batch(seed)
        found = method.step(images, 1, torch.Generator().manual_seed(seed))
        if torch.equal(given[-1][0], kept[0]):
            break
    now = method.translate(images.photos)
    assert not torch.isclose(given[-1][0], now[0]).all()
    real, fake = method.discriminator(images.paintings), method.discriminator(given[-1])
    expected = ((real - 1).square().mean() + fake.square().mean()) / 2
    torch.testing.assert_close(found["discriminator"]["gan"], expected, rtol=1e-4, atol=1e-5)
    judged = (method.discriminator(now) - 1).square().mean()
    torch.testing.assert_close(found["generator"]["gan"], judged, rtol=1e-4, atol=1e-5)


def test_the_statistics_of_cut_may_be_added_and_change_no_other_loss() -> None:
    images, added = batch(), dict.fromkeys(STATISTICS, 1.0)
    plain = cyclegan().step(images, 0, stream())
    rich = cyclegan(weights=added).step(images, 0, stream())
    assert rich["generator"].keys() - plain["generator"].keys() == set(STATISTICS)
    for name, value in plain["generator"].items():
        torch.testing.assert_close(rich["generator"][name], value)
    torch.testing.assert_close(rich["discriminator"], plain["discriminator"])


@pytest.mark.parametrize("off", ["gan", "cycle", "identity"])
def test_a_weight_holds_in_both_directions(off: str) -> None:
    names = set(cyclegan().step(batch(), 0, stream())["generator"])
    gone = {"identity", "reverse_identity"} if off == "cycle" else set()  # identity times cycle
    found = cyclegan(weights={off: 0.0}).step(batch(), 0, stream())["generator"]
    assert set(found) == names - {off, f"reverse_{off}"} - gone


def test_a_direction_chooses_the_generator() -> None:
    method, images = cyclegan(), batch().photos
    for condition in (NOTHING, Direction()):
        assert torch.equal(method.translate(images, condition), method.generator(images))
    assert torch.equal(method.translate(images, Direction(reverse=True)), method.reverse(images))
    assert not torch.equal(method.generator(images), method.reverse(images))
