"""The gate: metrics, and how they compare with the champion's, -> a verdict, rule by rule. Pure: no files, no state.

Intervals are 95 %. A rule that lacks a number refuses: what was not measured was not shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from pipeline.metrics import metric
from pipeline.metrics.memorisation import COPY
from pipeline.params import Gate
from pipeline.sanity import JUDGED, problems
from pipeline.scoresheet import Estimate, ScoreSheet, Tree

# Metrics that a model may not be worse in than the champion, beyond noise.
COMPARED: Mapping[str, str] = MappingProxyType(
    {"style/patch_swd": "style", "style/texture_swd": "texture", "content/structure": "structure"}
)
"""Metric -> its name in `gate.seed_noise`."""
MOST_COPIED = 0.05  # of the outputs; of honest models' none was one, with the nearest at twice `COPY`
_HOPELESS = 30.0  # times narrower than it is: nobody has the 900 times as many images that this takes
_PALETTE, _TEXTURE, _LUMINANCE = "style/palette", "style/texture_swd", "judge/luminance"


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

    The rules, all of which must pass; differences are paired:

    - style: photograph - model of `style/patch_swd` has its lower bound above 0;
    - texture: lab_transfer - model of `style/texture_swd` has its lower bound above 0, and the model closes at least
      `min_gap_closed` of the gap between Lab transfer and held-out paintings;
    - structure: `content/structure` is at least `min_structure`;
    - judge: lab_transfer - model of `judge/luminance` has its upper bound below 0, the model goes at least
      `min_gap_closed` of the way from Lab transfer's rate to held-out paintings', and neither of the judge's rates is
      above the upper bound of held-out paintings': what deceives better than paintings plays to the judge;
    - palette: photograph - model of `style/palette` has its upper bound not below 0;
    - copies: `memorisation/nearest_train` is at least `COPY`, and at most `MOST_COPIED` of the outputs are nearer;
    - sane: nothing is wrong with figures, controls, outputs and numbers of images: see `sanity`;
    - champion, and anchor if one is given: see `_against`.

    Args:
        metrics: a metrics.json.
        comparison: what `evaluate.compare` found against the champion; None when there is no champion yet.
        settings: the `gate` of params.yaml.
        anchor: the same against the last version that a person approved; None when there is none.
    """
    sheet = ScoreSheet(metrics)
    rules = [
        _closer("style", sheet, "photograph", "style/patch_swd", "the untouched photograph's"),
        _texture(sheet, settings),
        _structure(sheet, settings),
        _judge(sheet, settings),
        _palette(sheet),
        _copies(sheet),
        _sane(sheet, settings),
        _against("champion", sheet, comparison, settings),
    ]
    if anchor is not None:
        # Only the champion has to be beaten; the anchor stops a slow decline in steps too small to see.
        rules.append(_against("anchor", sheet, anchor, replace(settings, mode="not_worse")))
    failed = [rule for rule in rules if not rule.passed]
    if failed:
        sentence = "Refused: " + " ".join(rule.sentence for rule in failed)
    else:
        sentence = "Accepted: " + " ".join(rule.sentence for rule in rules[:3])
    return Verdict(not failed, sentence, tuple(rules))


def _closer(name: str, sheet: ScoreSheet, control: str, figure: str, whose: str) -> Rule:
    title = metric(figure).title.lower()
    found = sheet.difference(f"{control} - model", figure)
    if found is None:
        return Rule(name, False, f"How {title} compares with {whose} was not measured.", None, 0.0)
    scores = _scores(sheet, control, figure)
    if found.low > 0:
        sentence = f"The model's {title} is closer to the paintings than {whose}, by {found}{scores}."
        return Rule(name, True, sentence, found.low, 0.0)
    if found.value > 0:
        advice = _how_many(sheet, found.value, found.value - found.low)
        sentence = (
            f"The model's {title} seems closer to the paintings than {whose}, by {found}{scores}, "
            f"but the interval reaches 0{advice}."
        )
    else:
        sentence = f"The model's {title} is no closer to the paintings than {whose}: by {found}{scores}."
    return Rule(name, False, sentence, found.low, 0.0)


