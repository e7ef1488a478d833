"""The gate's rules that hold for every task, and what a rule is. Pure: no files, no state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from pipeline.metrics import metric
from pipeline.metrics.memorisation import COPY
from pipeline.params import Gate
from pipeline.scoresheet import Estimate, ScoreSheet, Tree

# Metrics that a model may not be worse in than the champion, beyond noise.
COMPARED: Mapping[str, str] = MappingProxyType(
    {"style/patch_swd": "style", "style/texture_swd": "texture", "content/structure": "structure"}
)
"""Metric -> its name in `gate.seed_noise`."""
MOST_COPIED = 0.05  # of the outputs; of honest models' none was one, with the nearest at twice `COPY`
_HOPELESS = 30.0  # times narrower than it is: nobody has the 900 times as many images that this takes


@dataclass(frozen=True)
class Rule:
    """One rule's outcome: the sentence says what was found and what it was held against."""

    name: str
    passed: bool
    sentence: str
    value: float | None = None
    bound: float | None = None


def closer(name: str, sheet: ScoreSheet, control: str, figure: str, whose: str) -> Rule:
    """Return whether a figure of the model is clearly closer to the paintings than a control's."""
    title = metric(figure).title.lower()
    found = sheet.difference(f"{control} - model", figure)
    if found is None:
        return Rule(name, False, f"How {title} compares with {whose} was not measured.", None, 0.0)
    told = scores(sheet, control, figure)
    if found.low > 0:
        sentence = f"The model's {title} is closer to the paintings than {whose}, by {found}{told}."
        return Rule(name, True, sentence, found.low, 0.0)
    if found.value > 0:
        advice = how_many(sheet, found.value, found.value - found.low)
        sentence = (
            f"The model's {title} seems closer to the paintings than {whose}, by {found}{told}, "
            f"but the interval reaches 0{advice}."
        )
    else:
        sentence = f"The model's {title} is no closer to the paintings than {whose}: by {found}{told}."
    return Rule(name, False, sentence, found.low, 0.0)


def copies(sheet: ScoreSheet) -> Rule:
    """Return whether the outputs are no copies of training images."""
    value, copied = sheet.value("memorisation/nearest_train"), sheet.check("copied")
    if value is None or copied is None:
        sentence = "How near the outputs are to the training paintings was not measured."
        return Rule("copies", False, sentence, None, COPY)
    distance = f"they lie {value:.2f} times as far from the nearest one as held-out paintings do"
    if value < COPY:
        sentence = f"The outputs are copies of training paintings: {distance}; at least {COPY:g} is asked."
        return Rule("copies", False, sentence, value, COPY)
    if copied > MOST_COPIED:
        sentence = (
            f"{copied:.1%} of the outputs are copies of training paintings, nearer to one than {COPY:g} of held-out "
            f"paintings' distance; at most {MOST_COPIED:.1%} may be."
        )
        return Rule("copies", False, sentence, copied, MOST_COPIED)
    return Rule("copies", True, f"The outputs are no copies of training paintings: {distance}.", value, COPY)


