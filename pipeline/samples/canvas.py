"""The toolbox of the built-in pictures: seeded noise, sampling, colour, compositing, the camera.

Pictures under work are float32 arrays (n, n, 3) in linear light, 0 black and 1 diffuse white, y downwards;
coordinates are fractions of the frame, so that a composition is the same at every size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

Array: TypeAlias = NDArray[np.float32]


def generator(seed: int, domain: str, index: int) -> Generator:
    """Return the random generator of one image: a stable hash of who it is, never Python's salted `hash`."""
    digest = hashlib.sha256(f"{seed}/{domain}/{index}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def f32(values: object) -> Array:
    """Return `values` as a float32 array."""
    return np.asarray(values, dtype=np.float32)


def grid(n: int) -> tuple[Array, Array]:
    """Return pixel centres as fractions of the frame: y (n, 1) downwards and x (1, n)."""
    line = (np.arange(n, dtype=np.float32) + 0.5) / np.float32(n)
    return line[:, None], line[None, :]


def linear(colour: str) -> Array:
    """Return an sRGB colour `#rrggbb` as linear light (3,)."""
    code = f32([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return to_linear(code)


def to_linear(image: Array) -> Array:
    """Return sRGB values in [0, 1] as linear light."""
    return f32(np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4))


def to_srgb(image: Array) -> Array:
    """Return linear light as sRGB values, clipped to [0, 1]."""
    light = np.clip(image, 0, 1)
    return f32(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055))


def dot(a: Array, b: Array) -> Array:
    """Return the scalar products (...) of vectors (..., 3)."""
    return f32(np.einsum("...i,...i->...", a, b))


def luminance(image: Array) -> Array:
    """Return the luminance (n, n) of an image (n, n, 3)."""
    return image @ f32([0.2126, 0.7152, 0.0722])


def mix(a: Array, b: Array, amount: Array | float) -> Array:
    """Return `a` where amount is 0 and `b` where it is 1; a map (n, n) serves every channel of an image."""
    share = f32(amount)
    if share.ndim == 2 and max(a.ndim, b.ndim) in (1, 3):
        share = share[..., None]
    return f32(a + (b - a) * share)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Return 0 below `low`, 1 above `high`, smooth between (either order of the two)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return f32(t * t * (3 - 2 * t))


def resize(field: Array, height: int, width: int, how: Image.Resampling = Image.Resampling.BICUBIC) -> Array:
    """Return a map (h, w) resampled to (height, width)."""
    return f32(Image.fromarray(f32(field)).resize((width, height), how))


def fractal(
    rng: Generator, n: int, *, cells: float = 4, octaves: int = 6, gain: float = 0.5, stretch: float = 1.0
) -> Array:
    """Return fractal noise (n, n) of mean 0 and deviation 1.

    Args:
        rng: drawn from through a child, so that the caller's later draws do not depend on `n`.
        n: side in pixels.
        cells: features across the frame in the first octave; each further octave doubles them.
        octaves: how many; those finer than a pixel are left out.
        gain: amplitude of an octave over the one before.
        stretch: how many times wider than high the features are.
    """
    child = rng.spawn(1)[0]
    total = np.zeros((n, n), np.float32)
    for octave in range(octaves):
        down, across = (max(2, round(cells * 2**octave * k**0.5)) for k in (stretch, 1 / stretch))
        if max(down, across) > n:
            break
        total += gain**octave * resize(child.standard_normal((down, across), dtype=np.float32), n, n)
    return f32((total - total.mean()) / (total.std() + 1e-6))


def ridged(rng: Generator, n: int, *, cells: float = 3, octaves: int = 7) -> Array:
    """Return ridged multifractal noise (n, n) in [0, 1]: sharp crests, as mountains have."""
    child = rng.spawn(1)[0]
    total, weight = np.zeros((n, n), np.float32), np.ones((n, n), np.float32)
    for octave in range(octaves):
        count = round(cells * 2**octave)
        if count > n:
            break
        crest = 1 - np.abs(resize(child.standard_normal((count, count), dtype=np.float32), n, n)) / 1.4
        crest = np.clip(crest, 0, 1) ** 2
        total += 0.52**octave * crest * weight
        weight = np.clip(crest * 1.6, 0, 1)
    low, high = total.min(), total.max()
    return f32((total - low) / (high - low + 1e-6))


def sample(field: Array, y: Array, x: Array) -> Array:
    """Return `field` (h, w) at positions given as fractions of its sides, mirrored outside, bilinear."""
    height, width = field.shape
    where = np.stack(np.broadcast_arrays(f32(y) * height - 0.5, f32(x) * width - 0.5))
    return f32(ndimage.map_coordinates(field, where, order=1, mode="mirror", output=np.float32))


def blur(image: Array, sigma: float) -> Array:
    """Return an image or map blurred by a Gaussian of `sigma` as a fraction of the side."""
    pixels = sigma * image.shape[0]
    if pixels < 0.3:
        return image
    spread = (pixels, pixels, 0) if image.ndim == 3 else pixels
    return f32(ndimage.gaussian_filter(image, spread, truncate=2.5))


def lens_blur(image: Array, radius: float) -> Array:
    """Return an image seen out of focus: averaged over a disc of `radius` (a fraction of the side).

    A disc keeps bright points as discs, which is what sets a lens apart from a Gaussian.
    """
    reach = max(1, round(radius * image.shape[0] / 2))
    small = shrink(image, 2)
    span = np.arange(-reach, reach + 1)
    disc = f32(span[:, None] ** 2 + span[None, :] ** 2 <= (reach + 0.3) ** 2)
    padded = np.pad(small, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    sides = fft.next_fast_len(padded.shape[0], real=True)
    size = (sides, sides)
    kernel = fft.rfft2(disc / disc.sum(), s=size)
    planes = [fft.irfft2(fft.rfft2(padded[..., c], s=size) * kernel, s=size) for c in range(3)]
    wide = f32(np.stack(planes, axis=-1))[2 * reach :, 2 * reach :][: small.shape[0], : small.shape[0]]
    return enlarge(np.clip(wide, 0, None), image.shape[0])


def shrink(image: Array, factor: int) -> Array:
    """Return an image or map averaged over blocks of `factor` pixels squared."""
    n = image.shape[0] // factor
    return f32(image.reshape(n, factor, n, factor, *image.shape[2:]).mean(axis=(1, 3)))


def enlarge(image: Array, n: int) -> Array:
    """Return an image (k, k, 3) resampled to (n, n, 3), bilinear."""
    how = Image.Resampling.BILINEAR
    return np.stack([resize(image[..., c], n, n, how) for c in range(3)], axis=-1)


def choose(rng: Generator, options: Sequence[str]) -> str:
    """Return one of `options`."""
    return options[int(rng.integers(len(options)))]


def uniform(rng: Generator, low: float, high: float) -> float:
    """Return a number in [low, high)."""
    return float(rng.uniform(low, high))


def soft_light(image: Array) -> Array:
    """Return `image` with a slight halation of its highlights, as lenses give."""
    return f32(image + 0.12 * blur(np.clip(image - 0.7, 0, 2), 0.015))


def expose(image: Array, rng: Generator, *, grain: float = 0.012, vignette: float = 0.25) -> Image.Image:
    """Return the photograph of a scene: exposure, filmic curve, vignette, half size, film grain.

    Args:
        image: linear light (2 n, 2 n, 3); the two-fold size is the antialiasing.
        rng: draws the grain and a slight cast.
        grain: deviation in sRGB units.
        vignette: share of light lost in the corners.
    """
    n = image.shape[0] // 2
    light = shrink(image, 2)
    y, x = grid(n)
    light *= (1 - vignette * 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))[..., None]
    light *= f32(rng.normal(1, 0.02, 3)) * (0.21 / (0.35 * float(luminance(light).mean()) + 0.65 * 0.21))
    # Hable-like shoulder (Narkowicz's fit of ACES): highlights roll off as film does, instead of clipping
    film = (light * (2.51 * light * 0.8 + 0.03)) / (light * (2.43 * light * 0.8 + 0.59) + 0.14)
    code = to_srgb(f32(film))
    noise = rng.standard_normal((n, n, 1), dtype=np.float32) + 0.4 * rng.standard_normal((n, n, 3), dtype=np.float32)
    return to_image(f32(code + grain * noise * (1.2 - code)))


def to_image(code: Array) -> Image.Image:
    """Return sRGB values in [0, 1] (n, n, 3) as an image of 8 bits."""
    return Image.fromarray((np.clip(code, 0, 1) * 255 + 0.5).astype(np.uint8))
