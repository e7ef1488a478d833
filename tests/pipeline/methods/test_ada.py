"""Adaptive augmentation: what each change does to pixels, by other means; how often; and which way p goes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from pipeline.methods.ada import _FORCES, _GATES, _PLACES, KINDS, Augmenter, resample

SIDE = 16


def augmenter(p: float, kinds: list[str] | None = None, target: float = 0.6, every: int = 1) -> Augmenter:
    made = Augmenter(list(KINDS) if kinds is None else kinds, target, every, horizon=1000)
    made.p.fill_(p)
    return made


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def only(count: int, *changes: str, **values: float) -> Tensor:
    """Return rows in which just these changes are made at p = 1, at these places and with these forces."""
    rows = torch.zeros(count, len(_GATES) + len(_PLACES) + len(_FORCES))
    rows[:, : len(_GATES)] = 1.0
    for change in changes:
        rows[:, _GATES.index(change)] = 0.5
    for number, name in enumerate((*_PLACES, *_FORCES), len(_GATES)):
        rows[:, number] = values.get(name, 0.0)
    return rows


def changed(*changes: str, given: Tensor | None = None, **values: float) -> Tensor:
    x = images() if given is None else given
    return augmenter(1.0)(x, only(len(x), *changes, **values))


def test_at_p_0_images_come_back_bit_for_bit_and_at_p_1_none_does() -> None:
    x = images(64)
    drawn = Augmenter.draw(64, torch.Generator().manual_seed(1))
    assert torch.equal(augmenter(0.0)(x, drawn), x)
    after = augmenter(1.0)(x, drawn)
    assert all(not torch.equal(a, b) for a, b in zip(after, x, strict=True))
    assert augmenter(1.0, kinds=[])(x, drawn) is x


@pytest.mark.parametrize(
    ("change", "values", "expected"),
    [
        ("flip", {"flip": 0.3}, lambda x: x),
        ("flip", {"flip": 0.7}, lambda x: x.flip(3)),
        ("turn", {"turn": 0.1}, lambda x: x),
        ("turn", {"turn": 0.3}, lambda x: x.rot90(1, (2, 3))),
        ("turn", {"turn": 0.6}, lambda x: x.rot90(2, (2, 3))),
        ("turn", {"turn": 0.9}, lambda x: x.rot90(3, (2, 3))),
        ("shift", {"shift_x": 0.95, "shift_y": 0.5}, lambda x: torch.cat([x[..., :2].flip(3), x[..., :-2]], 3)),
        ("shift", {"shift_x": 0.5, "shift_y": 0.05}, lambda x: torch.cat([x[:, :, 2:], x[:, :, -2:].flip(2)], 2)),
    ],
)
def test_blitting_moves_whole_pixels(change: str, values: dict[str, float], expected: object) -> None:
    assert torch.equal(changed(change, **values), expected(images()))  # type: ignore[operator]


def test_changes_of_colour_are_their_formulas() -> None:
    x = images()
    grey = x.mean(1, keepdim=True)
    torch.testing.assert_close(changed("brightness", brightness=1.5), x + 0.3)
    torch.testing.assert_close(changed("contrast", contrast=2.0), 2 * x)
    torch.testing.assert_close(changed("luma", luma=0.8), x - 2 * grey)
    torch.testing.assert_close(changed("luma", luma=0.2), x)
    torch.testing.assert_close(changed("saturation", saturation=-1.0), grey + (x - grey) / 2)
    turned = changed("hue", hue=0.5 + 1 / 3)  # by a third of a turn: each channel becomes the next
    torch.testing.assert_close(turned, x.roll(1, 1), rtol=1e-4, atol=1e-5)
    twice = changed("luma", luma=0.8, given=changed("luma", luma=0.8))
    torch.testing.assert_close(twice, x)
    both = changed("brightness", "saturation", brightness=1.5, saturation=-1.0)
    torch.testing.assert_close(both, grey + 0.3 + (x - grey) / 2)  # in this order


def forward(values: dict[str, float]) -> np.ndarray:
    """Return the matrix that moves points (x, y, 1) from the centre: every change after the one before it."""

    def turn(angle: float) -> np.ndarray:
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

    def shift(x: float, y: float) -> np.ndarray:
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])

    before, after = (turn(-(2 * values[name] - 1) * math.pi) for name in ("before", "after"))
    grow, stretch = 2 ** (0.2 * values["scale"]), 2 ** (0.2 * values["stretch"])
    steps = [
        np.diag([grow, grow, 1]),
        before,
        np.diag([stretch, 1 / stretch, 1]),
        after,
        shift(values["move_x"] * SIDE / 8, values["move_y"] * SIDE / 8),
    ]
    whole = np.eye(3)
    for step in steps:
        whole = step @ whole
    return whole


@pytest.mark.parametrize("seed", range(3))
def test_geometry_is_what_scipy_samples_with_mirrored_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = {name: float(rng.uniform(0, 1)) for name in ("before", "after")}
    values |= {name: float(rng.normal()) for name in ("scale", "stretch", "move_x", "move_y")}
    x = images(1)
    found = changed("scale", "before", "stretch", "after", "move", given=x, **values)
    centre = (SIDE - 1) / 2
    rows, columns = np.mgrid[:SIDE, :SIDE] - centre
    there = np.linalg.inv(forward(values)) @ np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    places = np.stack([there[1] + centre, there[0] + centre])
    for plane, result in zip(x[0].numpy(), found[0].numpy(), strict=True):
        expected = map_coordinates(plane, places, order=1, mode="reflect").reshape(SIDE, SIDE)
        np.testing.assert_allclose(result, expected, atol=1e-4)


def test_gradients_pass_and_so_do_theirs() -> None:
    drawn = Augmenter.draw(2, torch.Generator().manual_seed(3))
    x = torch.rand(2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    inverse = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1) * torch.tensor([0.8, 1.3, 1.0], dtype=torch.float64)
    inverse = inverse + torch.tensor([[0, 0.2, 0.3], [-0.1, 0, 0.7], [0, 0, 0]], dtype=torch.float64)
    moved = lambda given: resample(given, inverse).sin()  # noqa: E731  # as `gradgradcheck` wants it
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.autograd.gradcheck(moved, (x,))
        assert torch.autograd.gradgradcheck(moved, (x,))
    finally:
        torch.set_default_dtype(torch.float32)
    seen = images(2).requires_grad_()
    (slope,) = torch.autograd.grad(augmenter(1.0)(seen, drawn).square().sum(), seen, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), seen)
    assert second.abs().max() > 0


def test_each_change_is_made_as_often_as_p_says_and_a_rotation_too() -> None:
    count, p = 20_000, 0.6
    made = augmenter(p)._made(torch.rand(count, len(_GATES), generator=torch.Generator().manual_seed(4)))
    often = dict(zip(_GATES, made.mean(0).tolist(), strict=True))
    rotations = made[:, [_GATES.index("before"), _GATES.index("after")]].amax(1).mean()
    assert float(rotations) == pytest.approx(p, abs=0.02)
    for change in set(_GATES) - {"before", "after"}:
        assert often[change] == pytest.approx(p, abs=0.02), change


def test_only_the_kinds_that_are_asked_for_are_made() -> None:
    x, drawn = images(8), Augmenter.draw(8, torch.Generator().manual_seed(5))
    blit = augmenter(1.0, kinds=["blit"])(x, drawn)
    assert torch.equal(blit.flatten(2).sort(2).values[:, 0, :1] >= x.min(), torch.ones(8, 1, dtype=torch.bool))
    assert set(blit.flatten().tolist()) <= set(x.flatten().tolist())  # whole pixels, of old colours
    flat = torch.full((8, 3, SIDE, SIDE), 0.3)
    assert torch.equal(augmenter(1.0, kinds=["geometry"])(flat, drawn), flat)
    colour = augmenter(1.0, kinds=["colour"])(flat, drawn)
    torch.testing.assert_close(colour, colour[:, :, :1, :1].expand_as(colour))


def test_p_rises_above_the_target_and_falls_below_it_but_not_below_0_or_beyond_1() -> None:
    one = augmenter(0.0)
    for step, p in enumerate((0.02, 0.04, 0.06)):
        one.adjust(torch.tensor(0.9), 20, step)
        assert float(one.p) == pytest.approx(p)
    for step, p in enumerate((0.04, 0.02, 0.0, 0.0)):
        one.adjust(torch.tensor(0.1), 20, step)
        assert float(one.p) == pytest.approx(p, abs=1e-6)
    one.adjust(torch.tensor(0.9), 5000, 0)
    assert float(one.p) == 1.0


def test_p_moves_once_in_so_many_steps_by_the_mean_of_their_signs() -> None:
    one = augmenter(0.5, every=4)
    for step, sign in enumerate((1.0, 1.0, -1.0, 1.0)):  # 0.5 on average: below 0.6
        assert float(one.p) == 0.5
        one.adjust(torch.tensor(sign), 10, step)
    assert float(one.p) == pytest.approx(0.46)
    assert float(one.signs) == float(one.counted) == 0
