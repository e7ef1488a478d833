"""Controls of what makes images out of noise: what it must beat to have learnt more than statistics of paintings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.references import Pixels

Drawn: TypeAlias = Callable[[Sequence[Pixels], int], tuple[Pixels, ...]]

_SEED = 33_961
_BLOCKS = 8  # a shuffled image is made of so many blocks a side


def chosen(images: Iterable[Pixels], total: int, count: int) -> list[Pixels]:
    """Return `count` of `total` images, evenly apart in their order; all of them where there are no more."""
    wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
    return [image for number, image in enumerate(images) if number in wanted]


def spectral_noise(paintings: Sequence[Pixels], count: int) -> tuple[Pixels, ...]:
    """Return noise with the spectrum and the colours' covariance of a painting each, and no form.

    The phases of its Fourier transform are shifted at random, alike in all channels (random phase noise, Galerne,
    Gousseau and Morel 2011, section 2); the mean colour stays.
    """
    rng = np.random.default_rng([_SEED, 0])
    return tuple(_random_phase(paintings[number % len(paintings)], rng) for number in range(count))


def mean_image(paintings: Sequence[Pixels], count: int) -> tuple[Pixels, ...]:
    """Return the mean of the paintings, as often as asked: what a generator shows that hedges."""
    mean = np.mean([image.astype(np.float64) for image in paintings], axis=0)
    return (np.asarray(mean.round(), dtype=np.uint8),) * count


def shuffled(paintings: Sequence[Pixels], count: int) -> tuple[Pixels, ...]:
    """Return mosaics of square blocks, each of a random place in a random painting: true paint, no picture."""
    rng = np.random.default_rng([_SEED, 1])
    side = paintings[0].shape[0]
    block = max(1, side // _BLOCKS)
    made = []
    for _ in range(count):
        image = np.empty_like(paintings[0])
        for top in range(0, side, block):
            for left in range(0, side, block):
                painting = paintings[int(rng.integers(len(paintings)))]
                y, x = rng.integers(side - block + 1, size=2)
                place = image[top : top + block, left : left + block]
                place[:] = painting[y : y + place.shape[0], x : x + place.shape[1]]
        made.append(image)
    return tuple(made)


def _random_phase(image: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    phases: NDArray[np.complex128] = np.fft.fft2(rng.normal(size=(height, width)))
    turn = phases / np.abs(phases)  # of real noise: odd, so that the result is real
    turn[0, 0] = 1
    turned = np.fft.ifft2(np.fft.fft2(image.astype(np.float64), axes=(0, 1)) * turn[..., None], axes=(0, 1)).real
    return np.asarray(turned.round().clip(0, 255), dtype=np.uint8)


DRAWN: Mapping[str, Drawn] = MappingProxyType(
    {"mean_image": mean_image, "spectral_noise": spectral_noise, "shuffled": shuffled}
)
