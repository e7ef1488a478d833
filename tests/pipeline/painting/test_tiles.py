"""Tiles: that they cover a picture, that they are painted alike, and that nobody finds where they meet."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images import to_image, to_tensor
from pipeline.painting.statistics import measure, norms, with_statistics
from pipeline.painting.tiles import paint, proxy, spans
from tests.pipeline.painting.networks import CPU, generator, picture, sky

MARGIN = 64


@given(st.integers(4, 5000), st.sampled_from([96, 256, 768]), st.sampled_from([16, 32]))
def test_tiles_cover_a_side_and_share_what_is_blended(quarter: int, tile: int, margin: int) -> None:
    length = 4 * quarter
    found = spans(length, tile, margin, 4)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(start % 4 == 0 and stop % 4 == 0 for start, stop in found)
    assert all(stop - start <= min(tile, length) for start, stop in found)
    for (_, stop), (start, _) in pairwise(found):
        assert stop - start >= 2 * margin - 4
    painted = sum(stop - start for start, stop in found)
    assert painted <= length + (len(found) - 1) * 2 * margin + 4 * len(found)  # and nothing more is painted twice
    assert len(found) <= max(1, -(-(length - 2 * margin) // (tile - 2 * margin)))


def _levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=float)


@pytest.mark.parametrize("norm", ["channel", "instance"])
@pytest.mark.parametrize("size", [(300, 96), (97, 310), (290, 200)])
def test_tiles_and_the_whole_agree_to_a_level(norm: str, size: tuple[int, int]) -> None:
    network, photo = generator(norm), picture(*size)
    tiled = paint(network, photo, 4, CPU, tile=192, margin=MARGIN)
    whole = paint(network, photo, 4, CPU, tile=4096, margin=MARGIN)
    assert tiled.size == size
    assert np.abs(_levels(tiled) - _levels(whole)).max() <= 1


def _steps(image: Image.Image) -> np.ndarray:
    """Return the mean step between neighbouring columns, one a boundary."""
    return np.abs(np.diff(_levels(image), axis=1)).mean(axis=(0, 2))


def _seam_statistic(image: Image.Image, boundaries: list[int]) -> float:
    """Return the step across boundaries, in steps between the columns near them."""
    steps = _steps(image)
    near = [steps[b + away - 1] for b in boundaries for away in (-9, -7, -5, 5, 7, 9)]
    return float(np.mean([steps[b - 1] for b in boundaries]) / np.mean(near))


def test_a_seam_is_no_steeper_than_what_is_beside_it() -> None:
    network, photo, tile = generator("instance"), sky(400, 192), 192
    placed = spans(400, tile, MARGIN, 4)
    meet = [edge for (_, stop), (start, _) in pairwise(placed) for edge in (start, stop, (start + stop) // 2)]
    elsewhere = [edge for edge in range(20, 380, 7) if min(abs(edge - place) for place in meet) > 12]
    tiled = paint(network, photo, 4, CPU, tile=tile, margin=MARGIN)
    assert _seam_statistic(tiled, meet) == pytest.approx(_seam_statistic(tiled, elsewhere), rel=0.1)

    # The same measure finds the seams of tiles that are painted one by one.
    edges = [100, 200, 300]
    naive = Image.new("RGB", photo.size)
    for left in (0, *edges):
        part = to_tensor(photo.crop((left, 0, left + 100, 192)))
        naive.paste(to_image(network(part[None])[0]), (left, 0))
    assert _seam_statistic(naive, edges) > 1.5 * _seam_statistic(naive, elsewhere)


@given(st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=25)
def test_the_proxy_is_bounded_whatever_the_shape(width: int, height: int) -> None:
    made = proxy(Image.new("RGB", (width, height)), 4, CPU, pixels=1 << 16)
    assert made.shape[2] * made.shape[3] <= 1 << 16
    assert made.shape[2] % 4 == made.shape[3] % 4 == 0
    assert min(made.shape[2:]) >= 16


def test_the_proxy_stands_for_the_picture_and_a_part_of_it_does_not() -> None:
    network, photo = generator(), sky(512, 256)
    pixels = to_tensor(photo)[None]
    whole = measure(network, pixels)

    def off(table: torch.Tensor) -> float:
        """Return by how much the painting differs from that by the whole picture's statistics (RMS, levels)."""
        made, wanted = (with_statistics(network, each)(pixels) for each in (table, whole))
        return float(((made - wanted) * 127.5).square().mean().sqrt())

    found = off(measure(network, proxy(photo, 4, CPU, pixels=1 << 15)))  # a quarter of the pixels
    assert found < 0.3 * off(measure(network, pixels[..., :256]))
    assert off(measure(network, proxy(photo, 4, CPU))) == 0  # a picture that needs no reduction is its own proxy


def test_a_network_without_instance_norm_needs_no_statistics() -> None:
    network = torch.nn.Conv2d(3, 3, 1)
    assert not norms(network)
    photo = picture(200, 90)
    made = paint(network, photo, 4, CPU, tile=96, margin=16)
    with torch.inference_mode():
        expected = to_image(network(to_tensor(photo)[None])[0])
    assert np.abs(_levels(made) - _levels(expected)).max() <= 1


@given(st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=15)
def test_every_size_comes_back_in_its_size(width: int, height: int) -> None:
    network = torch.nn.Conv2d(3, 3, 1)
    assert paint(network, Image.new("RGB", (width, height)), 4, CPU, tile=64, margin=8).size == (width, height)
