"""Power spectra of pictures, averaged round the circle, and the peaks that a regular pattern leaves in them.

Upsampling that repeats itself (a checkerboard, a mesh) puts power where paintings and photographs have none (Durall,
Keuper, Keuper 2020, "Watch your Up-Convolution", section 3). They describe; nothing is judged by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
_LUMA = (0.299, 0.587, 0.114)
_FLOOR = 1e-3  # of a squared level of 255: below it there is rounding alone
_CALM = 3  # cycles a picture; what is coarser is composition, and has peaks of its own
_ALIKE = 3.0  # times the peak of natural pictures: from here on it is told


@dataclass(frozen=True)
class Spectrum:
    """What a set of square pictures has at each frequency; one value a ring of 1, 2, ... cycles a side."""

    side: int  # px of the pictures
    power: NDArray[np.float64]  # mean over the ring, in squared levels of 255
    peak: NDArray[np.float64]  # the ring's largest / its mean; 1: the same in all directions

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Cycles a pixel of each ring: 0.5 is every other pixel, what is beyond lies on the diagonals."""
        return np.arange(1, len(self.power) + 1) / self.side


def spectrum(pictures: Sequence[Pixels]) -> Spectrum:
    """Return the spectrum of luminance of square 8-bit pictures (S, S, 3), all of one side; their mean is taken.

    Each loses its mean and fades out towards its edges (Hann), whose jump would otherwise be seen at all frequencies.
    """
    side = pictures[0].shape[0]
    assert all(picture.shape == (side, side, 3) for picture in pictures), "squares of one side"
    fade = np.hanning(side + 2)[1:-1]
    window = np.outer(fade, fade)
    window /= np.sqrt((window**2).mean())  # the power stays
    total = np.zeros((side, side))
    for picture in pictures:
        light = picture @ np.array(_LUMA)
        total += np.abs(np.fft.fft2((light - light.mean()) * window)) ** 2 / side**2
    mean = np.maximum(total / len(pictures), _FLOOR)
    across = np.fft.fftfreq(side, 1 / side)
    ring = np.hypot(across[:, None], across).round().astype(int).ravel()
    count = int(side / np.sqrt(2))  # up to the corners: a checkerboard of single pixels lies there
    sums, times = (np.bincount(ring, weights, count + 2)[1 : count + 1] for weights in (mean.ravel(), None))
    largest = np.zeros(ring.max() + 1)
    np.maximum.at(largest, ring, mean.ravel())
    power = sums / times
    return Spectrum(side, power, largest[1 : count + 1] / power)


def decibels(one: Spectrum, other: Spectrum) -> NDArray[np.float64]:
    """Return how much more power one has than the other at each frequency, in dB: 3 is twice as much."""
    found: NDArray[np.float64] = 10 * np.log10(one.power / other.power)
    return found


def pattern(one: Spectrum, *natural: Spectrum) -> tuple[float, float] | None:
    """Return (wavelength in px, times) of a regular pattern that no natural pictures of the same side have.

    Of a pattern's frequencies it is the coarsest, at which it repeats itself; the others are multiples.

    Returns:
        None where no ring's peak is three times the largest of `natural`, or only where even the peak has less power
        than theirs: next to nothing may have any direction, and nobody sees it.
    """
    times = one.peak / np.max([each.peak for each in natural], axis=0)
    beside = np.maximum(np.append(times[1:], 0), np.insert(times[:-1], 0, 0))
    seen = one.peak * one.power >= np.max([each.peak * each.power for each in natural], axis=0)
    plain = np.flatnonzero((times >= _ALIKE) & (times >= beside) & seen)
    plain = plain[plain >= _CALM]
    if not len(plain):
        return None
    return float(1 / one.frequencies[plain[0]]), float(times[plain[0]])
