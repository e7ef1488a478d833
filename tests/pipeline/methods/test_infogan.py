"""InfoGAN: DCGAN's networks with codes, and images that come to reveal them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.generation import Sampler
from pipeline.methods import build_method
from pipeline.methods.conditions import Code
from pipeline.methods.infogan import InfoganMethod
from pipeline.networks.codes import Codes
from pipeline.networks.dcgan import DcganDiscriminator, DcganGenerator
from pipeline.networks.infogan import InfoganDiscriminator, InfoganGenerator
from pipeline.params import check_method
from pipeline.reports.samples import write_gallery
from pipeline.sampling import SampleScores
from pipeline.trainer import Trainer, step_randomness
from tests.pipeline.training import smoke_params


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("noise", "categories", "continuous", "width"),
    [(62, [10], 2, 74), (124, [10] * 4, 4, 168), (128, [10] * 10, 0, 228)],
    ids=["MNIST", "SVHN", "CelebA"],
)
def test_a_latent_is_as_wide_as_in_the_paper(noise: int, categories: list[int], continuous: int, width: int) -> None:
    generator = InfoganGenerator(noise, categories, continuous, channels=4, side=16)
    assert generator.latent == width
    assert generator.draw(3, torch.Generator()).shape == (3, width)


def test_its_networks_are_dcgans_and_a_second_head() -> None:
    generator = InfoganGenerator(62, [10], 2, channels=128, side=64)
    assert parameters(generator) == parameters(DcganGenerator(74, 128, 64))
    plain, ours = DcganDiscriminator(16, 64, "batch"), InfoganDiscriminator([10], 2, 128, 16, 64, "batch")
    head = 128 * 128 * 16 + 2 * 128 + 128 * 14 + 14  # 4 x 4 x 128 features, batch normalisation, 10 + 2 * 2 numbers
    assert parameters(ours) == parameters(plain) + head
    ours.load_state_dict(plain.state_dict(), strict=False)
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    assert torch.equal(ours.eval()(images), plain.eval()(images))
    assert torch.equal(ours(images, told=True)[:, 0], plain(images))
    assert ours(images, told=True).shape == (4, 1 + 14)


def test_codes_are_uniform_and_are_told_in_their_order() -> None:
    codes = Codes((3, 2), 2)
    assert codes.names == ("k1", "k2", "c1", "c2")
    rows = codes.draw(6000, torch.Generator().manual_seed(0))
    (first, second), numbers = codes.split(rows)
    assert torch.equal(first.sum(1), torch.ones(6000))
    torch.testing.assert_close(first.mean(0), torch.full((3,), 1 / 3), atol=0.03, rtol=0)
    torch.testing.assert_close(second.mean(0), torch.full((2,), 1 / 2), atol=0.03, rtol=0)
    assert numbers.abs().max() <= 1
    torch.testing.assert_close(numbers.std(0), torch.full((2,), 1 / math.sqrt(3)), atol=0.02, rtol=0)
    found = codes.read(torch.arange(9.0)[None])
    assert [logits.tolist() for logits in found.logits] == [[[0, 1, 2]], [[3, 4]]]
    assert found.mean.tolist() == [[5, 6]]
    assert bool((found.log_deviation.exp() <= 1).all())
    assert bool((found.log_deviation.exp() >= 0.05).all())


def test_setting_one_code_leaves_noise_and_other_codes() -> None:
    generator = InfoganGenerator(5, [4], 2, channels=4, side=8)
    latents = generator.draw(3, torch.Generator().manual_seed(0))
    found = generator.assign(latents, {"k1": 2, "c2": -0.25})
    assert torch.equal(found[:, :5], latents[:, :5])
    assert found[:, 5:9].tolist() == [[0, 0, 1, 0]] * 3
    assert torch.equal(found[:, 9], latents[:, 9])
    assert found[:, 10].tolist() == [-0.25] * 3
    assert not torch.equal(found, latents)
    torch.testing.assert_close(generator.between(latents[:1], latents[1:2], 0.0), latents[:1])
    torch.testing.assert_close(generator.between(latents[:1], latents[1:2], 1.0), latents[1:2])


def test_a_sample_takes_a_code_as_its_condition() -> None:
    method = build_method("infogan", smoke_params())
    given = [method.sample(4, torch.Generator().manual_seed(1), Code({"k1": k})) for k in (0, 0, 2)]
    assert torch.equal(given[0], given[1])
    assert not torch.equal(given[0], given[2])
    with pytest.raises(ValueError, match="the code k1 is 7; it must be a whole number from 0 to 2"):
        method.sample(1, torch.Generator(), Code({"k1": 7}))
    with pytest.raises(ValueError, match=r"DcganMethod takes NoCondition as its condition, not Code"):
        build_method("dcgan", smoke_params()).sample(1, torch.Generator(), Code({"k1": 0}))


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"categories": [1]}, r"infogan\.categories is \[1\]; a categorical code needs 2"),
        ({"categories": [], "continuous": 0}, "there is no code to reveal"),
        ({"side": 128}, r"infogan\.side is 128 px but crops for training have 32"),
    ],
)
def test_wrong_codes_are_refused_before_anything_begins(own: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_method(smoke_params(infogan=own), "infogan")


def unknown(weight: float) -> float:
    """Return how unsure a fresh head of the trained images' codes still is, in nats, after a hundred steps."""
    own = {"side": 8, "information": {"categorical": weight, "continuous": weight}, "generator": {"channels": 8}}
    loop = {"steps": 100, "learning_rate": 0.002, "batch": 16, "decay_from": 1.0}
    params = smoke_params(infogan={**own, "discriminator": {"channels": 8}}, train=loop)
    method = build_method("infogan", params)
    assert isinstance(method, InfoganMethod)
    trainer = Trainer(method, params.train, torch.device("cpu"))
    for step in range(100):
        draw = step_randomness(0, step)
        trainer.step(Paintings(torch.rand(16, 3, 8, 8, generator=draw) * 2 - 1), step, draw)
    draw = torch.Generator().manual_seed(1)
    latents = method.generator.draw(256, draw)
    told = method.discriminator(method.generator(latents), told=True)[:, 1:]
    logits = method.codes.read(told).logits[0]
    return float(torch.nn.functional.cross_entropy(logits, latents[:, 8:11]))


