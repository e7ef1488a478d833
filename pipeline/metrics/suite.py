"""All families together: everything that is measured of a set of outputs, as paired samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.metrics import bootstrap, metric
from pipeline.metrics.bootstrap import Figure, Samples
from pipeline.metrics.content import Content
from pipeline.metrics.deception import Deception
from pipeline.metrics.distortion import Distortion
from pipeline.metrics.diversity import Diversity
from pipeline.metrics.joint import joint
from pipeline.metrics.kernel import Kernel
from pipeline.metrics.memorisation import Memorisation, Nearest
from pipeline.metrics.modes import Modes
from pipeline.metrics.perceptual import PerceptualDistance
from pipeline.metrics.references import Family, Pixels, References, Settings
from pipeline.metrics.stability import unsettled
from pipeline.metrics.style import Style
from pipeline.metrics.temporal import Repaint, Temporal

FAMILIES = (Style, Kernel, Deception, Content, PerceptualDistance, Diversity, Modes, Distortion, Memorisation)


class Suite:
    """Every metric, against one set of held-out photographs and paintings.

    Two sets of outputs measured by one suite share its resamples: their samples may be subtracted.
    """

    def __init__(self, references: References, settings: Settings) -> None:
        """Sketch the references once.

        Raises:
            ValueError: fewer than two photographs or paintings, or images of different sizes.
        """
        _check(references)
        self._settings = settings
        self._families: list[Family] = [family(references, settings) for family in FAMILIES]
        self._temporal = Temporal(references.photographs)
        self._resamples = bootstrap.draw(len(references.photographs), len(references.paintings), settings.bootstrap)

    def measure(self, outputs: Sequence[Pixels]) -> dict[str, Samples]:
        """Return samples of every metric; outputs in the order of the references' photographs."""
        result: dict[str, Samples] = {}
        for family in self._families:
            result |= family.measure(outputs, self._resamples)
        return result | joint(result)

    def moving(self, repaint: Repaint) -> dict[str, Samples]:
        """Return samples of what needs the model itself: how it paints photographs that moved a little."""
        return self._temporal.measure(repaint, self._resamples)

    def settled(self, model: Samples, snapshots: Iterable[Sequence[Pixels]]) -> dict[str, Samples]:
        """Return samples of how much brushwork and colour varied over the end of the training.

        Args:
            model: its samples of `style/patch_swd`.
            snapshots: the outputs of each earlier state of the model.
        """
        style = next(family for family in self._families if isinstance(family, Style))
        earlier = [style.measure(outputs, self._resamples)["style/patch_swd"] for outputs in snapshots]
        return unsettled([model, *earlier])

    def nearest(self, outputs: Sequence[Pixels]) -> list[Nearest]:
        """Return each output's nearest training image; empty where there are none."""
        family = next(family for family in self._families if isinstance(family, Memorisation))
        return family.nearest(outputs)

    def upper(self) -> dict[str, Figure]:
        """Return figures of held-out paintings against each other."""
        result: dict[str, Figure] = {}
        for family in self._families:
            draws = family.upper(self._settings.bootstrap)
            result |= {name: bootstrap.spread(values) for name, values in draws.items()}
        return result

    def each(self, outputs: Sequence[Pixels]) -> dict[str, list[float]]:
        """Return what can be said of every single output, by metric."""
        result: dict[str, list[float]] = {}
        for family in self._families:
            if isinstance(family, Style | Deception | Content | Distortion):
                result |= {name: [float(x) for x in values] for name, values in family.each(outputs).items()}
        return result


def figures(samples: dict[str, Samples]) -> dict[str, Figure]:
    """Return value and interval of every metric."""
    return {name: bootstrap.figure(values, metric(name)) for name, values in samples.items()}


def differences(minuend: dict[str, Samples], subtrahend: dict[str, Samples]) -> dict[str, Figure]:
    """Return paired differences of every metric that both have."""
    return {name: bootstrap.figure(minuend[name] - subtrahend[name]) for name in minuend if name in subtrahend}


def _check(references: References) -> None:
    for what, images in (("photographs", references.photographs), ("paintings", references.paintings)):
        if len(images) < 2:
            raise ValueError(
                f"only {len(images)} held-out {what}: scoring needs at least 2 of each; ingest more {what}"
            )
    sizes = {image.shape for image in (*references.photographs, *references.paintings)}
    if len(sizes) != 1:
        raise ValueError(f"held-out views have different sizes {sorted(sizes)}; prepare them with one `view`")
