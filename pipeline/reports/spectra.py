"""The spectra of a model's pictures beside those of paintings and photographs, for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import read_json, write_json
from pipeline.metrics.references import Pixels
from pipeline.metrics.spectrum import Spectrum, decibels, pattern, spectrum
from pipeline.reports.charts import Line, lines
from pipeline.reports.figures import short
from pipeline.reports.sources import MODEL

FILE = "spectra.json"
_PAINTINGS, _PHOTOGRAPHS = "paintings", "photographs"
_TITLES = {MODEL: "This model", _PAINTINGS: "Held-out paintings", _PHOTOGRAPHS: "Held-out photographs"}
_KINDS = {MODEL: "model", _PAINTINGS: "goal", _PHOTOGRAPHS: "start"}
_TICKS = {1 / 8: "8 px", 1 / 4: "4 px", 1 / 2: "2 px"}


def write_spectra(
    folder: Path, model: Sequence[Pixels], paintings: Sequence[Pixels], photographs: Sequence[Pixels]
) -> None:
    """Write `spectra.json`: what each set has at each frequency, and the pattern that stands out, if one does.

    Args:
        folder: the report's gallery.
        model: its outputs; squares of one side, as all of these.
        paintings: held out.
        photographs: held out; may be empty.
    """
    sets = {MODEL: model, _PAINTINGS: paintings, _PHOTOGRAPHS: photographs}
    found = {name: spectrum(pictures) for name, pictures in sets.items() if len(pictures)}
    beside = {name: decibels(one, found[_PAINTINGS]) for name, one in found.items()}
    told = pattern(found[MODEL], *(one for name, one in found.items() if name != MODEL))
    write_json(
        folder / FILE,
        {
            "side": found[MODEL].side,
            "frequencies": _rounded(found[MODEL].frequencies),
            "curves": {name: _curves(one, _rounded(beside[name])) for name, one in found.items()},
            "pattern": None if told is None else {"wavelength": round(told[0], 2), "times": round(told[1], 2)},
        },
    )


def spectra(folder: Path) -> dict[str, Any] | None:
    """Return what a template shows of `write_spectra`: `charts` and a sentence; None where it never wrote."""
    if not (folder / FILE).is_file():
        return None
    found = read_json(folder / FILE)
    at = found["frequencies"]
    charts = []
    for name, (title, what) in _CHARTS.items():
        drawn = [
            Line(_TITLES[source], _KINDS[source], list(zip(at, curves[name], strict=True)))
            for source, curves in found["curves"].items()
        ]
        charts.append({"title": title, "what": what, "svg": lines(drawn, title, _TICKS)})
    return {"charts": charts, "sentence": _sentence(found["pattern"], found["side"])}


_CHARTS = {
    "power": ("Power", "Of light, in decibels, from coarse (left) to fine."),
    "beside": ("Beside the paintings", "More or less power than held-out paintings, in decibels: 3 is twice."),
    "peak": ("Peaks", "The strongest direction of each frequency, in parts of the mean over all directions."),
}


def _curves(one: Spectrum, beside: list[float]) -> dict[str, list[float]]:
    return {"power": _rounded(10 * np.log10(one.power)), "beside": beside, "peak": _rounded(one.peak)}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


def _sentence(told: Mapping[str, float] | None, side: int) -> str:
    seen = f"in pictures of {side} px"
    if told is None:
        return f"No regular pattern stands out {seen}: no peak is three times that of paintings and photographs."
    return (
        f"A regular pattern with a wavelength of {short(told['wavelength'])} px stands out {seen}: its peak is "
        f"{short(told['times'])} times that of paintings and photographs."
    )
