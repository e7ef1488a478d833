"""The scores of anything that repaints a picture, beside the controls: a pure function of images.

It knows neither packages nor workspaces nor files, so a test or a notebook can score any callable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.metrics import STYLE
from pipeline.metrics.bootstrap import Figure, Samples
from pipeline.metrics.controls import CONTROLS, UPPER, Control, Palette
from pipeline.metrics.memorisation import COPY, Nearest
from pipeline.metrics.references import NOBODY, Observers, Pixels, References, Settings, canonical_order
from pipeline.metrics.suite import Suite, differences, figures
from pipeline.metrics.temporal import Repaint
from pipeline.params import Evaluate

Stylize: TypeAlias = Callable[[Image.Image], Image.Image]
Painted: TypeAlias = Callable[[int], object]  # told after each picture how many are done

_PAIRS = 5  # outputs shown beside what they are nearest to


@dataclass(frozen=True)
class View:
    """A held-out image: the name it is known by, and its square as 8-bit sRGB (V, V, 3)."""

    name: str
    pixels: Pixels


@dataclass(frozen=True)
class HeldOut:
    """What a model is scored on; photographs and paintings in canonical order whatever order they came in."""

    photographs: tuple[View, ...]
    paintings: tuple[View, ...]
    training: Callable[[], Iterable[Pixels]] | None = None  # training paintings or crops, squares of any side
    observers: Observers = NOBODY

    @staticmethod
    def of(
        photographs: Sequence[View],
        paintings: Sequence[View],
        training: Callable[[], Iterable[Pixels]] | None = None,
        observers: Observers = NOBODY,
    ) -> HeldOut:
        """Return the set in canonical order."""
        return HeldOut(_ordered(photographs), _ordered(paintings), training, observers)

    def suite(self, settings: Evaluate) -> Suite:
        """Return the metrics against this set.

        Raises:
            ValueError: fewer than two images of a kind, or views of different sizes.
        """
        references = References(
            tuple(view.pixels for view in self.photographs),
            tuple(view.pixels for view in self.paintings),
            None if self.training is None else self.training(),
            self.observers,
        )
        return Suite(references, settings_of(settings))


@dataclass(frozen=True)
class Pair:
    """An output of the model beside the training image or crop that it is nearest to: was it pasted?"""

    output: int  # which photograph's
    training: int  # number in the order in which the training images are read
    ratio: float  # distance, relative to that of held-out paintings
    pixels: Pixels  # the training image, mirrored where its mirror image is the near one


@dataclass(frozen=True)
class Scores:
    """Everything that was found out, ready for JSON (`figures`) and for pictures (`outputs`, `each`)."""

    metrics: dict[str, Figure]
    controls: dict[str, dict[str, Figure]]
    differences: dict[str, dict[str, Figure]]
    checks: dict[str, float | None]
    counts: dict[str, int]
    observers: dict[str, str | None]  # which networks looked
    names: tuple[str, ...]  # of the photographs, in the order of what follows
    outputs: dict[str, tuple[Pixels, ...]]  # of the model and of each control
    each: dict[str, list[float]]  # the model's figures, photograph by photograph
    nearest: tuple[Pair, ...] = ()  # at most five, nearest first; none where no training images were at hand

    def to_dict(self) -> dict[str, Any]:
        """Return what belongs into metrics.json; numbers or None, never NaN."""
        return {
            "format": 1,
            "counts": self.counts,
            "observers": self.observers,
            "metrics": self.metrics,
            "controls": self.controls,
            "differences": self.differences,
            "checks": self.checks,
        }


class Scorer:
    """Held-out images with every control measured once; then any number of models beside them."""

    def __init__(self, held_out: HeldOut, settings: Evaluate, palette: Palette) -> None:
        """Measure the controls.

        Args:
            held_out: at least two photographs and two paintings that no model scored was made from.
            settings: how finely to measure.
            palette: `lab_mean` and `lab_std` of the training paintings, for the recoloured controls.

        Raises:
            ValueError: too few images, or views of different sizes.
        """
        self._held_out = held_out
        self._suite = held_out.suite(settings)
        self._photographs = tuple(view.pixels for view in held_out.photographs)
        repaint = {name: _with_palette(control, palette) for name, control in CONTROLS.items()}
        self._outputs = {name: tuple(map(control, self._photographs)) for name, control in repaint.items()}
        self._controls = {
            name: self._suite.measure(outputs) | self._suite.moving(repaint[name])
            for name, outputs in self._outputs.items()
        }
        self._upper = self._suite.upper()

    def score(
        self, stylize: Stylize, painted: Painted | None = None, snapshots: Sequence[Stylize] = ()
    ) -> Scores:
        """Return the scores of `stylize` and of every control, all on the same images and resamples.

        Args:
            stylize: photograph in, picture of the same size out.
            painted: told about progress.
            snapshots: earlier states of the model, from the end of its training.

        Raises:
            ValueError: an output that has not its photograph's size.
        """
        outputs = paint_all(stylize, self._photographs, painted)
        model = self._suite.measure(outputs) | self._suite.moving(_on_pixels(stylize))
        nearest = self._suite.nearest(outputs)
        earlier = (paint_all(snapshot, self._photographs) for snapshot in snapshots)
        model |= self._suite.settled(model["style/patch_swd"], earlier)
        return Scores(
            metrics=figures(model),
            controls={name: figures(samples) for name, samples in self._controls.items()} | {UPPER: self._upper},
            differences={f"{name} - model": differences(found, model) for name, found in self._controls.items()},
            checks=_checks(self._photographs, outputs, nearest),
            counts={"photographs": len(self._photographs), "paintings": len(self._held_out.paintings)},
            observers=self._held_out.observers.names(),
            names=tuple(view.name for view in self._held_out.photographs),
            outputs={"model": outputs, **self._outputs},
            each=self._suite.each(outputs),
            nearest=_pairs(nearest, self._held_out),
        )


def score(
    stylize: Stylize,
    held_out: HeldOut,
    settings: Evaluate,
    palette: Palette,
    painted: Painted | None = None,
    snapshots: Sequence[Stylize] = (),
) -> Scores:
    """Return the scores of one model, see `Scorer`.

    Raises:
        ValueError: too few images, views of different sizes, or an output that has not its photograph's size.
    """
    return Scorer(held_out, settings, palette).score(stylize, painted, snapshots)


def compare_models(
    model: Stylize, other: Stylize, held_out: HeldOut, settings: Evaluate, painted: Painted | None = None
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the other's figures and the paired differences other - model, on the same images and resamples.

    Raises:
        ValueError: as `score`.
    """
    suite = held_out.suite(settings)
    photographs = tuple(view.pixels for view in held_out.photographs)
    theirs = suite.measure(paint_all(other, photographs, painted)) | suite.moving(_on_pixels(other))
    ours = suite.measure(paint_all(model, photographs, painted)) | suite.moving(_on_pixels(model))
    return figures(theirs), differences(theirs, ours)