def _texture(sheet: ScoreSheet, settings: Gate) -> Rule:
    rule = _closer("texture", sheet, "lab_transfer", _TEXTURE, "Lab colour transfer's")
    model, lab, paintings = (sheet.value(_TEXTURE, control) for control in (None, "lab_transfer", "paintings"))
    if model is None or lab is None or paintings is None:
        missing = "How much of the gap from Lab colour transfer to held-out paintings it closes was not measured."
        return replace(rule, passed=False, sentence=f"{rule.sentence} {missing}")
    if lab <= paintings:
        return replace(
            rule,
            passed=False,
            sentence=f"Lab colour transfer's texture is already as near to the paintings ({lab:.3g}) as held-out "
            f"paintings are ({paintings:.3g}): there is no gap to close, so nothing can be shown.",
        )
    share, asked = (lab - model) / (lab - paintings), settings.min_gap_closed
    sentence = (
        f"{rule.sentence} It closes {share:.1%} of the gap from Lab colour transfer ({lab:.3g}) to held-out "
        f"paintings ({paintings:.3g}); at least {asked:.1%} is asked."
    )
    if not rule.passed:
        return replace(rule, sentence=sentence)
    return Rule("texture", share >= asked, sentence, share, asked)


def _structure(sheet: ScoreSheet, settings: Gate) -> Rule:
    floor = settings.min_structure
    value = sheet.value("content/structure")
    if value is None:
        return Rule("structure", False, "How much structure the model keeps was not measured.", None, floor)
    passed = value >= floor
    word = "keeps" if passed else "loses the subject: it keeps"
    sentence = f"The model {word} {value:.2f} of the photographs' coarse structure; at least {floor:g} is asked."
    return Rule("structure", passed, sentence, value, floor)


def _judge(sheet: ScoreSheet, settings: Gate) -> Rule:
    found = sheet.difference("lab_transfer - model", _LUMINANCE)
    if found is None:
        whose = "what the frozen judge takes for paintings by luminance, outputs against Lab colour transfer"
        return Rule("judge", False, f"Not measured: {whose}.", None, 0.0)
    parts = [
        _deception(sheet, found),
        _judged_share(sheet, settings),
        *(_ceiling(sheet, name) for name in JUDGED),
    ]
    failed = [part for part in parts if not part.passed]
    shown = failed or parts
    return replace(shown[0], passed=not failed, sentence=" ".join(part.sentence for part in shown))


def _deception(sheet: ScoreSheet, found: Estimate) -> Rule:
    """Return whether the judge is deceived more often than by Lab transfer."""
    more = Estimate(-found.value, -found.high, -found.low)
    scores = _scores(sheet, "lab_transfer", _LUMINANCE, "rate")
    what = "By luminance the judge takes the model's outputs for paintings"
    if more.low > 0:
        sentence = f"{what} more often than Lab colour transfer's, by {more}{scores}."
    elif more.value > 0:
        advice = _how_many(sheet, more.value, more.value - more.low)
        seems = f"{what} seemingly more often than Lab colour transfer's, by {more}{scores}"
        sentence = f"{seems}, but the interval reaches 0{advice}."
    else:
        sentence = f"{what} no more often than Lab colour transfer's: by {more}{scores}."
    return Rule("judge", more.low > 0, sentence, more.low, 0.0)


def _judged_share(sheet: ScoreSheet, settings: Gate) -> Rule:
    """Return whether the rate by luminance goes far enough from Lab transfer's to real paintings'.

    Above Lab transfer's, which is near 0, is also what hardly deceives anybody.
    """
    model, lab, paintings = (sheet.value(_LUMINANCE, control) for control in (None, "lab_transfer", "paintings"))
    asked = settings.min_gap_closed
    if model is None or lab is None or paintings is None:
        sentence = "How far it goes from Lab colour transfer's rate to real paintings' was not measured."
        return Rule("judge", False, sentence, None, asked)
    if paintings <= lab:
        sentence = f"By luminance it takes no more of real paintings ({paintings:.3g}) than of Lab transfer's."
        return Rule("judge", False, sentence, None, asked)
    share = (model - lab) / (paintings - lab)
    way = f"That is {share:.1%} of the way to real paintings' rate ({paintings:.3g})"
    return Rule("judge", share >= asked, f"{way}; at least {asked:.1%} is asked.", share, asked)


