"""The gate's rules for models that restore pictures."""

from __future__ import annotations

from dataclasses import replace

from pipeline.gate_rules import Rule, against, scores, worse_beyond_noise
from pipeline.metrics import DECISIVE, UNLEARNT, metric
from pipeline.params import Gate
from pipeline.sanity import problems
from pipeline.scoresheet import Estimate, ScoreSheet, Tree

_COMPARED = {"restored/psnr": "psnr", "restored/ssim": "ssim"}


def restoration_rules(sheet: ScoreSheet, comparison: Tree | None, settings: Gate, anchor: Tree | None) -> list[Rule]:
    """Return the outcome of every rule; differences are paired, intervals 95 %.

    - one a control that has not learnt (`UNLEARNT`), measured or not: the model is better in both decisive figures,
      by an interval that leaves out 0;
    - sane: nothing is wrong with figures, controls, outputs and numbers of artworks: see `sanity`;
    - champion, and anchor if one is given: as for models that repaint, in PSNR and SSIM, on the damage of both
      recipes; and worse beyond noise in no grade of it, since a mean hides what one grade loses.

    Args:
        sheet: a metrics.json of the task `restore`.
        comparison: against the champion; None when there is none.
        settings: the `gate` of params.yaml.
        anchor: against the last version that a person approved; None when there is none.
    """
    decisive = DECISIVE.get(sheet.restores)
    if decisive is None:
        return [Rule("sane", False, f"Nothing is known of restoring by {sheet.restores!r}.")]
    rules = [_better(sheet, control, decisive) for control in UNLEARNT[sheet.restores]]
    rules += [_sane(sheet, settings), _against("champion", sheet, comparison, settings)]
    if anchor is not None:
        rules.append(_against("anchor", sheet, anchor, replace(settings, mode="not_worse")))
    return rules


def _against(whom: str, sheet: ScoreSheet, comparison: Tree | None, settings: Gate) -> Rule:
    """Return the rule about another model: by the mean over grades, and by every grade alone."""
    rule = against(whom, sheet, comparison, settings, _COMPARED, "restored/psnr")
    if comparison is None or not rule.passed:
        return rule
    other, worse = ScoreSheet(comparison), []
    for grade in dict.fromkeys((*sheet.grades(), *other.grades())):
        alone = {name: other.of_grade(grade).difference("champion - model", name) for name in _COMPARED}
        if None in alone.values():
            return Rule(whom, False, f"The comparison with the {whom} lacks figures of the damage {grade!r} alone.")
        worse += [f"{said} ({grade})" for said in worse_beyond_noise(alone, settings, _COMPARED)]
    if worse:
        sentence = f"The model is worse than the {whom} beyond noise in a grade of damage: {', '.join(worse)}."
        return Rule(whom, False, sentence)
    return rule


def _better(sheet: ScoreSheet, control: str, decisive: tuple[str, ...]) -> Rule:
    """Return whether the model is clearly better than a control in all figures that decide."""
    said, passed, least = [], True, None
    for name in decisive:
        found = _gain(sheet, control, name)
        title, told = metric(name).title.lower(), scores(sheet, control, name, "figures")
        if found is None:
            said.append(f"{title} beside {control} was not measured")
            passed = False
            continue
        least = found.low if least is None else min(least, found.low)
        passed = passed and found.low > 0
        word = "better" if found.low > 0 else "not clearly better" if found.value > 0 else "no better"
        said.append(f"{title} is {word} than {control}'s, by {found}{told}")
    return Rule(control, passed, f"The model's {'; its '.join(said)}.", least, 0.0)


def _gain(sheet: ScoreSheet, control: str, name: str) -> Estimate | None:
    """Return how much better the model is, more being better whatever the figure."""
    found = sheet.difference(f"{control} - model", name)
    if found is None or metric(name).direction == "lower":
        return found
    return Estimate(-found.value, -found.high, -found.low)


def _sane(sheet: ScoreSheet, settings: Gate) -> Rule:
    found = problems(sheet, settings)
    if found:
        return Rule("sane", False, f"Something is wrong: {'; '.join(found)}.")
    return Rule("sane", True, f"All figures are there and possible, on {sheet.count('paintings')} held-out artworks.")
