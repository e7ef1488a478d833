"""The scores of anything that makes images out of noise, beside the controls: a pure function of images.

The counterpart of `scoring` for the task `generate`. The images are those of the seeds 0, 1, 2 and so on; paintings
are compared in the images' size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pipeline.metrics.bootstrap import Figure, Samples
from pipeline.metrics.controls import UPPER
from pipeline.metrics.drawn import DRAWN, chosen
from pipeline.metrics.generated import GeneratedSuite
from pipeline.metrics.memorisation import COPY, Nearest
from pipeline.metrics.references import NOBODY, Observers, Pixels, References
from pipeline.metrics.stability import unsettled
from pipeline.metrics.suite import differences, figures
from pipeline.params import Evaluate
from pipeline.scoring import Painted, View, settings_of

_PAIRS = 5  # images shown beside what they are nearest to


class Seeded(Protocol):
    """What is scored: seeds in, square images of one side out."""

    @property
    def side(self) -> int:
        """Side of the images, px."""
        ...

    def __call__(self, seeds: Sequence[int]) -> Iterable[Image.Image]:
        """Return the image of each seed."""
        ...


@dataclass(frozen=True)
class Paintings:
    """What images out of noise are held against: held-out views, training crops, and the networks that look."""

    held_out: tuple[View, ...]
    training: Callable[[], Iterable[Pixels]]
    total: int  # training crops
    observers: Observers = NOBODY

    def small(self, side: int) -> Iterator[Pixels]:
        """Yield all training crops in the size of the images."""
        return (reduced(crop, side) for crop in self.training())


@dataclass(frozen=True)
class Near:
    """An image beside the training crop that it is nearest to: is it a copy?"""

    seed: int
    ratio: float  # distance, relative to that of held-out paintings
    pixels: Pixels  # the crop, mirrored where its mirror image is the near one


@dataclass(frozen=True)
class SampleScores:
    """Everything that was found out, ready for JSON and for pictures."""

    metrics: dict[str, Figure]
    controls: dict[str, dict[str, Figure]]
    differences: dict[str, dict[str, Figure]]
    checks: dict[str, float | None]
    counts: dict[str, int]
    observers: dict[str, str | None]
    outputs: dict[str, tuple[Pixels, ...]]  # of the model, by seed, and of each control
    nearest: tuple[Near, ...]  # at most five, nearest first
    codes: tuple[str, ...] = ()  # names of the model's codes, whose figures the gate asks for

    def to_dict(self) -> dict[str, Any]:
        """Return what belongs into metrics.json; numbers or None, never NaN."""
        return {
            "format": 1,
            "task": "generate",
            "codes": list(self.codes),
            "counts": self.counts,
            "observers": self.observers,
            "metrics": self.metrics,
            "controls": self.controls,
            "differences": self.differences,
            "checks": self.checks,
        }


def score_samples(
    sampler: Seeded,
    paintings: Paintings,
    settings: Evaluate,
    drawn: Painted | None = None,
    snapshots: Sequence[Seeded] = (),
    codes: Sequence[str] = (),
) -> SampleScores:
    """Return the scores of a sampler and of every control, on the same paintings and resamples.

    Args:
        sampler: the model.
        paintings: what its images are held against.
        settings: how many images, and how finely to measure.
        drawn: told after each image how many are done.
        snapshots: earlier states of the model, from the end of its training.
        codes: names of the model's codes, if it has any: what is read of them must be added (`reading.with_codes`).

    Raises:
        ValueError: too few paintings, or views smaller than the images.
    """
    side, count = sampler.side, settings.samples
    suite = suite_of(paintings, side, settings)
    outputs = draw_all(sampler, count, drawn)
    model = suite.measure(outputs)
    earlier = [suite.measure(draw_all(snapshot, count))["style/patch_swd"] for snapshot in snapshots]
    model |= unsettled([model["style/patch_swd"], *earlier])
    some = chosen(paintings.small(side), paintings.total, count)
    controls = {name: make(some, count) for name, make in DRAWN.items()}
    measured = {name: suite.measure(images) for name, images in controls.items()}
    nearest = suite.nearest(outputs)
    return SampleScores(
        metrics=figures(model),
        controls={name: figures(samples) for name, samples in measured.items()} | {UPPER: suite.upper()},
        differences={f"{name} - model": differences(samples, model) for name, samples in measured.items()},
        checks=_checks(outputs, nearest),
        counts={"images": count, "paintings": len(paintings.held_out)},
        observers=paintings.observers.names(),
        outputs={"model": outputs, **controls},
        nearest=_near(nearest, paintings, side),
        codes=tuple(codes),
    )


def compare_samplers(
    model: Seeded, other: Seeded, paintings: Paintings, settings: Evaluate
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the other's figures and the paired differences other - model, on the same seeds and paintings.

    Raises:
        ValueError: as `score_samples`, or images of different sizes.
    """
    if model.side != other.side:
        raise ValueError(
            f"one model makes images of {other.side} px, the other of {model.side} px: their figures cannot be held "
            f"against each other; promote by hand, with `atelier promote`"
        )
    suite = suite_of(paintings, model.side, settings)
    theirs, ours = (suite.measure(draw_all(one, settings.samples)) for one in (other, model))
    return figures(theirs), differences(theirs, ours)


