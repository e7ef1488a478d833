"""What cannot be, or proves nothing, in a metrics.json: one clause for each thing found.

A metric is trusted because of what it says of the controls, whose scores are known beforehand: the untouched
photograph keeps everything of itself, and paintings are nearer to paintings than photographs are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from types import MappingProxyType

from pipeline.metrics import ORIGINAL, REGISTRY, Metric, of_task
from pipeline.params import Gate
from pipeline.scoresheet import ScoreSheet

# Without these there is nothing to hold a model against.
NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stylize": ("photograph", "lab_transfer", "paintings"),
        "generate": ("mean_image", "spectral_noise", "shuffled", "paintings"),
        "restore": (ORIGINAL,),
    }
)
# What paintings must be nearer to paintings than, and what it is called.
_FAR: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"stylize": ("photograph", "photographs"), "generate": ("spectral_noise", "noise with their spectrum")}
)
# What the original itself scores as a restoration, whatever the damage.
_PERFECT: Mapping[str, float] = MappingProxyType(
    {"restored/l1": 0.0, "restored/gradient": 0.0, "restored/psnr": 100.0, "restored/ssim": 1.0}
)
# What there must be enough of, and the key of `gate` that says how many.
_COUNTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "stylize": {"photographs": "min_photographs", "paintings": "min_paintings"},
        "generate": {"images": "min_photographs", "paintings": "min_paintings"},
        "restore": {"paintings": "min_paintings"},
    }
)
# What the untouched photograph scores, whatever the images.
UNTOUCHED: Mapping[str, float] = MappingProxyType(
    {"content/structure": 1.0, "content/edges": 1.0, "diversity/pairwise": 1.0, "distortion/mse": 0.0}
)
# Where held-out paintings must be nearer to paintings than photographs are.
NEARER = ("style/patch_swd", "style/texture_swd")
# What every control that is needed must have been measured by.
_NAMED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"stylize": NEARER, "generate": NEARER, "restore": tuple(_PERFECT)}
)
JUDGED = ("judge/colour", "judge/luminance")
"""What the frozen judge takes for a painting; higher is more."""
READ = ("codes/own", "codes/independent")
"""Rates at which codes are read; of a good model all are."""
# Plain facts below which an output is no picture, or no painting. 8-bit levels; real models stand far above.
LEAST: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "variety": (2.0, "all outputs are the same picture"),
        "contrast": (3.0, "the outputs are blank"),
        "change": (0.5, "the outputs are the photographs themselves"),
    }
)
_LEAST_DIVERSITY = 0.1  # of the photographs' diversity
_ROUNDING = 1e-3  # of figures in single precision
_DIGITS = 1e-4  # figures are written with six significant digits


def problems(sheet: ScoreSheet, settings: Gate) -> list[str]:
    """Return what is wrong with the figures of a model and its controls; nothing if nothing is."""
    if sheet.task not in _LOOKS:
        return [f"nothing is known of the task {sheet.task!r}"]
    found = [problem for look in _LOOKS[sheet.task] for problem in look(sheet)]
    return found + list(_too_few(sheet, settings))


def _figures(sheet: ScoreSheet) -> Iterator[str]:
    """Find figures that are missing, no number, impossible or without spread."""
    for declared in of_task(sheet.task):
        if sheet.has(declared.name) or not declared.optional:
            yield from _figure(sheet, declared, None, "")
            yield from _spread(sheet, declared)
    for control in NEEDED.get(sheet.task, ()):
        lacking = [name for name in _NAMED[sheet.task] if name not in sheet.names(control)]
        yield from (f"{name} of the control {control} is missing" for name in lacking)
    for control in sheet.controls():
        known = [REGISTRY[name] for name in sheet.names(control) if name in REGISTRY]
        for declared in known:
            yield from _figure(sheet, declared, control, f" of the control {control}")


def _figure(sheet: ScoreSheet, declared: Metric, control: str | None, whose: str) -> Iterator[str]:
    value = sheet.value(declared.name, control)
    if value is None:
        yield f"{declared.name}{whose} is missing or no number"
    elif not declared.low <= value <= declared.high:
        possible = f"from {declared.low:g} to {declared.high:g}"
        yield f"{declared.name}{whose} is {value:g}, which cannot be ({possible})"


def _spread(sheet: ScoreSheet, declared: Metric) -> Iterator[str]:
    if sheet.value(declared.name) is None:
        return
    found = sheet.estimate(declared.name)
    if found is None and declared.optional and sheet.without_interval(declared.name):
        return  # such as a Frechet distance, whose every resample would cost too much
    if found is None:
        yield f"{declared.name} has no interval"
    elif found.low == found.high and not _saturated(declared, found.value):
        yield f"{declared.name} is constant: {found.value:g} whatever images it is measured on"


def _saturated(declared: Metric, value: float) -> bool:
    """Return whether a judge takes all for paintings, every code is read, or all outputs follow their references.

    That it is no constant shows in the figures of controls.
    """
    return declared.name in (*JUDGED, *READ, "reference/closer") and value == declared.high


def _stubs(sheet: ScoreSheet) -> Iterator[str]:
    """Find metrics that cannot tell one control from another."""
    for name in sheet.names():
        values = [value for control in sheet.controls() if (value := sheet.value(name, control)) is not None]
        if len(values) > 1 and len(set(values)) == 1:
            yield f"{name} is {values[0]:g} for every control alike, so it measures nothing"


def _contradictions(sheet: ScoreSheet) -> Iterator[str]:
    """Find differences that are not the difference of the two figures: a swapped sign, or another model's."""
    for pair in sheet.pairs():
        control = pair.removesuffix(" - model")
        for name in sheet.names():
            found, theirs, ours = sheet.difference(pair, name), sheet.value(name, control), sheet.value(name)
            if found is None or theirs is None or ours is None:
                continue
            if abs(found.value - (theirs - ours)) > _DIGITS * (abs(theirs) + abs(ours)):
                given = f"{pair} of {name} is given as {found.value:.3g}"
                yield f"{given}, but the two figures are {theirs:.3g} and {ours:.3g}"


