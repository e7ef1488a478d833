"""The pool of earlier outputs against the few lines of the paper's procedure."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.methods.pool import ImagePool


def images(step: int, count: int = 2) -> Tensor:
    """Flat images, each of a value of its own."""
    return torch.stack([torch.full((3, 4, 4), float(step * count + i + 1)) for i in range(count)])


def plain(pool: list[float], size: int, values: list[float], swaps: list[bool], places: list[int]) -> list[float]:
    """Return what a pool gives back, with numbers for images and lists for tensors."""
    given = []
    for value, swap, place in zip(values, swaps, places, strict=True):
        if len(pool) < size:
            pool.append(value)
            given.append(value)
        elif swap:
            given.append(pool[place])
            pool[place] = value
        else:
            given.append(value)
    return given


@pytest.mark.parametrize(("size", "count"), [(3, 2), (5, 1), (2, 4)])
def test_a_pool_does_as_the_paper_says(size: int, count: int) -> None:
    pool, expected = ImagePool(size, 4), list[float]()
    drawn, same = (torch.Generator().manual_seed(7) for _ in range(2))
    earlier = 0
    for step in range(12):
        found = pool(images(step, count), drawn)
        swaps = (torch.rand(count, generator=same) < 0.5).tolist()
        places = torch.randint(size, (count,), generator=same).tolist()
        values = images(step, count)[:, 0, 0, 0].tolist()
        wanted = plain(expected, size, values, swaps, places)
        assert found[:, 0, 0, 0].tolist() == wanted
        assert (found == found[:, :1, :1, :1]).all()
        earlier += sum(value not in values for value in wanted)
    assert pool.images[: int(pool.held), 0, 0, 0].tolist() == expected
    assert earlier  # or the test would show nothing


def test_what_comes_back_is_no_view_of_the_pool() -> None:
    pool, draw = ImagePool(1, 4), torch.Generator().manual_seed(0)
    given = [pool(images(step, 1), draw) for step in range(8)]
    values = [image[0, 0, 0, 0].item() for image in given]
    for step in range(8, 16):
        pool(images(step, 1), draw)
    assert [image[0, 0, 0, 0].item() for image in given] == values


def test_a_pool_of_no_size_gives_back_what_it_is_given_and_draws_nothing() -> None:
    draw = torch.Generator().manual_seed(0)
    before = draw.get_state()
    assert torch.equal(ImagePool(0, 4)(images(1), draw), images(1))
    assert torch.equal(draw.get_state(), before)


def test_no_gradient_comes_through_it() -> None:
    pool = ImagePool(2, 4)
    given = pool(images(1).requires_grad_(), torch.Generator().manual_seed(0))
    assert not given.requires_grad


def test_it_goes_on_from_its_state() -> None:
    one, other = ImagePool(3, 4), ImagePool(3, 4)
    draw = torch.Generator().manual_seed(5)
    for step in range(5):
        one(images(step), draw)
    other.load_state_dict(one.state_dict())
    again = torch.Generator()
    again.set_state(draw.get_state())
    for step in range(5, 10):
        assert torch.equal(one(images(step), draw), other(images(step), again))


def test_its_images_count_in_full_precision() -> None:
    given = ImagePool(1, 4)(images(1, 1).bfloat16(), torch.Generator())
    assert given.dtype == torch.float32
