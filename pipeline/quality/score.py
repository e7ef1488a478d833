"""The training-set score: 0 to 100, amount times quality, and the three things that would raise it most.

    score   = 100 x amount x quality
    amount  = log(1 + different images) / log(1 + enough), at most 1
    quality = .35 sharpness + .25 evaluation + .20 variety + .10 colour + .10 cleanness, each from 0 to 1

    sharpness   mean over images of (smallest side that a crop is cut with / prepare.crop), at most 1 each
    evaluation  different images held out / twice the gate's minimum, at most 1
    variety     1 - 2 x share of images that repeat another or are excluded, at least 0
    colour      1 - 2 x share of the rarer kind, of images with and without colour
    cleanness   1 - 2 x share of images whose colours are doubtful, at least 0

Enough is 401 artworks, the smallest collection that the authors of CycleGAN published a style of (Van Gogh), and
1,000 photographs. A product, so that neither a heap of poor scans scores well nor a handful of perfect ones; every
doubling of a collection counts nearly alike. One more image that is different, large, clean and of the kind in the
majority never lowers the score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.augment import smallest_window
from pipeline.manifest import Entry
from pipeline.params import Params, Transform
from pipeline.quality.facts import Facts

ENOUGH_ARTWORKS, ENOUGH_PHOTOS = 401, 1000
WEIGHTS = {"sharpness": 0.35, "evaluation": 0.25, "variety": 0.20, "colour": 0.10, "cleanness": 0.10}
DOUBTFUL = ("bad_profile", "palette", "alpha")  # and print colours without a profile
_STEPS = (10, 20, 50, 100, 200, 400)  # numbers of different images to aim at
_WORTH_IT = 1.5  # an aim must be this many times what there is
_ALIKE = 1.1  # of two aims that differ by less, one is enough
_ADD = "Add"  # how the texts of aims begin
_LEAST_GAIN = 0.05  # points; less is not worth a line


@dataclass(frozen=True)
class Figures:
    """What the score is made of; shares are in [0, 1]."""

    distinct: int  # different images in use
    enough: int
    held_out: int  # different images held out
    wanted: int  # held-out images at which more add little: twice the gate's minimum
    sharpness: float
    repeats: float  # share of all images
    greys: float  # share of images in use
    doubtful: float  # share of images in use


@dataclass(frozen=True)
class Score:
    """The amount and the parts of the quality that the score is made of, each in [0, 1]."""

    amount: float
    parts: dict[str, float]

    @property
    def total(self) -> float:
        """The whole, from 0 to 100."""
        return 100 * self.amount * self.quality

    @property
    def quality(self) -> float:
        """The weighted mean of the parts."""
        return sum(WEIGHTS[name] * value for name, value in self.parts.items())

    @property
    def word(self) -> str:
        """The score in a word."""
        bounds = ((40, "weak"), (65, "thin"), (85, "sound"))
        return next((word for bound, word in bounds if self.total < bound), "strong")


@dataclass(frozen=True)
class Improvement:
    """Something to do, and how many points it would give."""

    text: str
    gain: float


_Aim = tuple[str, Figures]  # what to do, and what the figures would be then


def figures(facts: Facts, params: Params) -> Figures:
    """Return what the score of a collection is made of, under these parameters."""
    used, gate = facts.used, params.gate
    held_out = len({entry.group for entry in used if entry.split == "test"})
    return Figures(
        distinct=len(facts.groups),
        enough=ENOUGH_PHOTOS if facts.is_photos else ENOUGH_ARTWORKS,
        held_out=held_out,
        wanted=2 * (gate.min_photographs if facts.is_photos else gate.min_paintings),
        sharpness=_mean([min(1.0, _window(facts, params, entry) / params.prepare.crop) for entry in used]),
        repeats=1 - len(facts.groups) / len(facts.entries) if facts.entries else 0.0,
        greys=_mean(["greyscale" in entry.flags for entry in used]),
        doubtful=_mean([is_doubtful(entry) for entry in used]),
    )


def is_doubtful(entry: Entry) -> bool:
    """Whether an image's colours may not be those of the original."""
    print_colours = "cmyk" in entry.flags and "profile" not in entry.flags
    return print_colours or any(flag in DOUBTFUL for flag in entry.flags)


def needed_side(facts: Facts, params: Params) -> int:
    """Return the side (px) from which on a square image is cut into crops without being enlarged."""
    crop = params.prepare.crop
    return math.ceil(crop * crop / smallest_window(_transforms(facts, params), crop, crop, crop))


def _window(facts: Facts, params: Params, entry: Entry) -> float:
    """Return the side (px) of the smallest part of an image that may become a crop."""
    return smallest_window(_transforms(facts, params), params.prepare.crop, entry.width, entry.height)


def _transforms(facts: Facts, params: Params) -> tuple[Transform, ...]:
    declared = params.prepare.augment
    return declared.photos if facts.is_photos else declared.paintings


