"""A collection's quality in a few lines: for the terminal, for a table in Prefect, and for the head of the page."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.params import Params
from pipeline.quality.facts import Facts
from pipeline.quality.score import WEIGHTS, figures, improvements, is_doubtful, needed_side, obstacles, score


@dataclass(frozen=True)
class Part:
    """A part of the score: name, weight (None: it multiplies the others), value in [0, 1], and what it rests on."""

    name: str
    weight: float | None
    value: float
    text: str
    formula: str


def kind(facts: Facts, count: int) -> str:
    """Return "artworks" or "photographs", in the number that goes with `count`."""
    return ("photograph" if facts.is_photos else "artwork") + ("" if count == 1 else "s")


def headline(facts: Facts, params: Params) -> str:
    """Return the score and what it is of, in a sentence."""
    found = score(figures(facts, params))
    parts = [f"{len(facts.groups)} different {kind(facts, len(facts.groups))}", f"{facts.count('test')} held out"]
    parts += [f"{len(facts.refusals)} refused"] if facts.refusals else []
    return f"{facts.collection}: {found.total:.0f} of 100 ({found.word}); {', '.join(parts)}"


def parts(facts: Facts, params: Params) -> list[Part]:
    """Return what the score is made of."""
    found = figures(facts, params)
    rated = score(found)
    used, crop = len(facts.used), params.prepare.crop
    large = sum(min(entry.width, entry.height) >= needed_side(facts, params) for entry in facts.used)
    grey = sum("greyscale" in entry.flags for entry in facts.used)
    doubtful = sum(is_doubtful(entry) for entry in facts.used)
    repeats = len(facts.entries) - len(facts.groups)
    least = "gate.min_photographs" if facts.is_photos else "gate.min_paintings"
    texts = {
        "sharpness": (
            f"{large} of {used} images are large enough that no crop of {crop} px is enlarged",
            "mean of smallest window / prepare.crop, each at most 1",
        ),
        "evaluation": (
            f"{found.held_out} different ones are held out; {found.wanted} are wanted, twice {least}",
            "held out / wanted, at most 1",
        ),
        "variety": (
            f"{repeats} of {len(facts.entries)} images repeat another, or are excluded",
            "1 − 2 × their share, at least 0",
        ),
        "colour": (f"{grey} of {used} images have no colour", "1 − 2 × share of the rarer kind"),
        "cleanness": (f"{doubtful} of {used} images have colours in doubt", "1 − 2 × their share, at least 0"),
    }
    amount = f"{found.distinct} different {kind(facts, found.distinct)}; {found.enough:,} are enough"
    formula = "log(1 + different) / log(1 + enough), at most 1"
    return [
        Part("amount", None, rated.amount, amount, formula),
        *(Part(name, WEIGHTS[name], rated.parts[name], *text) for name, text in texts.items()),
    ]


def table(facts: Facts, params: Params) -> list[dict[str, str]]:
    """Return the main figures as rows of `what` and `value`."""
    found = score(figures(facts, params))
    reasons = ", ".join(f"{count} {code}" for code, count in facts.reasons.items())
    flags = ", ".join(f"{count} {flag}" for flag, count in facts.flags.items())
    rows = {
        "training-set score": f"{found.total:.0f} of 100 ({found.word})",
        "images": f"{len(facts.entries)}: {facts.count('train')} to train on, {facts.count('test')} held out, "
        f"{facts.count('excluded')} excluded",
        "different images": f"{len(facts.groups)}",
        "groups of near duplicates": f"{len(facts.repeated)}",
        "exact copies met": f"{len(facts.copies)}",
        "held by other collections too": f"{len(facts.elsewhere)}",
        "refused": f"{len(facts.refusals)}" + (f" ({reasons})" if reasons else ""),
        "flags": flags or "none",
        "borders left out": f"{facts.cropped}",
    }
    rows |= {f"in the way, {number}": text for number, text in enumerate(obstacles(facts, params), 1)}
    raise_it = improvements(facts, params)
    rows |= {f"would raise it, {number}": f"{gained(one.gain)}: {one.text}" for number, one in enumerate(raise_it, 1)}
    return [{"what": what, "value": value} for what, value in rows.items()]


def gained(points: float) -> str:
    """Return a gain in points as it reads on a page: whole, or with one decimal below 1."""
    return f"+{points:.0f}" if points >= 0.95 else f"+{points:.1f}"