def _untouched(sheet: ScoreSheet) -> Iterator[str]:
    for name, known in UNTOUCHED.items():
        value = sheet.value(name, "photograph")
        if value is None:
            yield f"{name} of the untouched photograph is missing or no number"
        elif abs(value - known) > _ROUNDING:
            yield f"the untouched photograph has {name} {value:g}, where it can only be {known:g}"


def _paintings(sheet: ScoreSheet) -> Iterator[str]:
    control, what = _FAR[sheet.task]
    for name in NEARER:
        paintings, far = sheet.value(name, "paintings"), sheet.value(name, control)
        if paintings is not None and far is not None and paintings >= far:
            yield (
                f"{name} puts held-out paintings ({paintings:.3g}) no nearer to paintings than {what} "
                f"({far:.3g}): it measures nothing here, or the two sets are swapped"
            )


def _blind_judge(sheet: ScoreSheet) -> Iterator[str]:
    for name in JUDGED:
        paintings, photograph = sheet.value(name, "paintings"), sheet.value(name, "photograph")
        if paintings is not None and photograph is not None and paintings <= photograph:
            yield (
                f"the judge takes no more of held-out paintings for paintings ({name} {paintings:.3g}) than of "
                f"photographs ({photograph:.3g}), so what it says of the model is worth nothing"
            )


def _original(sheet: ScoreSheet) -> Iterator[str]:
    for name, known in _PERFECT.items():
        value = sheet.value(name, ORIGINAL)
        if value is not None and abs(value - known) > _ROUNDING:
            yield f"the original itself has {name} {value:g}, where it can only be {known:g}"


def _degenerate(sheet: ScoreSheet) -> Iterator[str]:
    for name, (least, meaning) in LEAST.items():
        if sheet.task != "stylize" and name == "change":
            continue  # there is no photograph that they could have left as it was
        value = sheet.check(name)
        if value is None:
            yield f"the check {name!r} is missing"
        elif value < least:
            yield f"{meaning} ({name} is {value:g} levels, at least {least:g} are normal)"
    diversity = sheet.value("diversity/pairwise")
    if diversity is not None and diversity < _LEAST_DIVERSITY:
        yield f"different photographs become nearly one picture (diversity/pairwise is {diversity:g})"


def _too_few(sheet: ScoreSheet, settings: Gate) -> Iterator[str]:
    wanted = asdict(settings)
    for kind, key in _COUNTED[sheet.task].items():
        count, least, held = sheet.count(kind), wanted[key], "" if kind == "images" else "held-out "
        if count is None:
            yield f"the number of {held}{kind} is missing"
        elif count < least:
            yield f"only {count} {held}{kind}: {least} would do, {least - count} more"


_LOOKS: Mapping[str, tuple[Callable[[ScoreSheet], Iterator[str]], ...]] = MappingProxyType(
    {
        "stylize": (_figures, _stubs, _contradictions, _untouched, _paintings, _blind_judge, _degenerate),
        "generate": (_figures, _contradictions, _paintings, _degenerate),
        "restore": (_figures, _contradictions, _original, _degenerate),
    }
)