def score(found: Figures) -> Score:
    """Return the score: see the head of this module for its formulas."""
    amount = min(1.0, math.log1p(found.distinct) / math.log1p(found.enough))
    parts = {
        "sharpness": found.sharpness,
        "evaluation": min(1.0, found.held_out / found.wanted),
        "variety": max(0.0, 1 - 2 * found.repeats),
        "colour": 1 - 2 * min(found.greys, 1 - found.greys),
        "cleanness": max(0.0, 1 - 2 * found.doubtful),
    }
    if not found.distinct:  # of nothing, nothing is good
        parts = dict.fromkeys(parts, 0.0)
    return Score(amount, parts)


def improvements(facts: Facts, params: Params, count: int = 3) -> list[Improvement]:
    """Return the things that would raise the score most, the best first, each as if it alone were done.

    They are of different kinds; where those are fewer than `count`, further numbers of images to aim at join them.
    """
    found = figures(facts, params)
    now = score(found).total
    aims = _aims(params, found)
    kinds = [
        *(_more(facts, params, found, aim) for aim in aims[:1]),
        _sharper(facts, params, found),
        _fewer_repeats(facts, found),
        _one_kind(facts, found),
        _cleaner(facts, found),
    ]
    best = _best_first(_worth(kinds, now))[:count]
    further = _worth([_more(facts, params, found, aim) for aim in aims[1:]], now)
    return _as_alternatives(_best_first([*best, *further[: count - len(best)]]))


def _best_first(improvements: Sequence[Improvement]) -> list[Improvement]:
    return sorted(improvements, key=lambda improvement: -improvement.gain)


def _as_alternatives(improvements: Sequence[Improvement]) -> list[Improvement]:
    """Return them with every number of images but the first told as another choice."""
    adding = [one for one in improvements if one.text.startswith(_ADD)]
    return [replace(one, text=f"Or add{one.text[len(_ADD) :]}") if one in adding[1:] else one for one in improvements]


def _worth(aims: Sequence[_Aim], now: float) -> list[Improvement]:
    improvements = (Improvement(text, score(after).total - now) for text, after in aims)
    return [improvement for improvement in improvements if improvement.gain >= _LEAST_GAIN]


def obstacles(facts: Facts, params: Params) -> list[str]:
    """Return why training would refuse the collection, in sentences; none if it would not."""
    least = params.ingest.min_photos if facts.is_photos else params.ingest.min_artworks
    key = "ingest.min_photos" if facts.is_photos else "ingest.min_artworks"
    found = []
    if len(facts.used) < least:
        found.append(f"Training needs at least {least} {_kind(facts, least)} ({key}); there are {len(facts.used)}.")
    for split, purpose in (("train", "to train on"), ("test", "held out to evaluate on")):
        if facts.used and not facts.count(split):
            found.append(f"There is no image {purpose}: those that are there are too alike, or too few.")
    return found


def _aims(params: Params, found: Figures) -> list[int]:
    """Return numbers of different images to aim at, the nearest that is worth it first."""
    lacking = max(0, found.wanted - found.held_out)
    least = max(_WORTH_IT * found.distinct, found.distinct + lacking / params.ingest.test_share)
    if found.distinct >= found.enough and not lacking:
        return []
    last = max(found.enough, math.ceil(least))
    return [*(step for step in _STEPS if least <= step and step * _ALIKE <= last), last]


def _more(facts: Facts, params: Params, found: Figures, aim: int) -> _Aim:
    number = aim - found.distinct
    held_out = round(number * params.ingest.test_share)
    text = f"{_ADD} {number} different {_kind(facts, number)}, to have {aim}; about {held_out} will be held out."
    return text, replace(found, distinct=aim, held_out=found.held_out + held_out)


def _sharper(facts: Facts, params: Params, found: Figures) -> _Aim:
    crop = params.prepare.crop
    small = sum(_window(facts, params, entry) < crop for entry in facts.used)
    text = (
        f"Replace {_number(small, 'image')} with larger files, of {needed_side(facts, params)} px or more on the "
        f"short side: crops of {crop} px may be enlarged from them now."
    )
    return text, replace(found, sharpness=1.0)


def _fewer_repeats(facts: Facts, found: Figures) -> _Aim:
    repeats = len(facts.entries) - len(facts.groups)
    text = f"Take out {_number(repeats, 'image')} that repeat others (`atelier remove`), or add other pictures."
    return text, replace(found, repeats=0.0)


def _one_kind(facts: Facts, found: Figures) -> _Aim:
    grey = sum("greyscale" in entry.flags for entry in facts.used)
    colour = len(facts.used) - grey
    fewer, kind = min((grey, "without colour"), (colour, "in colour"))
    text = f"Move {_number(fewer, 'image')} {kind} to a style of their own: the model learns one kind or the other."
    return text, replace(found, greys=0.0)


def _cleaner(facts: Facts, found: Figures) -> _Aim:
    doubtful = sum(is_doubtful(entry) for entry in facts.used)
    text = f"Export {_number(doubtful, 'image')} of doubtful colour anew, as sRGB in JPEG or PNG."
    return text, replace(found, doubtful=0.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _kind(facts: Facts, number: int) -> str:
    return ("photograph" if facts.is_photos else "artwork") + ("" if number == 1 else "s")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
