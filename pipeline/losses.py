"""Losses: pure functions, tensors in, scalar tensor out, prefixed by the player that minimises them.

Those with `q` are minimised by a recogniser and by the generator together.

Random directions and patch positions are arguments, drawn anew each step by the caller: nothing here is shared
with what `pipeline.metrics` measures. All are computed in full precision, whatever the networks compute in.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import ParamSpec

import torch
from torch import Tensor
from torch.nn import functional as F

_P = ParamSpec("_P")


def _exact(loss: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """Make a loss leave autocast and see bfloat16 arguments as float32: sums of small differences need the bits."""

    @functools.wraps(loss)
    def compute(*args: _P.args, **kwargs: _P.kwargs) -> Tensor:
        device = next(value.device.type for value in args if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            return loss(*map(_widened, args), **kwargs)  # type: ignore[arg-type]  # the same types again

    return compute


def _widened(value: object) -> object:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.bfloat16 else value


@_exact
def d_minimax(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))] of logits (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


@_exact
def g_minimax(fake: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))] of logits (Goodfellow et al. 2014, eq. 1)."""
    return -F.softplus(fake).mean()


@_exact
def g_non_saturating(fake: Tensor) -> Tensor:
    """-E[log D(G(z))] of logits (Goodfellow et al. 2014, section 3): strong while the discriminator is winning."""
    return F.softplus(-fake).mean()


@_exact
def d_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))], halved (Lim & Ye 2017, eq. 1)."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


@_exact
def g_hinge(fake: Tensor) -> Tensor:
    """-E[D(G(z))] (Lim & Ye 2017, eq. 2)."""
    return -fake.mean()


@_exact
def d_lsgan(real: Tensor, fake: Tensor) -> Tensor:
    """(E[(D(x) - 1)^2] + E[D(G(z))^2]) / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


@_exact
def g_lsgan(fake: Tensor) -> Tensor:
    """E[(D(G(z)) - 1)^2] (Mao et al. 2017, eq. 9, without the half)."""
    return (fake - 1).square().mean()


@torch.no_grad()
def accuracy(real: Tensor, fake: Tensor, boundary: float) -> Tensor:
    """Share of scores on their own side of the boundary, real and fake alike: no loss, but what the scores say."""
    return 0.5 * ((real > boundary).float().mean() + (fake < boundary).float().mean())


BOUNDARY = {"minimax": 0.0, "non_saturating": 0.0, "lsgan": 0.5, "hinge": 0.0}
"""The score above which a discriminator says "real"."""
D_ADVERSARIAL = {"minimax": d_minimax, "non_saturating": d_minimax, "lsgan": d_lsgan, "hinge": d_hinge}
G_ADVERSARIAL = {"minimax": g_minimax, "non_saturating": g_non_saturating, "lsgan": g_lsgan, "hinge": g_hinge}


@_exact
def g_patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Mean cross entropy of finding, among an image's patches, the one at the same place (Park et al. 2020, eq. 2).

    Args:
        query: (N, P, C) unit vectors of the output's patches.
        key: (N, P, C) unit vectors of the input's patches at the same places; no gradient flows into them.
        temperature: divides the similarities.
    """
    logits = query @ key.detach().transpose(1, 2) / temperature
    target = torch.arange(query.shape[1], device=query.device).expand(query.shape[0], -1)
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


@_exact
def g_identity(output: Tensor, painting: Tensor) -> Tensor:
    """E|G(y) - y|: a painting should stay as it is (Zhu et al. 2017, section 5.2)."""
    return (output - painting).abs().mean()


@_exact
def g_cycle(back: Tensor, image: Tensor) -> Tensor:
    """E|F(G(x)) - x|: there and back again is where it began (Zhu et al. 2017, eq. 2)."""
    return (back - image).abs().mean()


@_exact
def g_restored(output: Tensor, original: Tensor, holes: Tensor | None = None) -> Tensor:
    """E|y - G(x)| (Isola et al. 2017, eq. 3); with holes (N, 1, H, W), 1 inside, over what was lost alone."""
    far = (output - original).abs().mean(1, keepdim=True)
    return far.mean() if holes is None else (far * holes).sum() / holes.sum().clamp_min(1)


@_exact
def g_structure(output: Tensor, photo: Tensor, scales: tuple[int, ...] = (4, 8)) -> Tensor:
    """Sum over scales of 1 - cosine of mean-free luminance, averaged over s x s pixels.

    Blind to brightness and contrast: a painting may be darker than the photograph, but light stays where it was.
    """
    total = output.new_zeros(())
    for scale in scales:
        a, b = (_centred(F.avg_pool2d(luminance(x), scale)) for x in (output, photo))
        total = total + (1 - F.cosine_similarity(a, b, dim=1, eps=1e-6)).mean()
    return total