class Paintings:
    """A batch of paintings alone."""

    def __init__(self, paintings: Tensor) -> None:
        self.paintings, self.size = paintings, len(paintings)


def test_images_come_to_reveal_their_code_when_that_counts() -> None:
    torch.set_num_threads(1)
    assert unknown(1.0) < 0.5 * math.log(3)
    assert unknown(0.0) > 0.7 * math.log(3)


def test_the_report_turns_each_code_and_keeps_the_noise(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sampler = Sampler(InfoganGenerator(5, [3], 1, channels=4, side=16), {"side": 16}, "", torch.device("cpu"))
    images = tuple(np.asarray(image) for image in sampler(range(8)))
    scores = SampleScores({}, {}, {}, {}, {}, {}, {"model": images}, ())
    write_gallery(tmp_path / "gallery", sampler, scores, 4)
    from PIL import Image

    from pipeline.files import read_json

    codes = read_json(tmp_path / "gallery" / "index.json")["codes"]
    assert [code["name"] for code in codes] == ["k1", "c1"]
    assert codes[0]["what"] == "3 categories, from k1=0 to k1=2"
    assert codes[1]["what"] == "from c1=-1 to c1=1"
    with Image.open(tmp_path / "gallery" / "code-k1.jpg") as sheet, Image.open(
        tmp_path / "gallery" / "code-c1.jpg"
    ) as other:
        assert sheet.height == other.height  # a row a seed
        assert sheet.width < other.width  # three columns, eight columns
