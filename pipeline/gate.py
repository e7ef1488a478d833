"""The gate: metrics, and how they compare with the champion's, -> a verdict, rule by rule. Pure: no files, no state.

Intervals are 95 %. A rule that lacks a number refuses: what was not measured was not shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pipeline.metrics import REGISTRY, metric
from pipeline.params import Gate

Tree: TypeAlias = Mapping[str, Any]

# Metrics that a model may not be worse in than the champion, beyond noise.
COMPARED = ("style/patch_swd", "style/texture_swd", "content/structure")
# Plain facts below which an output is no picture, or no painting. 8-bit levels; real models stand far above.
LEAST = {
    "variety": (2.0, "all outputs are the same picture"),
    "contrast": (3.0, "the outputs are blank"),
    "change": (0.5, "the outputs are the photographs themselves"),
}
_HOPELESS = 30.0  # times narrower than it is: nobody has the 900 times as many images that this takes
_LEAST_DIVERSITY = 0.1  # of the photographs' diversity


@dataclass(frozen=True)
class Rule:
    """One rule's outcome: the sentence says what was found and what it was held against."""

    name: str
    passed: bool
    sentence: str
    value: float | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a model may be promoted, in one sentence and rule by rule."""

    accepted: bool
    sentence: str
    rules: tuple[Rule, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"rules": [asdict(rule) for rule in self.rules]}


def judge(metrics: Tree, comparison: Tree | None, settings: Gate, anchor: Tree | None = None) -> Verdict:
    """Return the verdict on a model.

    The rules, all of which must pass:

    - style: the paired difference photograph - model of `style/patch_swd` has its lower bound above 0;
    - texture: the paired difference lab_transfer - model of `style/texture_swd` has its lower bound above 0;
    - structure: the value of `content/structure` is at least `min_structure`;
    - sane: every figure is there, finite and possible; outputs differ from each other, from a blank sheet and
      from their photographs; there are at least `min_photographs` and `min_paintings` held-out images;
    - champion, and anchor if one is given: see `_against`.

    Args:
        metrics: a metrics.json.
        comparison: what `evaluate.compare` found against the champion; None when there is no champion yet.
        settings: the `gate` of params.yaml.
        anchor: the same against the last version that a person approved; None when there is none.
    """
    rules = [
        _closer("style", metrics, "photograph", "style/patch_swd", "the untouched photograph's"),
        _closer("texture", metrics, "lab_transfer", "style/texture_swd", "Lab colour transfer's"),
        _structure(metrics, settings),
        _sane(metrics, settings),
        _against("champion", comparison, settings.mode),
    ]
    if anchor is not None:
        # Only the champion has to be beaten; the anchor stops a slow decline in steps too small to see.
        rules.append(_against("anchor", anchor, "not_worse"))
    failed = [rule for rule in rules if not rule.passed]
    if failed:
        sentence = "Refused: " + " ".join(rule.sentence for rule in failed)
    else:
        sentence = "Accepted: " + " ".join(rule.sentence for rule in rules[:3])
    return Verdict(not failed, sentence, tuple(rules))


def _closer(name: str, metrics: Tree, control: str, figure: str, whose: str) -> Rule:
    title = metric(figure).title.lower()
    found = _figure(metrics, "differences", f"{control} - model", figure)
    if found is None:
        return Rule(name, False, f"How {title} compares with {whose} was not measured.")
    value, low, high = found
    model, other = (_value(metrics, *path, figure) for path in (("metrics",), ("controls", control)))
    scores = f" (distance {model:.3g} against {other:.3g})" if model is not None and other is not None else ""
    interval = f"by {value:.3g} [{low:.3g}, {high:.3g}]"
    if low > 0:
        sentence = f"The model's {title} is closer to the paintings than {whose}, {interval}{scores}."
        return Rule(name, True, sentence, low, 0.0)
    if value > 0:
        advice = _how_many(metrics, value, low)
        sentence = (
            f"The model's {title} seems closer to the paintings than {whose}, {interval}{scores}, "
            f"but the interval reaches 0{advice}."
        )
    else:
        sentence = f"The model's {title} is no closer to the paintings than {whose}: {interval}{scores}."
    return Rule(name, False, sentence, low, 0.0)


def _how_many(metrics: Tree, value: float, low: float) -> str:
    """Return a clause saying how many images would do: an interval narrows with the square root of their number."""
    counts = metrics.get("counts") or {}
    if not all(isinstance(counts.get(kind), int) for kind in ("photographs", "paintings")):
        return ""
    narrower = (value - low) / value
    if narrower > _HOPELESS:
        return "; no number of images that anyone has would settle it"
    wanted = {kind: math.ceil(counts[kind] * narrower**2) + 1 for kind in ("photographs", "paintings")}
    return (
        f"; about {wanted['photographs']} held-out photographs and {wanted['paintings']} paintings would settle a "
        f"difference of this size ({counts['photographs']} and {counts['paintings']} were there)"
    )


def _structure(metrics: Tree, settings: Gate) -> Rule:
    floor = settings.min_structure
    value = _value(metrics, "metrics", "content/structure")
    if value is None:
        return Rule("structure", False, "How much structure the model keeps was not measured.", None, floor)
    passed = value >= floor
    word = "keeps" if passed else "loses the subject: it keeps"
    sentence = f"The model {word} {value:.2f} of the photographs' coarse structure; at least {floor:g} is asked."
    return Rule("structure", passed, sentence, value, floor)


def _sane(metrics: Tree, settings: Gate) -> Rule:
    problems = [*_unmeasured(metrics), *_degenerate(metrics), *_too_few(metrics, settings)]
    if problems:
        return Rule("sane", False, f"Something is wrong: {'; '.join(problems)}.")
    counts = metrics["counts"]
    return Rule(
        "sane",
        True,
        f"All figures are there and possible, on {counts['photographs']} held-out photographs and "
        f"{counts['paintings']} paintings.",
    )


def _unmeasured(metrics: Tree) -> list[str]:
    problems = []
    for name, declared in REGISTRY.items():
        value = _value(metrics, "metrics", name)
        if value is None:
            problems.append(f"{name} is missing or no number")
        elif not declared.low <= value <= declared.high:
            problems.append(f"{name} is {value:g}, which cannot be (from {declared.low:g} to {declared.high:g})")
        else:
            problems.extend(_interval_problem(name, _figure(metrics, "metrics", name)))
    for control in ("photograph", "lab_transfer", "paintings"):
        lacking = [
            name
            for name in REGISTRY
            if name.startswith("style/") and _value(metrics, "controls", control, name) is None
        ]
        problems.extend(f"{name} of the control {control} is missing or no number" for name in lacking)
    return problems


def _interval_problem(name: str, found: tuple[float, float, float] | None) -> list[str]:
    if found is None:
        return [f"{name} has no interval"]
    _, low, high = found
    return [f"{name} is constant: the same whatever images it is measured on"] if low == high else []


def _degenerate(metrics: Tree) -> list[str]:
    problems = []
    checks = metrics.get("checks") or {}
    for name, (least, meaning) in LEAST.items():
        value = _number(checks.get(name))
        if value is None:
            problems.append(f"the check {name!r} is missing")
        elif value < least:
            problems.append(f"{meaning} ({name} is {value:g} levels, at least {least:g} are normal)")
    diversity = _value(metrics, "metrics", "diversity/pairwise")
    if diversity is not None and diversity < _LEAST_DIVERSITY:
        problems.append(f"different photographs become nearly one picture (diversity/pairwise is {diversity:g})")
    return problems


def _too_few(metrics: Tree, settings: Gate) -> list[str]:
    problems = []
    counts = metrics.get("counts") or {}
    wanted = {"photographs": settings.min_photographs, "paintings": settings.min_paintings}
    for kind, least in wanted.items():
        count = counts.get(kind)
        if not isinstance(count, int):
            problems.append(f"the number of held-out {kind} is missing")
        elif count < least:
            problems.append(f"only {count} held-out {kind}: {least} would do, {least - count} more")
    return problems


def _against(whom: str, comparison: Tree | None, mode: str) -> Rule:
    """Return the rule about another model, from paired differences `champion - model` of `COMPARED`.

    Worse beyond noise: the whole interval of the difference lies on the worse side of 0. For a distance (lower is
    better) that is high < 0, for structure (higher is better) low > 0.

    - not_worse: worse beyond noise in none of them.
    - better: that, and `style/patch_swd` better beyond noise (low > 0).
    - manual: never passes; a person promotes.

    Without a champion, not_worse and better pass.
    """
    if mode == "manual":
        return Rule(whom, False, "gate.mode is manual: a person decides, with `atelier promote`.")
    if comparison is None:
        return Rule(whom, True, f"There is no {whom} yet.")
    worse, unknown = [], []
    for name in COMPARED:
        found = _figure(comparison, "differences", "champion - model", name)
        if found is None:
            unknown.append(name)
        elif _worse(name, *found[1:]):
            least, most = sorted((abs(found[1]), abs(found[2])))  # all of it lies on one side of 0
            worse.append(f"{metric(name).title.lower()} by {abs(found[0]):.3g} [{least:.3g}, {most:.3g}]")
    if unknown:
        return Rule(whom, False, f"The comparison with the {whom} lacks {', '.join(unknown)}.")
    if worse:
        return Rule(whom, False, f"The model is worse than the {whom} beyond noise: {', '.join(worse)}.")
    style = _figure(comparison, "differences", "champion - model", "style/patch_swd")
    assert style is not None  # it is one of COMPARED
    value, low, high = style
    interval = f"style closer by {value:.3g} [{low:.3g}, {high:.3g}]"
    if mode == "better" and low <= 0:
        sentence = f"gate.mode is better, and the model is not beyond noise better than the {whom}: {interval}."
        return Rule(whom, False, sentence, low, 0.0)
    word = "better than" if low > 0 else "not worse than"
    return Rule(whom, True, f"The model is {word} the {whom}: {interval}.", low if mode == "better" else high, 0.0)


def _worse(name: str, low: float, high: float) -> bool:
    return high < 0 if metric(name).direction == "lower" else low > 0


def _figure(tree: Tree, *path: str) -> tuple[float, float, float] | None:
    """Return value, low and high at a path, or None when any of them is no finite number."""
    value, low, high = (_number(_at(tree, *path, part)) for part in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return None
    return (value, low, high) if low <= value <= high else None


def _value(tree: Tree, *path: str) -> float | None:
    return _number(_at(tree, *path, "value"))


def _at(tree: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def _number(value: Any) -> float | None:
    """Return a finite number as float; None for anything else (JSON's true is a number in Python)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