@_exact
def g_texture(
    output: Tensor, painting: Tensor, directions: Tensor, levels: int = 3, most: int | None = None
) -> Tensor:
    """Sliced Wasserstein-1 between contrast-normalised luminance patches, mean over a pyramid's levels.

    Args:
        output: (N, 3, H, W) in [-1, 1].
        painting: (M, 3, H, W) in [-1, 1].
        directions: (R, 1, k, k) filters, drawn anew for each step (Rabin et al. 2011: projections of patches).
        levels: full resolution and `levels - 1` halvings.
        most: patches to compare of each direction and level, evenly apart; None: all.
    """
    total = output.new_zeros(())
    a, b = luminance(output), luminance(painting)
    for level in range(levels):
        if level:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        found = (_thinned(_responses(_normalised(x), directions), most) for x in (a, b))
        total = total + _wasserstein(*found)
    return total / levels


@_exact
def g_palette(output: Tensor, painting: Tensor, directions: Tensor, most: int | None = None) -> Tensor:
    """Sliced Wasserstein-1 between colours, averaged over 2 x 2 pixels; `directions` is (R, 3, 1, 1).

    `most` as in `g_texture`.
    """
    a, b = (_thinned(_responses(F.avg_pool2d(x, 2), directions), most) for x in (output, painting))
    return _wasserstein(a, b)


@_exact
def g_contrast(output: Tensor, painting: Tensor, levels: int = 3, most: int | None = None) -> Tensor:
    """Wasserstein-1 between the distributions of local deviation, mean over a pyramid's levels.

    Of light and of both opponent colours. What contrast normalisation hides: how much of the picture is calm and how
    rough the rest; and colour fringes, which neither texture (light alone) nor palette (no neighbours) can see.
    `most` as in `g_texture`.
    """
    total = output.new_zeros(())
    a, b = _opponent(output), _opponent(painting)
    for level in range(levels):
        if level:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        total = total + _wasserstein(*(_thinned(_deviation(x).transpose(0, 1).flatten(1), most) for x in (a, b)))
    return total / levels


@_exact
def g_calm(output: Tensor, photo: Tensor, scale: int = 8) -> Tensor:
    """1 - correlation of log local deviation with the photograph's: rough where it is rough, calm where calm."""
    a, b = (_centred(F.avg_pool2d(_deviation(luminance(x)) + 0.02, scale).log()) for x in (output, photo))
    return (1 - F.cosine_similarity(a, b, dim=1, eps=1e-6)).mean()


@_exact
def g_chroma(output: Tensor, photo: Tensor, scales: tuple[int, ...] = (4, 8)) -> Tensor:
    """Sum over scales of 1 - correlation of both opponent colours, averaged over s x s pixels.

    Blind to saturation and to one shift for all pictures: the style has its own palette, but what is warmer or
    greener than the rest of the photographs stays so. The floor (both deviations 0.03) leaves grey ones alone.
    """
    total = output.new_zeros(())
    for scale in scales:
        a, b = (F.avg_pool2d(_opponent(x)[:, 1:], scale) for x in (output, photo))
        a, b = (x - x.mean((0, 2, 3), keepdim=True) for x in (a, b))
        spread = (a.square().mean() * b.square().mean()).clamp_min(1e-6).sqrt()
        total = total + 1 - (a * b).mean() / spread
    return total


@_exact
def g_smoothness(output: Tensor) -> Tensor:
    """Total variation per pixel, anisotropic (Rudin et al. 1992)."""
    return output.diff(dim=2).abs().mean() + output.diff(dim=3).abs().mean()


@_exact
def d_r1(real: Tensor, images: Tensor) -> Tensor:
    """E|grad_x D(x)|^2 / 2, at real images alone (Mescheder et al. 2018, eq. 9, for gamma of 1).

    Args:
        real: D's scores, of any shape; where an image's depends on others (minibatch deviation), that counts too.
        images: what they are of, (N, 3, H, W), requiring gradients.
    """
    (slope,) = torch.autograd.grad(real.sum(), images, create_graph=True)
    return slope.square().flatten(1).sum(1).mean() / 2


@_exact
def path_lengths(images: Tensor, latents: Tensor, directions: Tensor) -> Tensor:
    """Return (N,): how far images move in random directions y as latents do, |J_w^T y| (Karras et al. 2020, eq. 4).

    Of several latents an image it is the root of the mean square; y is divided by the root of the number of pixels,
    so that lengths do not depend on the size of the images. No loss, but what one is made of.

    Args:
        images: (N, C, H, W), differentiable with respect to `latents`.
        latents: (N, L, D), L of each image.
        directions: (N, C, H, W) of N(0, 1).
    """
    moved = (images * directions).sum() / math.sqrt(images.shape[2] * images.shape[3])
    (slope,) = torch.autograd.grad(moved, latents, create_graph=True)
    return slope.square().sum(2).mean(1).sqrt()