def paint_all(stylize: Stylize, photographs: Sequence[Pixels], painted: Painted | None = None) -> tuple[Pixels, ...]:
    """Return the outputs, one photograph at a time: no figure may depend on what else is in a batch.

    Raises:
        ValueError: an output has not its photograph's size.
    """
    repaint = _on_pixels(stylize)
    outputs = []
    for number, photograph in enumerate(photographs, 1):
        outputs.append(repaint(photograph))
        if painted is not None:
            painted(number)
    return tuple(outputs)


def summary(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the flat values of a metrics.json: each metric, and the style metrics of each control."""
    flat = {name: figure["value"] for name, figure in scores["metrics"].items()}
    for control, found in scores["controls"].items():
        flat |= {f"{control}.{name}": found[name]["value"] for name in STYLE if name in found}
    return flat


def settings_of(settings: Evaluate) -> Settings:
    """Return what of the parameters decides about figures."""
    return Settings(settings.patches, settings.directions, settings.levels, settings.bootstrap)


def _on_pixels(stylize: Stylize) -> Repaint:
    """Return the model as a function of pixels that refuses an output of another size."""

    def repaint(photograph: Pixels) -> Pixels:
        output = np.asarray(stylize(Image.fromarray(photograph)).convert("RGB"))
        if output.shape != photograph.shape:
            raise ValueError(
                f"the model returned {output.shape[1]} x {output.shape[0]} px for a photograph of "
                f"{photograph.shape[1]} x {photograph.shape[0]} px; a package must keep the size"
            )
        return output

    return repaint


def _with_palette(control: Control, palette: Palette) -> Repaint:
    """Return a control as a function of pixels alone."""
    return lambda photograph: control(photograph, palette)


def _pairs(found: Sequence[Nearest], held_out: HeldOut) -> tuple[Pair, ...]:
    """Return the outputs nearest to the training set; of the training images, read again, only theirs are kept."""
    if not found or held_out.training is None:
        return ()
    order = sorted((i for i in range(len(found)) if math.isfinite(found[i].ratio)), key=lambda i: found[i].ratio)
    chosen = {index: found[index] for index in order[:_PAIRS]}
    wanted = {near.training for near in chosen.values()}
    pictures = {number: np.array(one) for number, one in enumerate(held_out.training()) if number in wanted}
    pairs = []
    for index, near in chosen.items():
        picture = pictures[near.training]
        pixels = picture[:, ::-1] if near.mirrored else picture
        pairs.append(Pair(index, near.training, near.ratio, pixels))
    return tuple(pairs)


def _checks(
    photographs: Sequence[Pixels], outputs: Sequence[Pixels], nearest: Sequence[Nearest]
) -> dict[str, float | None]:
    """Return plain facts that no honest model fails, in 8-bit levels and as a share of the outputs: see `gate`."""
    stack: NDArray[np.float32] = np.stack(outputs).astype(np.float32)
    given = np.stack(photographs).astype(np.float32)
    found: dict[str, Samples | np.floating[Any]] = {
        "variety": stack.std(axis=0).mean(),  # between outputs; 0: one picture for all
        "contrast": stack.std(axis=(1, 2)).mean(),  # within an output; 0: blank
        "change": np.abs(stack - given).mean(),  # 0: the photograph itself
    }
    ratios = np.array([one.ratio for one in nearest])
    if len(ratios) and np.isfinite(ratios).all():
        found["copied"] = np.mean(ratios < COPY)  # 0 to 1; no entry where nothing is known of the training images
    return {name: round(float(value), 4) if math.isfinite(float(value)) else None for name, value in found.items()}


def _ordered(views: Sequence[View]) -> tuple[View, ...]:
    return tuple(views[index] for index in canonical_order([view.pixels for view in views]))
