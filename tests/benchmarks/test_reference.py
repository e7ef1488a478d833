"""The plain reference computes what the fast path computes: else a ratio of their speeds would mean nothing."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.reference.cut import Choices, Painted, ReferenceCut, warmup_losses
from benchmarks.reference.data import Unpaired, endless
from pipeline.methods.base import Batch
from pipeline.methods.cut import CutMethod
from pipeline.params import Params
from pipeline.trainer import Trainer
from tests.pipeline.training import smoke_params

CPU = torch.device("cpu")
SIDE = 48
WEIGHTS = {"identity": 1.0, "smoothness": 0.1}  # beside those of the preset: every loss has a weight
# fp32, sums in another order (batches joined or apart, channels last or first); seen: 8e-7 of a loss.
TOLERANCE = 2e-5


def params_of(**cut: object) -> Params:
    overlay = {"weights": WEIGHTS, **cut}
    return smoke_params(cut=overlay, train={"steps": 10, "batch": 2, "crop": SIDE}, prepare={"crop": SIDE})


def images(count: int) -> Batch:
    draw = torch.Generator().manual_seed(1)
    return Batch(*(torch.rand(count, 3, SIDE, SIDE, generator=draw) * 2 - 1 for _ in range(2)))


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def pair(params: Params) -> tuple[CutMethod, ReferenceCut]:
    """Return both with the same weights; spectral norm stands still, so that a forward pass more changes nothing."""
    fast, plain = CutMethod(params), ReferenceCut(params, CPU)
    fast.to(CPU)
    if params.cut.discriminator.spectral_norm:
        fast.networks["discriminator"](images(1).photos)  # finds the singular vectors of the weights first
        plain.discriminator.load_state_dict(fast.networks["discriminator"].state_dict())
        fast.networks["discriminator"].eval()
        plain.discriminator.eval()
    return fast, plain


def losses_of(plain: ReferenceCut, batch: Batch, step: int) -> dict[str, dict[str, torch.Tensor]]:
    """Return the reference's losses of both players at the present weights."""
    painted = Painted(batch.photos, batch.paintings, plain.generator(batch.photos))
    if step < plain.params.cut.warmup_steps:
        return {"generator": warmup_losses(painted)}
    draw = stream()
    choices = Choices.draw(SIDE, CPU, draw)
    judged = plain.discriminator_losses(painted, choices)
    return {"generator": plain.generator_losses(painted, choices, draw), "discriminator": judged}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("cut", [{}, {"discriminator": {"spectral_norm": False}, "gan": "lsgan"}])
@pytest.mark.parametrize("step", [0, 5])
def test_its_losses_are_those_of_the_fast_path(count: int, cut: dict[str, object], step: int) -> None:
    fast, plain = pair(params_of(**cut))
    batch = images(count)
    found, expected = losses_of(plain, batch, step), fast.step(batch, step, stream())
    assert found.keys() == expected.keys()
    for player, named in expected.items():
        assert found[player].keys() == named.keys()
        for name, value in named.items():
            torch.testing.assert_close(found[player][name], value, rtol=TOLERANCE, atol=TOLERANCE, msg=name)
    if step:
        assert len(expected["generator"]) == 10  # none was left out


def test_a_step_moves_the_discriminator_as_a_step_of_the_fast_path_does() -> None:
    """The discriminator sees the same images before either has moved; the generator then sees another adversary."""
    params = params_of()
    fast, plain = pair(params)
    before = copy.deepcopy(plain.discriminator.state_dict())
    batch = images(2)
    values = plain.step(batch.photos, batch.paintings, 5, stream())
    Trainer(fast, params.train, CPU).step(batch, 5, stream())
    assert {"generator/gan", "generator/nce", "discriminator/gan"} <= values.keys()
    moved = fast.networks["discriminator"].state_dict()
    for name, value in plain.discriminator.state_dict().items():
        # Adam's first step is the sign of a gradient: where that is all but zero, rounding may turn it over.
        turned = ((value - moved[name]).abs() > 1e-6).float().mean()
        assert turned < 0.01, name
    assert any(not torch.equal(value, before[name]) for name, value in plain.discriminator.state_dict().items())


def test_a_generator_step_leaves_no_gradient_in_the_discriminator() -> None:
    _, plain = pair(params_of())
    batch = images(1)
    plain.step(batch.photos, batch.paintings, 5, stream())
    kept = [parameter.grad.clone() for parameter in plain.discriminator.parameters() if parameter.grad is not None]
    draw = stream()
    painted = Painted(batch.photos, batch.paintings, plain.generator(batch.photos))
    total = sum(plain.generator_losses(painted, Choices.draw(SIDE, CPU, draw), draw).values())
    assert isinstance(total, torch.Tensor)
    total.backward()  # type: ignore[no-untyped-call]
    for gradient, parameter in zip(kept, plain.discriminator.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.equal(gradient, parameter.grad)


def test_its_images_are_random_crops_of_the_files_in_the_range_of_the_networks(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 20, dtype=np.uint8)
    for folder, channel in (("photos", 0), ("paintings", 2)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            pixels = np.zeros((20, 20, 3), np.uint8)
            pixels[..., channel] = ramp
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    batches = endless(Unpaired(tmp_path / "photos", tmp_path / "paintings", 16), workers=0)
    drawn = [next(batches) for _ in range(12)]  # four epochs
    for photo, painting in drawn:
        assert photo.shape == painting.shape == (1, 3, 16, 16)
        assert (photo[:, 1:] == -1).all()  # red alone
        assert (painting[:, :2] == -1).all()  # blue alone
    assert len({tuple(photo[0, 0, 0].tolist()) for photo, _ in drawn}) > 2
