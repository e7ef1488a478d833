"""The gate: metrics, and how they compare with the champion's, -> a verdict, rule by rule. Pure: no files, no state.

Intervals are 95 %. A rule that lacks a number refuses: what was not measured was not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from pipeline.gate_generation import generation_rules
from pipeline.gate_restoration import restoration_rules
from pipeline.gate_rules import COMPARED as COMPARED
from pipeline.gate_rules import MOST_COPIED as MOST_COPIED
from pipeline.gate_rules import Rule, against, closer, copies, how_many, scores
from pipeline.params import Gate
from pipeline.sanity import JUDGED, problems
from pipeline.scoresheet import Estimate, ScoreSheet, Tree

_FOLLOWS = "reference/closer"
_PALETTE, _TEXTURE, _LUMINANCE = "style/palette", "style/texture_swd", "judge/luminance"


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

    The rules of a model that makes images out of noise stand in `gate_generation`, those of one that restores in
    `gate_restoration`; those of one that repaints are these. All must pass; differences are paired:

    - style: photograph - model of `style/patch_swd` has its lower bound above 0;
    - texture: lab_transfer - model of `style/texture_swd` has its lower bound above 0, and the model closes at least
      `min_gap_closed` of the gap between Lab transfer and held-out paintings;
    - structure: `content/structure` is at least `min_structure`;
    - judge: lab_transfer - model of `judge/luminance` has its upper bound below 0, the model goes at least
      `min_gap_closed` of the way from Lab transfer's rate to held-out paintings', and neither of the judge's rates is
      above the upper bound of held-out paintings': what deceives better than paintings plays to the judge;
    - palette: photograph - model of `style/palette` has its upper bound not below 0;
    - flicker: `temporal/flicker` is at most `max_flicker`: paint stays where it was when a photograph moves a little;
    - copies: `memorisation/nearest_train` is at least `COPY`, and at most `MOST_COPIED` of the outputs are nearer;
    - reference, of a model of several styles: more than by chance outputs come nearest to their reference's style;
    - sane: nothing is wrong with figures, controls, outputs and numbers of images: see `sanity`;
    - champion, and anchor if one is given: see `_against`.

    Args:
        metrics: a metrics.json.
        comparison: what `evaluate.compare` found against the champion; None when there is no champion yet.
        settings: the `gate` of params.yaml.
        anchor: the same against the last version that a person approved; None when there is none.
    """
    sheet = ScoreSheet(metrics)
    if sheet.task not in _RULES:
        return _verdict([Rule("sane", False, f"Nothing is known of the task {sheet.task!r}.")])
    return _verdict(_RULES[sheet.task](sheet, comparison, settings, anchor))


def _stylize_rules(sheet: ScoreSheet, comparison: Tree | None, settings: Gate, anchor: Tree | None) -> list[Rule]:
    rules = [
        closer("style", sheet, "photograph", "style/patch_swd", "the untouched photograph's"),
        _texture(sheet, settings),
        _structure(sheet, settings),
        _judge(sheet, settings),
        _palette(sheet),
        _flicker(sheet, settings),
        copies(sheet),
        _sane(sheet, settings),
        *([_follows(sheet)] if sheet.has(_FOLLOWS) else []),
        against("champion", sheet, comparison, settings),
    ]
    if anchor is not None:
        # Only the champion has to be beaten; the anchor stops a slow decline in steps too small to see.
        rules.append(against("anchor", sheet, anchor, replace(settings, mode="not_worse")))
    return rules


def _verdict(rules: Sequence[Rule]) -> Verdict:
    failed = [rule for rule in rules if not rule.passed]
    if failed:
        sentence = "Refused: " + " ".join(rule.sentence for rule in failed)
    else:
        sentence = "Accepted: " + " ".join(rule.sentence for rule in rules[:3])
    return Verdict(not failed, sentence, tuple(rules))


def _texture(sheet: ScoreSheet, settings: Gate) -> Rule:
    rule = closer("texture", sheet, "lab_transfer", _TEXTURE, "Lab colour transfer's")
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


def _flicker(sheet: ScoreSheet, settings: Gate) -> Rule:
    most = settings.max_flicker
    value = sheet.value("temporal/flicker")
    if value is None:
        return Rule("flicker", False, "How much the paint flickers was not measured.", None, most)
    passed = value <= most
    word = "stays where it was" if passed else "flickers"
    sentence = (
        f"The paint {word} when a photograph moves by a few pixels: by {value:.2f} L units; at most "
        f"{most:g} are allowed."
    )
    return Rule("flicker", passed, sentence, value, most)


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
    told = scores(sheet, "lab_transfer", _LUMINANCE, "rate")
    what = "By luminance the judge takes the model's outputs for paintings"
    if more.low > 0:
        sentence = f"{what} more often than Lab colour transfer's, by {more}{told}."
    elif more.value > 0:
        advice = how_many(sheet, more.value, more.value - more.low)
        seems = f"{what} seemingly more often than Lab colour transfer's, by {more}{told}"
        sentence = f"{seems}, but the interval reaches 0{advice}."
    else:
        sentence = f"{what} no more often than Lab colour transfer's: by {more}{told}."
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
    told = scores(sheet, "photograph", _PALETTE)
    if found.high < 0:
        farther = Estimate(-found.value, -found.high, -found.low)
        sentence = (
            f"The model's palette is farther from the paintings than the photographs' own, by {farther}{told}."
        )
        return Rule("palette", False, sentence, found.high, 0.0)
    word = "closer to" if found.low > 0 else "not clearly farther from"
    sentence = f"The model's palette is {word} the paintings than the photographs' own: closer by {found}{told}."
    return Rule("palette", True, sentence, found.high, 0.0)


def _follows(sheet: ScoreSheet) -> Rule:
    """Return whether outputs come nearest to the style of their reference more often than by chance."""
    found, chance = sheet.estimate(_FOLLOWS), sheet.value(_FOLLOWS, "photograph")
    if found is None or chance is None:
        return Rule("reference", False, "How often outputs follow their references was not measured.")
    told = f"{found} of the outputs come nearest to the style of their reference; chance is {chance:.3g}"
    word = "" if found.low > chance else "The model does not follow its references: "
    return Rule("reference", found.low > chance, f"{word}{told}.", found.low, chance)


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


_RULES: Mapping[str, Callable[[ScoreSheet, Tree | None, Gate, Tree | None], list[Rule]]] = MappingProxyType(
    {"stylize": _stylize_rules, "generate": generation_rules, "restore": restoration_rules}
)