@_exact
def g_path_length(lengths: Tensor, mean: Tensor) -> Tensor:
    """E(|J_w^T y| - a)^2, a being the running mean of the lengths (Karras et al. 2020, eq. 4)."""
    return (lengths - mean).square().mean()


@_exact
def q_categorical(logits: Tensor, code: Tensor) -> Tensor:
    """-E[log Q(c|x)] of a categorical code, one-hot or probabilities (N, K), in nats.

    The code's entropy less this is a lower bound on I(c; G(z, c)) (Chen et al. 2016, eq. 5), which G and Q raise.
    """
    return F.cross_entropy(logits, code)


@_exact
def q_gaussian(mean: Tensor, log_deviation: Tensor, code: Tensor) -> Tensor:
    """-E[log N(c; mean, deviation^2)] of continuous codes (N, codes), mean over codes; the same bound."""
    apart = (code - mean) * torch.exp(-log_deviation)
    return (0.5 * apart.square() + log_deviation).mean() + 0.5 * math.log(2 * math.pi)


@_exact
def g_content(found: Tensor, wanted: Tensor) -> Tensor:
    """E (f(g(t)) - t)^2: the output's features are those that were decoded (Huang & Belongie 2017, eq. 12).

    The paper writes a norm and its code takes the mean square, as here.
    """
    return (found - wanted).square().mean()


@_exact
def g_style(found: Tensor, wanted: Tensor) -> Tensor:
    """E (mu - mu_s)^2 + E (sigma - sigma_s)^2 at one level (Huang & Belongie 2017, eq. 13, as mean squares).

    Args:
        found: means and deviations of the output's features, (N, 2 C, 1, 1), of C channels each.
        wanted: those of the reference's.
    """
    return 2 * (found - wanted).square().mean()  # the mean is over both kinds: 2 C numbers


@_exact
def e_kinship(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cross entropy of finding, among all images, the other half of one's own (InfoNCE, Oord et al. 2018, eq. 4).

    Args:
        first: (N, D) descriptions of one half of each image.
        second: (N, D) descriptions of the other halves.
        temperature: divides the cosines.
    """
    one, other = F.normalize(first, dim=1), F.normalize(second, dim=1)
    logits = one @ other.T / temperature
    target = torch.arange(len(one), device=one.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def luminance(x: Tensor) -> Tensor:
    """Return (N, 1, H, W) Rec. 601 luma of (N, 3, H, W), in the range of the input."""
    red, green, blue = x.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]


def _opponent(x: Tensor) -> Tensor:
    """Return (N, 3, H, W): luma, red against green, yellow against blue."""
    red, green, blue = x.unbind(1)
    return torch.stack([luminance(x)[:, 0], red - green, (red + green) / 2 - blue], dim=1)


def _centred(x: Tensor) -> Tensor:
    flat = x.flatten(1)
    return flat - flat.mean(1, keepdim=True)


def _local_mean(x: Tensor, window: int = 5) -> Tensor:
    return F.avg_pool2d(x, window, 1, window // 2, count_include_pad=False)


def _deviation(x: Tensor) -> Tensor:
    mean = _local_mean(x)
    return (_local_mean(x.square()) - mean.square()).clamp_min(1e-6).sqrt()


def _normalised(x: Tensor) -> Tensor:
    # The floor keeps flat paper flat: without it, its grain would count as much as a brush stroke.
    return (x - _local_mean(x)) / (_deviation(x) + 0.04)


def _responses(x: Tensor, directions: Tensor) -> Tensor:
    """Return (R, samples): projections of all patches on each direction."""
    stride = 2 if directions.shape[-1] > 1 else 1
    return F.conv2d(x, directions, stride=stride).transpose(0, 1).flatten(1)


def _thinned(samples: Tensor, most: int | None) -> Tensor:
    """Return (R, S) or fewer of the S samples, evenly apart: sorting them is what a step waits for."""
    if most is None or samples.shape[1] <= most:
        return samples
    # An odd way from one to the next does not fall in step with rows and columns, which are mostly even.
    return samples[:, :: -(-samples.shape[1] // most) | 1]


def _wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Mean over rows of the 1-D Wasserstein-1 distance between equally many samples: (R, S) and (R, S)."""
    return (a.sort(dim=1).values - b.sort(dim=1).values).abs().mean()
