"""Holes: as wide as their size allows, the same on every device and for every part of a team."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import ndimage

from pipeline.damage.dice import Dice
from pipeline.damage.masks import SIZES, Canvas, holes

CPU = torch.device("cpu")
SIDE = 128


def dice(count: int, seed: int = 0, rank: int = 0, ranks: int = 1) -> Dice:
    return Dice(torch.Generator().manual_seed(seed), count, CPU, rank, ranks)


def across(mask: torch.Tensor) -> float:
    """Return twice the largest distance of a lost pixel from what is left: how wide a hole is, px."""
    framed = torch.nn.functional.pad(mask, (1, 1, 1, 1))  # beyond the frame nothing is lost
    return float(2 * ndimage.distance_transform_edt(framed.numpy()).max())


@pytest.mark.parametrize("size", list(SIZES))
def test_a_picture_has_holes_and_none_is_wider_than_its_size_says(size: str) -> None:
    number = list(SIZES).index(size)
    found = holes(SIDE, SIDE, torch.full((40,), number), dice(40))
    assert found.shape == (40, 1, SIDE, SIDE)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert found.flatten(1).sum(1).min() > 0
    assert found.mean((1, 2, 3)).max() < 0.5
    alone = [holes(SIDE, SIDE, torch.full((1,), number), dice(1, seed)) for seed in range(12)]
    # Where strokes and blobs meet, a hole may be wider than each: the typical picture shows the class.
    typical = sorted(across(mask[0, 0]) for mask in alone)[6]
    assert SIZES[size].narrowest * SIDE <= typical <= 1.3 * SIZES[size].widest * SIDE + 1


def test_larger_sizes_are_wider() -> None:
    widths = [
        sum(across(mask[0]) for mask in holes(SIDE, SIDE, torch.full((24,), number), dice(24)))
        for number in range(len(SIZES))
    ]
    assert widths == sorted(widths)
    assert widths[2] > 2 * widths[0]


def test_a_straight_stroke_is_a_rectangle_of_its_width_and_length() -> None:
    canvas = Canvas(SIDE, SIDE, dice(1))
    widths = torch.tensor([[0.1]])
    still = canvas.strokes(widths, torch.tensor([[0.0]]))
    assert not still.any()  # it has no length
    mask = canvas.strokes(widths, torch.tensor([[10.0]]))  # it runs from edge to edge
    assert abs(across(mask[0]) - 0.1 * SIDE) <= 3


def test_a_blob_lies_within_its_width() -> None:
    for seed in range(10):
        mask = Canvas(SIDE, SIDE, dice(1, seed)).blobs(torch.tensor([[0.25]]))[0]
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert max(rows.max() - rows.min(), columns.max() - columns.min()) < 0.25 * SIDE + 1
        assert mask.sum() > 0.2 * math.pi * (0.125 * SIDE) ** 2


def test_no_width_draws_nothing() -> None:
    canvas, none = Canvas(32, 48, dice(3)), torch.zeros(3, 2)
    assert not canvas.strokes(none, torch.ones(3, 1)).any()
    assert not canvas.blobs(none).any()
    assert (canvas.stains(none) < 0).all()


def test_the_same_stream_gives_the_same_holes_and_another_gives_others() -> None:
    sizes = torch.tensor([0, 1, 2])
    one, same, other = (holes(40, 56, sizes, dice(3, seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_two_processes_draw_what_one_draws_for_all() -> None:
    sizes = torch.tensor([0, 1, 2, 1])
    whole = holes(40, 40, sizes, dice(4))
    parts = [holes(40, 40, sizes[2 * rank :][:2], dice(2, 0, rank, 2)) for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.gpu
def test_a_gpu_draws_the_same_holes() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    sizes = torch.tensor([0, 1, 2, 2])
    there = Dice(torch.Generator().manual_seed(3), 4, torch.device("cuda"))
    differ = (holes(96, 96, sizes.cuda(), there).cpu() != holes(96, 96, sizes, dice(4, 3))).float().mean()
    assert differ < 1e-3  # a sine may end in another last bit on an edge