def suite_of(paintings: Paintings, side: int, settings: Evaluate) -> GeneratedSuite:
    """Return the metrics against paintings in the size of the images."""
    views = tuple(reduced(view.pixels, side) for view in paintings.held_out)
    references = References((), views, paintings.small(side), paintings.observers, images=settings.samples)
    return GeneratedSuite(references, settings_of(settings))


def draw_all(sampler: Seeded, count: int, drawn: Painted | None = None) -> tuple[Pixels, ...]:
    """Return the images of the seeds 0 to `count` - 1."""
    outputs = []
    for number, image in enumerate(sampler(range(count)), 1):
        outputs.append(np.asarray(image.convert("RGB")))
        if drawn is not None:
            drawn(number)
    return tuple(outputs)


def reduced(image: Pixels, side: int) -> Pixels:
    """Return a square image in another size, filtered as training reduces its crops.

    Raises:
        ValueError: it is smaller than that.
    """
    if image.shape[0] < side:
        raise ValueError(
            f"the model's images have {side} px, prepared views and crops only {image.shape[0]}; raise prepare.view "
            f"and prepare.crop to {side} or more"
        )
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _checks(outputs: Sequence[Pixels], nearest: Sequence[Nearest]) -> dict[str, float | None]:
    """Return plain facts that no honest model fails, in 8-bit levels and as a share of the images: see `gate`."""
    stack = np.stack(outputs).astype(np.float32)
    found: dict[str, Samples | np.floating[Any]] = {
        "variety": stack.std(axis=0).mean(),  # between images; 0: one picture for all
        "contrast": stack.std(axis=(1, 2)).mean(),  # within an image; 0: blank
    }
    ratios = np.array([one.ratio for one in nearest])
    if len(ratios) and np.isfinite(ratios).all():
        found["copied"] = np.mean(ratios < COPY)
    return {name: round(float(value), 4) if math.isfinite(float(value)) else None for name, value in found.items()}


def _near(found: Sequence[Nearest], paintings: Paintings, side: int) -> tuple[Near, ...]:
    order = sorted((i for i in range(len(found)) if math.isfinite(found[i].ratio)), key=lambda i: found[i].ratio)
    wanted: Mapping[int, Nearest] = {index: found[index] for index in order[:_PAIRS]}
    numbers = {one.training for one in wanted.values()}
    crops = {number: crop for number, crop in enumerate(paintings.small(side)) if number in numbers}
    return tuple(
        Near(seed, one.ratio, crops[one.training][:, ::-1] if one.mirrored else crops[one.training])
        for seed, one in wanted.items()
    )