def against(
    whom: str,
    sheet: ScoreSheet,
    comparison: Tree | None,
    settings: Gate,
    compared: Mapping[str, str] = COMPARED,
    leading: str = "style/patch_swd",
) -> Rule:
    """Return the rule about another model, from paired differences `champion - model` of `compared`.

    Worse beyond noise: the whole interval of the difference lies on the worse side of `gate.seed_noise`, since an
    interval over images knows nothing of how much another seed would change. For a distance (lower is better) that is
    high < -noise, for structure (higher is better) low > noise.

    - not_worse: worse beyond noise in none of them.
    - better: that, and `leading` better beyond noise.
    - manual: never passes; a person promotes.

    Without a champion, not_worse and better pass. What other networks saw is compared with nothing.
    """
    mode = settings.mode
    if mode == "manual":
        return Rule(whom, False, "gate.mode is manual: a person decides, with `atelier promote`.")
    if comparison is None:
        return Rule(whom, True, f"There is no {whom} yet.")
    other = ScoreSheet(comparison)
    if strangers := _strangers(sheet, other):
        return Rule(
            whom,
            False,
            f"The comparison with the {whom} says nothing, for other networks looked: {strangers}. "
            f"`dvc repro -f evaluate@RECIPE` scores the model with today's networks.",
        )
    differences = {name: other.difference("champion - model", name) for name in compared}
    unknown = [name for name, found in differences.items() if found is None]
    first = differences[leading]
    if unknown or first is None:
        return Rule(whom, False, f"The comparison with the {whom} lacks {', '.join(unknown)}.")
    if worse := worse_beyond_noise(differences, settings, compared):
        return Rule(whom, False, f"The model is worse than the {whom} beyond noise: {', '.join(worse)}.")
    if metric(leading).direction == "higher":  # champion - model: turned, so that more is better in the sentences too
        first = Estimate(0 - first.value, 0 - first.high, 0 - first.low)
    title = "style closer" if leading == "style/patch_swd" else f"{metric(leading).title.lower()} higher"
    if mode == "better" and first.low <= 0:
        sentence = f"gate.mode is better, and the model is not beyond noise better than the {whom}: "
        return Rule(whom, False, f"{sentence}{title} by {first}.", first.low, 0.0)
    word = "better than" if first.low > 0 else "not worse than"
    sentence = f"The model is {word} the {whom}: {title} by {first}."
    return Rule(whom, True, sentence, first.low if mode == "better" else first.high, 0.0)


def worse_beyond_noise(
    differences: Mapping[str, Estimate | None], settings: Gate, compared: Mapping[str, str]
) -> list[str]:
    """Return in what a model is worse than another beyond noise, and by how much: see `against`.

    Args:
        differences: other - model, by metric; None where there is none.
        settings: `seed_noise` is used.
        compared: metric -> its name in `gate.seed_noise`.
    """
    noise = asdict(settings.seed_noise)
    return [
        _by_how_much(name, found)
        for name, found in differences.items()
        if found and _worse(name, found, noise[compared[name]])
    ]


def _strangers(sheet: ScoreSheet, other: ScoreSheet) -> str:
    """Return which networks looked at only one of two models; nothing where either does not say."""
    ours, theirs = sheet.observers(), other.observers()
    if ours is None or theirs is None:
        return ""
    kinds = [kind for kind in {**ours, **theirs} if ours.get(kind) != theirs.get(kind)]
    return ", ".join(f"{kind} {theirs.get(kind) or 'none'} there, {ours.get(kind) or 'none'} here" for kind in kinds)


def _worse(name: str, found: Estimate, noise: float) -> bool:
    return found.high < -noise if metric(name).direction == "lower" else found.low > noise


def _by_how_much(name: str, found: Estimate) -> str:
    least, most = sorted((abs(found.low), abs(found.high)))  # all of it lies on one side of 0
    return f"{metric(name).title.lower()} by {Estimate(abs(found.value), least, most)}"


def scores(sheet: ScoreSheet, control: str, figure: str, word: str = "distance") -> str:
    """Return a clause with the two figures that a difference is of."""
    model, other = sheet.value(figure), sheet.value(figure, control)
    return "" if model is None or other is None else f" ({word} {model:.3g} against {other:.3g})"


def how_many(sheet: ScoreSheet, effect: float, reach: float) -> str:
    """Return a clause saying how many images would do: an interval narrows with the square root of their number.

    Args:
        sheet: for the numbers of images that there were.
        effect: the difference, above 0.
        reach: how far its interval reaches towards 0, at least `effect`.
    """
    counts = {kind: sheet.count(kind) for kind in ("photographs", "paintings")}
    if reach > _HOPELESS * effect:
        return "; no number of images that anyone has would settle it"
    wanted = {
        kind: math.ceil(count * (reach / effect) ** 2) + 1 for kind, count in counts.items() if count is not None
    }
    if len(wanted) < len(counts):
        return ""
    return (
        f"; about {wanted['photographs']} held-out photographs and {wanted['paintings']} paintings would settle a "
        f"difference of this size ({counts['photographs']} and {counts['paintings']} were there)"
    )
