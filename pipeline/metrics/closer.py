"""Whose paintings outputs are nearest to: does a model that paints after references follow them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.colour import pixels_to_lab
from pipeline.metrics import bootstrap, metric, sketch
from pipeline.metrics.bootstrap import Figure
from pipeline.metrics.pyramid import laplacian_pyramid
from pipeline.metrics.references import Pixels, Settings
from pipeline.metrics.style import project_patches

NAME = "reference/closer"
_FLOOR = 0.5  # Lab units, as for `style/patch_swd`

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Followed:
    """What was found: the model's figure, those of controls, and which style's paintings outputs were nearest to."""

    model: Figure
    controls: dict[str, Figure]
    nearest: dict[str, dict[str, float]]  # style of the reference -> style -> share of the outputs nearest to it
    nearer: dict[str, dict[str, float]]  # the same -> other style -> share nearer to the reference's style than to it


class Closer:
    """Held-out paintings of several styles, seen as `style/patch_swd` sees them, in one frame for all."""

    def __init__(self, paintings: Mapping[str, Sequence[Pixels]], settings: Settings) -> None:
        """Sketch the paintings once; two styles or more, of two paintings or more."""
        assert len(paintings) > 1, "one style is always the nearest"
        self._settings = settings
        projected = {style: [self._project(image) for image in images] for style, images in paintings.items()}
        every = [values for images in projected.values() for values in images]
        self._frame = sketch.Frame.of(every, settings.directions, _FLOOR)
        self._paintings = {
            style: np.stack([self._frame.sketch(values) for values in images]) for style, images in projected.items()
        }

    def measure(self, outputs: Mapping[str, Sequence[Pixels]], photographs: Sequence[Pixels]) -> Followed:
        """Return how often outputs are nearer to paintings of their reference's style than to those of any other.

        Args:
            outputs: style of the reference -> an output for each photograph, in their order.
            photographs: as they were.

        Returns:
            `reference/closer`, its 95 % interval over photographs; the same of the photographs untouched, which is
            chance, and of held-out paintings, each against the others.
        """
        styles = list(self._paintings)
        far = {style: self._distances(self._sketches(outputs[style])) for style in styles}
        places = {style: far[style].argmin(axis=0) for style in styles}
        right = np.stack([places[style] == number for number, style in enumerate(styles)])
        untouched = self._distances(self._sketches(photographs)).argmin(axis=0)
        chance = np.stack([untouched == number for number in range(len(styles))])
        return Followed(
            self._figure(right.mean(axis=0)),
            {"photograph": self._figure(chance.mean(axis=0)), "paintings": self._figure(self._own())},
            {
                style: {other: float(np.mean(places[style] == number)) for number, other in enumerate(styles)}
                for style in styles
            },
            {
                style: {
                    other: float(np.mean(far[style][number] < far[style][against]))
                    for against, other in enumerate(styles)
                    if against != number
                }
                for number, style in enumerate(styles)
            },
        )

    def _figure(self, shares: NDArray[np.float64]) -> Figure:
        weights = bootstrap.draw(len(shares), 2, self._settings.bootstrap).photographs.astype(np.float64)
        return bootstrap.figure(weights @ shares, metric(NAME))

    def _sketches(self, images: Sequence[Pixels]) -> Array:
        return np.stack([self._frame.sketch(self._project(image)) for image in images])

    def _distances(self, found: Array) -> NDArray[np.float64]:
        """Return the distance of each image to all paintings of each style, (styles, images)."""
        alone = np.eye(len(found), dtype=np.float32)
        return np.stack(
            [
                sketch.distances(found, alone, own, np.full((len(found), len(own)), 1 / len(own), np.float32))
                for own in self._paintings.values()
            ]
        )

    def _own(self) -> NDArray[np.float64]:
        """Return for each painting whether it is nearest to the others of its style: 1 or 0."""
        hits = []
        for number, found in enumerate(self._paintings.values()):
            far = self._distances(found)
            others = (1 - np.eye(len(found), dtype=np.float32)) / np.float32(max(1, len(found) - 1))
            far[number] = sketch.distances(found, np.eye(len(found), dtype=np.float32), found, others)
            hits.append(far.argmin(axis=0) == number)
        return np.concatenate(hits).astype(np.float64)

    def _project(self, image: Pixels) -> Array:
        return project_patches(laplacian_pyramid(pixels_to_lab(image), self._settings.levels), self._settings)
