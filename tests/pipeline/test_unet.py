"""The U-Net as published, the first guess that it corrects, and what it leaves alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.images import to_image, to_tensor
from pipeline.networks.filling import Enlarge, even, fill
from pipeline.networks.unet import RestorationGenerator, UNet


def test_the_published_network_has_its_layers_and_parameters() -> None:
    net = UNet(3, 64, 8, "batch", 0.5)
    assert net.widths == [64, 128, 256, 512, 512, 512, 512, 512]
    with torch.no_grad():
        made = net.eval()(torch.zeros(1, 3, 256, 256))
    assert made.shape == (1, 3, 256, 256)
    wide = [3, *net.widths]
    down = sum(16 * a * b for a, b in pairwise(wide))
    up = 16 * 512 * 512 + sum(16 * 2 * a * b for a, b in zip(net.widths[1:-1], net.widths[:-2], strict=True))
    last = 16 * 2 * 64 * 3 + 3
    normalised = 2 * sum(net.widths[1:-1]) + 2 * sum(net.widths[:-1])
    plain = 64 + 512  # what no normalisation follows has a bias
    assert sum(p.numel() for p in net.parameters()) == down + up + last + normalised + plain
    assert down + up + last + normalised == 54_413_955  # the published one's


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (17, 40), (48, 31)])
@pytest.mark.parametrize("norm", ["batch", "instance", "channel", "none"])
def test_it_takes_pictures_of_any_size(size: tuple[int, int], norm: str) -> None:
    net = UNet(4, 4, 4, norm).eval()  # type: ignore[arg-type]
    assert net(torch.rand(2, 4, *size)).shape == (2, 3, *size)


def test_dropout_is_drawn_from_the_stream_and_is_off_without() -> None:
    net = UNet(3, 4, 4, "none", 0.5)
    x = torch.rand(2, 3, 24, 20)
    noise = net.noise(2, 24, 20, torch.Generator().manual_seed(0))
    again = net.noise(2, 24, 20, torch.Generator().manual_seed(0))
    assert [n.shape[2:] for n in noise] == [(3, 3), (6, 5), (12, 10)]
    assert all(torch.equal(a, b) for a, b in zip(noise, again, strict=True))
    assert set(torch.cat([n.flatten() for n in noise]).tolist()) == {0.0, 2.0}
    assert torch.equal(net(x), net(x))
    assert torch.equal(net(x, noise), net(x, noise))
    assert not torch.equal(net(x, noise), net(x))
    assert UNet(3, 4, 4, "none", 0.0).noise(2, 24, 20, torch.Generator()) == []


def test_the_holes_edge_is_all_that_a_fill_knows() -> None:
    given = torch.rand(2, 3, 40, 56)
    holes = torch.zeros(2, 1, 40, 56)
    holes[:, :, 10:22, 20:44] = 1
    filled = fill(given, holes)
    known = holes.expand_as(given) == 0
    assert torch.equal(filled[known], given[known])
    other = torch.where(known, given, torch.rand_like(given))
    torch.testing.assert_close(fill(other, holes), filled)


def test_a_fill_spans_a_slope_as_the_membrane_does() -> None:
    """A plane solves Laplace's equation, so it must come back; so must a constant, to rounding."""
    slope = torch.linspace(-0.8, 0.8, 64).expand(1, 3, 64, 64)
    holes = torch.zeros(1, 1, 64, 64)
    holes[:, :, 20:36, 20:36] = 1
    assert (fill(slope, holes) - slope).abs().max() < 0.03
    flat = torch.full((1, 3, 64, 64), 0.25)
    torch.testing.assert_close(fill(flat, holes), flat)


def test_a_picture_that_is_lost_altogether_is_filled_with_something_finite() -> None:
    assert fill(torch.rand(1, 3, 9, 7), torch.ones(1, 1, 9, 7)).isfinite().all()


def test_even_repeats_the_last_row_and_column() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert even(x).tolist() == [[[[0, 1, 2, 2], [3, 4, 5, 5]]]]


@pytest.mark.parametrize("scale", [2, 4])
def test_enlargement_is_pillows_bicubic(scale: int) -> None:
    rng = np.random.default_rng(0)
    # Nothing near black or white, which Pillow cuts off between its two passes.
    small = Image.fromarray(rng.integers(80, 176, (12, 15, 3), dtype=np.uint8))
    expected = np.asarray(small.resize((15 * scale, 12 * scale), Image.Resampling.BICUBIC)).astype(int)
    found = np.asarray(to_image(Enlarge(scale)(to_tensor(small)[None]).clamp(-1, 1)[0])).astype(int)
    inner = np.s_[3 * scale : -3 * scale, 3 * scale : -3 * scale]  # at its borders Pillow's filter is cut off
    assert np.abs(found - expected)[inner].max() <= 1


@pytest.mark.parametrize("residual", [True, False])
def test_what_is_outside_of_holes_comes_back_to_the_bit(residual: bool) -> None:
    net = RestorationGenerator("inpaint", 1, 4, 3, "none", 0.0, residual)
    given, holes = torch.rand(2, 3, 20, 28) * 2 - 1, (torch.rand(2, 1, 20, 28) > 0.8).float()
    made = net(given, holes)
    lost = holes.expand_as(given) > 0.5
    assert torch.equal(made[~lost], given[~lost])
    assert not torch.equal(made[lost], given[lost])
    changed = torch.where(lost, torch.rand_like(given), given)
    torch.testing.assert_close(net(changed, holes), made)  # what stands in holes does not matter


def test_a_correction_of_nothing_gives_the_first_guess() -> None:
    net = RestorationGenerator("super_resolution", 2, 4, 3, "none", 0.0)
    torch.nn.init.zeros_(net.unet.last.weight)
    torch.nn.init.zeros_(net.unet.last.bias)
    given = torch.rand(1, 3, 12, 10) * 2 - 1
    assert net(given).shape == (1, 3, 24, 20)
    assert torch.equal(net(given), net.guess(given))
