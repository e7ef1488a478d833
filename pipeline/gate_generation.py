"""The gate's rules for models that make images out of noise."""

from __future__ import annotations

from dataclasses import replace

from pipeline.gate_rules import COMPARED, Rule, against, closer, copies
from pipeline.metrics import metric
from pipeline.metrics.codes import CHANCE
from pipeline.metrics.drawn import DRAWN
from pipeline.params import Gate
from pipeline.sanity import problems
from pipeline.scoresheet import ScoreSheet, Tree

_WHOSE = {
    "mean_image": "the mean image's",
    "spectral_noise": "that of noise with the paintings' spectrum",
    "shuffled": "that of shuffled blocks of paintings",
}
_NOISE = "spectral_noise"
_TOLD = ("style/patch_swd", "style/texture_swd", "style/kid")  # which can tell paintings from noise like them
_READ = {"k": "codes/independent", "c": "codes/independent_continuous"}  # kind of code -> who reads it
_COMPARED = {name: noise for name, noise in COMPARED.items() if name.startswith("style/")}


def generation_rules(sheet: ScoreSheet, comparison: Tree | None, settings: Gate, anchor: Tree | None) -> list[Rule]:
    """Return the outcome of every rule; differences are paired, intervals 95 %.

    - mean_image and shuffled: control - model of `style/patch_swd` has its lower bound above 0;
    - spectral_noise: of brushwork and colour, texture and kernel distance, one has its lower bound above 0 and none
      its upper bound below 0. No single one would do: of some tens of held-out paintings, even true ones are not
      clearly closer in brushwork and colour than noise that has each painting's spectrum (docs/decisions.md);
    - diverse: `diversity/spread` is at least `min_spread`;
    - codes, of a model that has any: an independent classifier reads the categorical ones better than by chance, or,
      where there are none, the continuous ones; and of what codes there are, all was measured;
    - copies: as for models that repaint;
    - sane: nothing is wrong with figures, controls, outputs and numbers of images: see `sanity`;
    - champion, and anchor if one is given: as for models that repaint, in style and texture.

    Args:
        sheet: a metrics.json of the task `generate`.
        comparison: against the champion; None when there is none.
        settings: the `gate` of params.yaml.
        anchor: against the last version that a person approved; None when there is none.
    """
    rules = [
        _more_than_noise(sheet) if name == _NOISE else closer(name, sheet, name, "style/patch_swd", _WHOSE[name])
        for name in DRAWN
    ]
    rules += [_diverse(sheet, settings), copies(sheet), _sane(sheet, settings)]
    if sheet.codes() != () or any(map(sheet.has, _READ.values())):
        rules.append(_read(sheet))
    rules.append(against("champion", sheet, comparison, settings, _COMPARED))
    if anchor is not None:
        rules.append(against("anchor", sheet, anchor, replace(settings, mode="not_worse"), _COMPARED))
    return rules


def _more_than_noise(sheet: ScoreSheet) -> Rule:
    whose, pair = _WHOSE[_NOISE], f"{_NOISE} - model"
    found = {name: estimate for name in _TOLD if (estimate := sheet.difference(pair, name)) is not None}
    if "style/patch_swd" not in found:
        return closer(_NOISE, sheet, _NOISE, "style/patch_swd", whose)
    told = {name: f"{metric(name).title.lower()} ({estimate})" for name, estimate in found.items()}
    worse = [told[name] for name, estimate in found.items() if estimate.high < 0]
    if worse:
        sentence = f"The model is farther from the paintings than {whose} in {', '.join(worse)}."
        return Rule(_NOISE, False, sentence, found["style/patch_swd"].low, 0.0)
    better = [told[name] for name, estimate in found.items() if estimate.low > 0]
    if not better:
        sentence = f"In none of {', '.join(told.values())} is the model clearly closer to the paintings than {whose}."
        return Rule(_NOISE, False, sentence, max(estimate.low for estimate in found.values()), 0.0)
    sentence = f"The model is closer to the paintings than {whose} in {', '.join(better)}, and farther in nothing."
    return Rule(_NOISE, True, sentence, max(estimate.low for estimate in found.values()), 0.0)


def _diverse(sheet: ScoreSheet, settings: Gate) -> Rule:
    value, floor = sheet.value("diversity/spread"), settings.min_spread
    if value is None:
        return Rule("diverse", False, "How much the images differ from each other was not measured.", None, floor)
    passed = value >= floor
    word = "differ" if passed else "look alike: they differ"
    sentence = f"The images {word} {value:.2f} times as much as held-out paintings do; at least {floor:g} is asked."
    return Rule("diverse", passed, sentence, value, floor)


def _read(sheet: ScoreSheet) -> Rule:
    codes = sheet.codes()
    if codes is None:
        return Rule("codes", False, "Whether the model has codes that must be read was not noted.")
    kinds = [kind for kind in _READ if any(name.startswith(kind) for name in codes) or sheet.has(_READ[kind])]
    if not kinds:
        return Rule("codes", False, f"Nothing is known of reading codes called {', '.join(codes)}.")
    lacking = [_READ[kind] for kind in kinds if sheet.estimate(_READ[kind]) is None]
    found, guess = sheet.estimate(_READ[kinds[0]]), sheet.value(_READ[kinds[0]], CHANCE)
    if lacking or found is None or guess is None:
        what = ", ".join(lacking) or f"what guessing scores in {_READ[kinds[0]]}"
        sentence = f"How well the codes {', '.join(codes)} can be read off the images was not measured: {what}."
        return Rule("codes", False, sentence)
    if kinds[0] == "c":
        passed = found.low > guess
        word = "follows" if passed else "hardly follows"
        sentence = f"An independent reading {word} the codes: correlation {found}; chance is {guess:.3g}."
        return Rule("codes", passed, sentence, found.low, guess)
    passed = found.low > guess
    word = "reads" if passed else "can hardly read"
    sentence = f"An independent classifier {word} the codes of {found} of the images; chance is {guess:.3g}."
    return Rule("codes", passed, sentence, found.low, guess)


def _sane(sheet: ScoreSheet, settings: Gate) -> Rule:
    found = problems(sheet, settings)
    if found:
        return Rule("sane", False, f"Something is wrong: {'; '.join(found)}.")
    counts = f"of {sheet.count('images')} images, against {sheet.count('paintings')} held-out paintings"
    return Rule("sane", True, f"All figures are there and possible, {counts}.")
