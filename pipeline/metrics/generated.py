"""Everything that is measured of images that come of no photograph, as paired samples."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.metrics import bootstrap
from pipeline.metrics.bootstrap import Figure, Samples
from pipeline.metrics.kernel import Kernel
from pipeline.metrics.memorisation import Memorisation, Nearest
from pipeline.metrics.references import Family, Pixels, References, Settings
from pipeline.metrics.spread import Spread
from pipeline.metrics.style import Style


class GeneratedSuite:
    """The metrics of the task `generate`, against held-out paintings in the size of the images."""

    def __init__(self, references: References, settings: Settings) -> None:
        """Sketch the references once.

        Raises:
            ValueError: fewer than two paintings.
        """
        if len(references.paintings) < 2:
            raise ValueError(
                f"only {len(references.paintings)} held-out paintings: scoring needs at least 2; ingest more artworks"
            )
        self._settings = settings
        self._style = Style(references, settings)
        self._memorisation = Memorisation(references, settings)
        self._families: list[Family] = [
            self._style, Kernel(references, settings), Spread(references, settings), self._memorisation
        ]
        self._resamples = bootstrap.draw(references.outputs, len(references.paintings), settings.bootstrap)

    def measure(self, outputs: Sequence[Pixels]) -> dict[str, Samples]:
        """Return samples of every metric of as many images as the references say."""
        result: dict[str, Samples] = {}
        for family in self._families:
            result |= family.measure(outputs, self._resamples)
        return result

    def nearest(self, outputs: Sequence[Pixels]) -> list[Nearest]:
        """Return each image's nearest training image."""
        return self._memorisation.nearest(outputs)

    def upper(self) -> dict[str, Figure]:
        """Return figures of held-out paintings against each other."""
        result: dict[str, Figure] = {}
        for family in self._families:
            draws = family.upper(self._settings.bootstrap)
            result |= {name: bootstrap.spread(values) for name, values in draws.items()}
        return result

    def each(self, outputs: Sequence[Pixels]) -> dict[str, list[float]]:
        """Return what can be said of every single image, by metric."""
        return {name: [float(x) for x in values] for name, values in self._style.each(outputs).items()}
