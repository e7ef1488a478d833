"""The scores of anything that restores pictures, beside the controls: a pure function of images.

The counterpart of `scoring` for the task `restore`. Held-out artworks are damaged from fixed seeds, once a grade, so
that the model, the controls and any other model get the same pictures to mend.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from PIL import Image

from pipeline.damage.held_out import Specimen, Wear
from pipeline.metrics import ORIGINAL
from pipeline.metrics.bootstrap import Figure
from pipeline.metrics.references import Pixels
from pipeline.metrics.restored import RestoredSuite
from pipeline.metrics.suite import differences, figures
from pipeline.metrics.unlearnt import CONTROLS
from pipeline.params import Evaluate
from pipeline.scoring import Painted, View

Outputs: TypeAlias = dict[str, tuple[Pixels, ...]]
"""Grade -> one picture an artwork."""


class Mender(Protocol):
    """What is scored: what is left of a picture in, the whole picture out."""

    def __call__(self, image: Image.Image, mask: Image.Image | None = None) -> Image.Image:
        """Return the whole picture; `mask` says where it is lost, if anybody knows."""
        ...


@dataclass(frozen=True)
class Workshop:
    """Held-out artworks, and what is left of each at every grade."""

    artworks: tuple[View, ...]
    wear: Wear
    specimens: Mapping[str, tuple[Specimen, ...]]

    @staticmethod
    def of(artworks: Sequence[View], wear: Wear) -> Workshop:
        """Damage artworks; each by its own name, so that it does not matter what stands beside it."""
        ordered = tuple(sorted(artworks, key=lambda view: view.name))
        left = {grade: tuple(wear.specimen(one.name, one.pixels, grade) for one in ordered) for grade in wear.grades}
        return Workshop(ordered, wear, left)

    def joined(self, wear: Wear, whose: str) -> Workshop:
        """Return this workshop with what artworks suffer by another recipe too, where that is something else.

        Whoever is held against another must stand on the damage of both: a recipe that names less is an easier one.

        Args:
            wear: of the same task and scale.
            whose: how to speak of it; grades of one name but other damage are called `heavy, as Champion v3`.
        """
        other, specimens = Workshop.of(self.artworks, wear), dict(self.specimens)
        for grade, left in other.specimens.items():
            if grade not in specimens:
                specimens[grade] = left
            elif not all(map(_same, left, specimens[grade])):
                specimens[f"{grade}, as {whose}"] = left
        return Workshop(self.artworks, self.wear, specimens)

    def suite(self, settings: Evaluate) -> RestoredSuite:
        """Return the figures against these artworks.

        Raises:
            ValueError: too few, or too small.
        """
        lost = {
            grade: [None if one.mask is None else np.asarray(one.mask) > 0 for one in left]
            for grade, left in self.specimens.items()
        }
        return RestoredSuite([view.pixels for view in self.artworks], lost, settings.bootstrap)

    def mended(self, mender: Mender, told: Painted | None = None) -> Outputs:
        """Return what a mender makes of everything; `told` after each how many are done.

        Raises:
            ValueError: a picture came back in another size than the artwork has.
        """
        done = iter(range(1, 1 + sum(map(len, self.specimens.values()))))

        def mend(one: Specimen, view: View) -> Pixels:
            made = np.asarray(mender(one.picture, one.mask).convert("RGB"))
            if made.shape != view.pixels.shape:
                raise ValueError(
                    f"the model returned {made.shape[1]} x {made.shape[0]} px for an artwork of "
                    f"{view.pixels.shape[1]} x {view.pixels.shape[0]} px"
                )
            if told is not None:
                told(next(done))
            return made

        return {
            grade: tuple(mend(one, view) for one, view in zip(left, self.artworks, strict=True))
            for grade, left in self.specimens.items()
        }

    def controls(self) -> Iterator[tuple[str, Mender]]:
        """Yield what restores without having learnt, by name."""
        for name, mend in CONTROLS[self.wear.task].items():
            yield name, lambda image, mask=None, mend=mend: mend(image, mask, self.wear.scale)


@dataclass(frozen=True)
class RestorationScores:
    """Everything that was found out, ready for JSON and for pictures."""

    restores: str
    metrics: dict[str, Figure]
    controls: dict[str, dict[str, Figure]]
    differences: dict[str, dict[str, Figure]]
    checks: dict[str, float | None]
    counts: dict[str, int]
    workshop: Workshop
    outputs: dict[str, Outputs]  # of the model and of each control
    each: dict[str, dict[str, list[float]]]  # the model's figures, grade -> figure -> artwork by artwork

    def to_dict(self) -> dict[str, Any]:
        """Return what belongs into metrics.json; numbers or None, never NaN."""
        return {
            "format": 1,
            "task": "restore",
            "restores": self.restores,
            "grades": list(self.workshop.wear.grades),
            "counts": self.counts,
            "metrics": self.metrics,
            "controls": self.controls,
            "differences": self.differences,
            "checks": self.checks,
        }


def score_restorer(
    restorer: Mender, workshop: Workshop, settings: Evaluate, told: Painted | None = None
) -> RestorationScores:
    """Return the scores of a restorer and of every control, on the same damage and resamples.

    Args:
        restorer: the model.
        workshop: what it is asked to mend.
        settings: how many resamples.
        told: told after each picture how many are done.

    Raises:
        ValueError: too few artworks, views that are too small, or an output of another size.
    """
    suite = workshop.suite(settings)
    outputs = workshop.mended(restorer, told)
    model = suite.measure(outputs)
    mended = {name: workshop.mended(mend) for name, mend in workshop.controls()}
    measured = {name: suite.measure(made) for name, made in mended.items()}
    originals = {grade: tuple(view.pixels for view in workshop.artworks) for grade in workshop.specimens}
    each = {grade: suite.each(grade, made) for grade, made in outputs.items()}
    return RestorationScores(
        restores=workshop.wear.task,
        metrics=figures(model),
        controls={name: figures(found) for name, found in {**measured, ORIGINAL: suite.measure(originals)}.items()},
        differences={f"{name} - model": differences(found, model) for name, found in measured.items()},
        checks=_checks(outputs),
        counts={"paintings": len(workshop.artworks)},
        workshop=workshop,
        outputs={"model": outputs, **mended},
        each={grade: {name: [float(x) for x in of] for name, of in found.items()} for grade, found in each.items()},
    )


@dataclass(frozen=True)
class Compared:
    """What was found of another restorer beside a model: its figures, and the paired differences other - model."""

    metrics: dict[str, Figure]
    differences: dict[str, Figure]
    grades: dict[str, dict[str, Figure]]  # the differences of each grade of damage alone


def compare_restorers(model: Mender, other: Mender, workshop: Workshop, settings: Evaluate) -> Compared:
    """Return how another restorer compares with a model on the same damage and resamples: see `Workshop.joined`.

    Raises:
        ValueError: as `score_restorer`.
    """
    suite = workshop.suite(settings)
    theirs, ours = (workshop.mended(one) for one in (other, model))
    whole = [suite.measure(outputs) for outputs in (theirs, ours)]
    alone = {
        grade: differences(*(suite.measure({grade: outputs[grade]}) for outputs in (theirs, ours)))
        for grade in workshop.specimens
    }
    return Compared(figures(whole[0]), differences(*whole), alone)


def _same(one: Specimen, other: Specimen) -> bool:
    return one.picture.tobytes() == other.picture.tobytes()


def _checks(outputs: Outputs) -> dict[str, float | None]:
    """Return plain facts that no honest model fails, in 8-bit levels: see `gate`."""
    stack = np.stack([picture for made in outputs.values() for picture in made]).astype(np.float32)
    found = {
        "variety": stack.std(axis=0).mean(),  # between outputs; 0: one picture for all
        "contrast": stack.std(axis=(1, 2)).mean(),  # within an output; 0: blank
    }
    return {name: round(float(value), 4) if math.isfinite(float(value)) else None for name, value in found.items()}