def _ceiling(sheet: ScoreSheet, name: str) -> Rule:
    """Return whether a rate of the judge is one that real paintings reach."""
    value, paintings, by = sheet.value(name), sheet.estimate(name, "paintings"), name.removeprefix("judge/")
    if value is None or paintings is None:
        sentence = f"Not measured: {name} of the model, or of held-out paintings with an interval."
        return Rule("judge", False, sentence, value, None)
    if value > paintings.high:
        what = f"By {by} it takes more of the model's outputs for paintings than of real ones"
        sentence = f"{what} ({value:.3g} against {paintings}): this plays to the judge."
    else:
        sentence = f"By {by} it is no more deceived than by real paintings ({value:.3g} against {paintings})."
    return Rule("judge", value <= paintings.high, sentence, value, paintings.high)


def _palette(sheet: ScoreSheet) -> Rule:
    found = sheet.difference("photograph - model", _PALETTE)
    if found is None:
        sentence = "How the palette compares with the untouched photograph's was not measured."
        return Rule("palette", False, sentence, None, 0.0)
    scores = _scores(sheet, "photograph", _PALETTE)
    if found.high < 0:
        farther = Estimate(-found.value, -found.high, -found.low)
        sentence = (
            f"The model's palette is farther from the paintings than the photographs' own, by {farther}{scores}."
        )
        return Rule("palette", False, sentence, found.high, 0.0)
    word = "closer to" if found.low > 0 else "not clearly farther from"
    sentence = f"The model's palette is {word} the paintings than the photographs' own: closer by {found}{scores}."
    return Rule("palette", True, sentence, found.high, 0.0)


def _copies(sheet: ScoreSheet) -> Rule:
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


def _sane(sheet: ScoreSheet, settings: Gate) -> Rule:
    found = problems(sheet, settings)
    if found:
        return Rule("sane", False, f"Something is wrong: {'; '.join(found)}.")
    return Rule(
        "sane",
        True,
        f"All figures are there and possible, on {sheet.count('photographs')} held-out photographs and "
        f"{sheet.count('paintings')} paintings.",
    )


def _against(whom: str, sheet: ScoreSheet, comparison: Tree | None, settings: Gate) -> Rule:
    """Return the rule about another model, from paired differences `champion - model` of `COMPARED`.

    Worse beyond noise: the whole interval of the difference lies on the worse side of `gate.seed_noise`, since an
    interval over images knows nothing of how much another seed would change. For a distance (lower is better) that is
    high < -noise, for structure (higher is better) low > noise.

    - not_worse: worse beyond noise in none of them.
    - better: that, and `style/patch_swd` better beyond noise (low > 0).
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
    differences = {name: other.difference("champion - model", name) for name in COMPARED}
    unknown = [name for name, found in differences.items() if found is None]
    style = differences["style/patch_swd"]
    if unknown or style is None:
        return Rule(whom, False, f"The comparison with the {whom} lacks {', '.join(unknown)}.")
    noise = asdict(settings.seed_noise)
    worse = [
        _by_how_much(name, found)
        for name, found in differences.items()
        if found and _worse(name, found, noise[COMPARED[name]])
    ]
    if worse:
        return Rule(whom, False, f"The model is worse than the {whom} beyond noise: {', '.join(worse)}.")
    if mode == "better" and style.low <= 0:
        sentence = f"gate.mode is better, and the model is not beyond noise better than the {whom}: "
        return Rule(whom, False, f"{sentence}style closer by {style}.", style.low, 0.0)
    word = "better than" if style.low > 0 else "not worse than"
    sentence = f"The model is {word} the {whom}: style closer by {style}."
    return Rule(whom, True, sentence, style.low if mode == "better" else style.high, 0.0)


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


def _scores(sheet: ScoreSheet, control: str, figure: str, word: str = "distance") -> str:
    """Return a clause with the two figures that a difference is of."""
    model, other = sheet.value(figure), sheet.value(figure, control)
    return "" if model is None or other is None else f" ({word} {model:.3g} against {other:.3g})"


def _how_many(sheet: ScoreSheet, effect: float, reach: float) -> str:
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
