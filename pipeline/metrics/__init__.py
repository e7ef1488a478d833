"""Every metric's name, direction, unit and meaning, declared once; each family is computed in a file of its own.

What measures never trains: the filters, seeds and constants of this package appear in no loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from pipeline.catalogue import Task


@dataclass(frozen=True)
class Metric:
    """One figure: how to read it. `low` and `high` bound what is possible."""

    name: str
    title: str
    direction: Literal["lower", "higher", "none"]  # which way is better; none: it describes
    unit: str
    meaning: str  # one line
    low: float = 0.0
    high: float = math.inf
    tasks: tuple[Task, ...] = ("stylize",)  # of models that it is measured of
    optional: bool = False  # measured only where weights, or enough images, are at hand
    tells: tuple[str, ...] = ()  # rungs of the ladder that it must tell apart, best first: see benchmarks/ladder.py

    @property
    def arrow(self) -> str:
        """A sign for tables: which way is better."""
        return {"lower": "↓", "higher": "↑", "none": "·"}[self.direction]


_BOTH: tuple[Task, ...] = ("stylize", "generate")
_RESTORE: tuple[Task, ...] = ("restore",)
_DECLARED: tuple[Metric, ...] = (
    Metric(
        "style/patch_swd",
        "Brushwork and colour",
        "lower",
        "of the paintings' own spread",
        "Sliced Wasserstein distance between 7x7 colour patches of the outputs and of held-out paintings, "
        "over a Laplacian pyramid in Lab; every level counts alike, relative to the paintings' deviation there.",
        tells=("paintings", "photograph", "blurred", "noise"),
        tasks=_BOTH,
    ),
    Metric(
        "style/texture_swd",
        "Texture",
        "lower",
        "of the paintings' own spread",
        "The same on contrast-normalised luminance: texture apart from palette and lighting.",
        # Not from the paintings: with some tens of images a good model's texture is not clearly beyond their noise.
        tells=("model", "lab_transfer", "blurred"),
        tasks=_BOTH,
    ),
    Metric(
        "style/palette",
        "Palette",
        "lower",
        "Lab units",
        "Sliced Wasserstein distance between the colours of outputs and paintings; "
        "a shift of all colours by d scores d.",
        tells=("paintings", "photograph"),
        tasks=_BOTH,
    ),
    Metric(
        "style/kid",
        "Kernel distance",
        "lower",
        "squared distance of features",
        "Unbiased squared kernel distance (KID) between a frozen network's features of outputs and of paintings; "
        "0 is no difference, and chance alone goes below it. Comparable only where the same network looked.",
        low=-math.inf,
        # Not from the paintings: with 17 of them and 40 photographs a good model's features lie within their noise.
        tells=("model", "early", "noise"),
        tasks=_BOTH,
    ),
    Metric(
        "style/frechet",
        "Fréchet distance",
        "lower",
        "squared distance of features",
        "Squared distance between Gaussians fitted to the same features; measured from 2,000 images of each kind up, "
        "since with fewer it says how many there are; no interval.",
        optional=True,
        tasks=_BOTH,
    ),
    Metric(
        "judge/colour",
        "Deceives the judge",
        "higher",
        "share of windows",
        "Share of the outputs that a frozen judge, trained on this hand's paintings against photographs, takes for "
        "paintings. What held-out paintings reach is the goal; above them, something fools it.",
        high=1.0,
        tells=("paintings", "model", "lab_transfer"),
    ),
    Metric(
        "judge/luminance",
        "Deceives the judge, in light alone",
        "higher",
        "share of windows",
        "The same of a judge that sees light without colour: a palette cannot persuade it, brushwork can.",
        high=1.0,
        # Not from the paintings: on some styles a good model deceives as often as they do.
        tells=("model", "lab_transfer"),
    ),
    Metric(
        "reference/closer",
        "Follows its reference",
        "higher",
        "share of pairs",
        "Share of pairs of a photograph and a reference whose output is nearer to held-out paintings of the "
        "reference's style than to those of every other style that the model learnt, as `style/patch_swd` sees them; "
        "of models of many styles that paint after references.",
        high=1.0,
        optional=True,
    ),
    Metric(
        "content/structure",
        "Structure kept",
        "higher",
        "1 = kept",
        "Local correlation of luminance with the photograph on a 40-cell thumbnail, lowered where contrast is lost, "
        "weighted by the photograph's contrast; blur and rubble fall, strokes and recolouring do not.",
        low=-1.0,
        high=1.0,
        tells=("photograph", "model", "blurred", "noise"),
    ),
    Metric(
        "content/edges",
        "Edges kept",
        "higher",
        "cosine",
        "Agreement of luminance gradients with the photograph's on an 80-cell thumbnail.",
        low=-1.0,
        high=1.0,
        tells=("photograph", "model", "noise"),
    ),
    Metric(
        "content/lpips",
        "Perceptual distance",
        "lower",
        "0 = the photograph",
        "LPIPS distance to the photograph, from VGG16 features; measured where those weights are at hand.",
        optional=True,
    ),
    Metric(
        "diversity/pairwise",
        "Diversity",
        "higher",
        "1 = as the photographs",
        "Mean distance between two outputs, relative to that between their photographs; 0 is one picture for all.",
        tells=("photograph", "one"),
    ),
    Metric(
        "diversity/spread",
        "Diversity",
        "higher",
        "1 = as the paintings",
        "Mean distance between two images out of noise, relative to that between two held-out paintings; "
        "0 is one picture for all.",
        tasks=("generate",),
    ),
    Metric(
        "diversity/modes",
        "Different pictures",
        "higher",
        "1 = as the photographs",
        "How many different pictures the outputs amount to (Vendi score), relative to the photographs: "
        "it falls where many photographs become one of a few pictures.",
        tells=("photograph", "one"),
    ),
    Metric(
        "stability/snapshots",
        "Unsettled",
        "lower",
        "of the distance itself",
        "How much brushwork and colour still varied over the last tenths of the training: the deviation of its "
        "distance over the snapshots, relative to their mean. Large: stopping elsewhere gives another model.",
        optional=True,
        tasks=_BOTH,
    ),
    Metric(
        "distortion/mse",
        "Mean squared error",
        "none",
        "of [0, 1] sRGB",
        "Mean squared difference from the photograph; painting must cost some.",
        high=1.0,
    ),
    Metric(
        "distortion/psnr",
        "Peak signal-to-noise",
        "none",
        "dB, at most 100",
        "The same in decibels, averaged over photographs.",
        high=100.0,
    ),
    Metric(
        "memorisation/nearest_train",
        "Distance from the training set",
        "higher",
        "1 = as held-out paintings",
        "Distance of an output to the nearest training image or crop, relative to that of held-out paintings; "
        "near 0 the model pastes what it saw.",
        tells=("model", "pasted"),
        tasks=_BOTH,
    ),
    Metric(
        "codes/own",
        "Code read by its own head",
        "higher",
        "share of images",
        "Share of images of which the model's own head tells the categorical code that they were made with.",
        high=1.0,
        tasks=("generate",),
        optional=True,
    ),
    Metric(
        "codes/independent",
        "Code read by anybody",
        "higher",
        "share of images",
        "The same of a classifier that knows nothing of the model: trained at evaluation on half of the images "
        "(colours and roughness on an 8 x 8 grid, logistic regression), tested on the other half.",
        high=1.0,
        tasks=("generate",),
        optional=True,
    ),
    Metric(
        "codes/own_continuous",
        "Continuous codes read by its own head",
        "higher",
        "correlation",
        "Correlation of the continuous codes with what the model's own head reads, mean over codes.",
        low=-1.0,
        high=1.0,
        tasks=("generate",),
        optional=True,
    ),
    Metric(
        "codes/independent_continuous",
        "Continuous codes read by anybody",
        "higher",
        "correlation",
        "The same of a linear regression on the same features, trained on half of the images.",
        low=-1.0,
        high=1.0,
        tasks=("generate",),
        optional=True,
    ),
    Metric(
        "joint/score",
        "Style and content together",
        "lower",
        "product",
        "(2 - structure kept) x (1 + brushwork and colour): the form of ArtFID, but not its features, "
        "so no figure to hold against published ones.",
        low=1.0,
        tells=("model", "photograph", "noise"),
    ),
    Metric(
        "temporal/flicker",
        "Flicker",
        "lower",
        "L units",
        "Root mean square change of luminance where windows of one photograph, a few pixels apart, show the same "
        "place; 0 is paint that stays where it was.",
        tells=("photograph", "noise"),
    ),
    Metric(
        "restored/l1",
        "Error",
        "lower",
        "of [0, 1] sRGB",
        "Mean absolute difference from the original, where the picture was lost; everywhere, if nobody says where.",
        high=1.0,
        tasks=_RESTORE,
    ),
    Metric(
        "restored/gradient",
        "Error of edges",
        "lower",
        "of luminance, a pixel",
        "Mean length of the difference of the luminance's gradients from the original's, in the same places.",
        high=1.0,
        tasks=_RESTORE,
    ),
    Metric(
        "restored/psnr",
        "Peak signal-to-noise",
        "higher",
        "dB, at most 100",
        "Of whole pictures against the originals, averaged over pictures; 100 is the original.",
        high=100.0,
        tasks=_RESTORE,
    ),
    Metric(
        "restored/ssim",
        "Structural similarity",
        "higher",
        "1 = the original",
        "SSIM (Wang et al. 2004) of whole pictures against the originals, averaged over pictures.",
        low=-1.0,
        high=1.0,
        tasks=_RESTORE,
    ),
)


# What is measured of each grade of damage alone, beside the mean over all: see `pipeline.damage.draw`.
_GRADED: Mapping[tuple[str, ...], Mapping[str, str]] = MappingProxyType(
    {
        ("restored/l1", "restored/gradient"): {
            "fine": "fine holes",
            "medium": "medium holes",
            "large": "large holes",
        },
        ("restored/psnr", "restored/ssim"): {
            "light": "light wear",
            "heavy": "heavy wear",
            "clean": "reduced alone",
            "worn": "reduced and worn",
        },
    }
)


def _graded() -> Iterator[Metric]:
    plain = {one.name: one for one in _DECLARED}
    for names, grades in _GRADED.items():
        for one in map(plain.__getitem__, names):
            for grade, what in grades.items():
                title, meaning = f"{one.title}: {what}", f"The same, of one grade of damage alone: {what}."
                yield replace(one, name=f"{one.name}/{grade}", title=title, meaning=meaning, optional=True)


_DECLARED = (*_DECLARED, *_graded())
REGISTRY: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _DECLARED})
STYLE = tuple(name for name in REGISTRY if name.startswith("style/"))
"""Metrics of which the figures of all controls are worth a summary."""
ORIGINAL = "original"
"""The control above all restorations: the picture as it was."""
DECISIVE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "inpaint": ("restored/l1", "restored/gradient"),
        "restore": ("restored/psnr", "restored/ssim"),
        "super_resolution": ("restored/psnr", "restored/ssim"),
    }
)
"""What a model must be better in than all that restores without having learnt, by what it restores."""

UNLEARNT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "inpaint": ("damaged", "smooth", "telea", "navier_stokes"),
        "restore": ("damaged",),
        "super_resolution": ("bicubic",),
    }
)
"""What that is: the controls of `pipeline.metrics.unlearnt`, by what a model restores."""


def of_task(task: str) -> tuple[Metric, ...]:
    """Return what is measured of models of a task."""
    return tuple(one for one in REGISTRY.values() if task in one.tasks)


def metric(name: str) -> Metric:
    """Return the declaration of a metric.

    Raises:
        ValueError: none has that name.
    """
    if name not in REGISTRY:
        raise ValueError(f"no metric named {name!r}; there are {', '.join(REGISTRY)}")
    return REGISTRY[name]
