"""The score fails what is bad, rises with what is good, and says truly what would raise it."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.manifest import Entry
from pipeline.params import Params
from pipeline.quality.facts import Facts
from pipeline.quality.score import (
    ENOUGH_ARTWORKS,
    WEIGHTS,
    Figures,
    figures,
    improvements,
    needed_side,
    obstacles,
    score,
)
from tests.pipeline.pictures import small_params
from tests.pipeline.quality.stock import entry, facts

PARAMS: Params = small_params(test_share=0.2)  # crops of 32 px, from windows of half the side up; the gate asks for 5
SHARE = st.floats(0, 1)
COUNT = st.integers(0, 2000)
FIGURES = st.builds(
    Figures,
    distinct=st.integers(1, 2000),
    enough=st.integers(2, 1000),
    held_out=COUNT,
    wanted=st.integers(1, 50),
    sharpness=SHARE,
    repeats=SHARE,
    greys=SHARE,
    doubtful=SHARE,
)


def many(count: int, first: int = 0, **changes: object) -> list[Entry]:
    return [entry(number, **changes) for number in range(first, first + count)]


def total(found: Facts) -> float:
    return score(figures(found, PARAMS)).total


def test_the_weights_of_quality_make_one() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)


@pytest.mark.parametrize(("count", "points"), [(6, 32), (10, 40), (50, 66), (100, 77), (400, 100), (5000, 100)])
def test_faultless_collections_score_by_their_number(count: int, points: int) -> None:
    found = replace(figures(facts(*many(60)), PARAMS), distinct=count)
    assert round(score(found).total) == points
    assert found.enough == ENOUGH_ARTWORKS


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (many(5), "weak"),
        (many(30, width=20, height=18), "weak"),
        (many(400, width=9, height=9, flags=("bad_profile",)), "thin"),
        ([entry(n, group=entry(n // 40).group) for n in range(400)], "weak"),
        (many(400, split="train"), "sound"),  # none held out: never strong
        ([], "weak"),
        (many(300, split="excluded"), "weak"),
    ],
)
def test_what_is_bad_fails(bad: list[Entry], word: str) -> None:
    assert score(figures(facts(*bad), PARAMS)).word == word


def test_of_nothing_nothing_is_good() -> None:
    assert total(facts()) == 0


@given(FIGURES)
def test_the_score_stays_between_0_and_100(found: Figures) -> None:
    rated = score(found)
    assert 0 <= rated.total <= 100 + 1e-9
    assert all(0 <= value <= 1 for value in rated.parts.values())


@given(FIGURES, st.sampled_from(["distinct", "held_out"]), st.integers(1, 500))
def test_more_images_never_lower_it(found: Figures, name: str, more: int) -> None:
    better = replace(found, **{name: getattr(found, name) + more})
    assert score(better).total >= score(found).total - 1e-9


@given(FIGURES, st.sampled_from(["sharpness", "repeats", "doubtful"]), SHARE)
def test_a_better_share_never_lowers_it(found: Figures, name: str, other: float) -> None:
    changed = replace(found, **{name: other})
    better, worse = (changed, found) if (other > getattr(found, name)) == (name == "sharpness") else (found, changed)
    assert score(better).total >= score(worse).total - 1e-9


@st.composite
def collections(draw: st.DrawFn) -> list[Entry]:
    flags = st.sampled_from([(), (), (), ("greyscale",), ("bad_profile",), ("alpha",), ("cmyk",), ("oriented",)])
    split = st.sampled_from(["train", "train", "test", "excluded"])
    made = []
    for number in range(draw(st.integers(0, 25))):
        side = draw(st.integers(20, 200))
        group = entry(draw(st.integers(0, number))).group
        made.append(entry(number, group=group, width=side, height=side, flags=draw(flags), split=draw(split)))
    return made


@given(collections())
def test_one_more_good_image_never_lowers_it(entries: list[Entry]) -> None:
    used = [each for each in entries if each.split != "excluded"]
    grey = sum("greyscale" in each.flags for each in used)
    kind = ("greyscale",) if 2 * grey > len(used) else ()
    more = entry(900, flags=kind, split="train")
    assert total(facts(*entries, more)) >= total(facts(*entries)) - 1e-9


def test_print_colours_are_in_doubt_unless_a_profile_told_them() -> None:
    plain, known = (total(facts(*many(20, flags=flags))) for flags in (("cmyk",), ("cmyk", "profile")))
    assert plain < known == total(facts(*many(20)))


# What each improvement says, done: the score must then rise by what was promised.
def _larger(found: Facts) -> Facts:
    side = needed_side(found, PARAMS)
    grown = [replace(each, width=max(side, each.width), height=max(side, each.height)) for each in found.entries]
    return replace(found, entries=tuple(grown))


def _without_repeats(found: Facts) -> Facts:
    return replace(found, entries=tuple({each.group: each for each in found.used}.values()))


def _without_grey(found: Facts) -> Facts:
    return replace(found, entries=tuple(each for each in found.entries if "greyscale" not in each.flags))


def _cleaned(found: Facts) -> Facts:
    return replace(found, entries=tuple(replace(each, flags=()) for each in found.entries))


@pytest.mark.parametrize(
    ("entries", "text", "done"),
    [
        (many(410, width=50, height=40), "Replace 410 images with larger files, of 64 px", _larger),
        (
            [entry(n, group=entry(n if n > 99 else n // 2 * 2).group, split="test") for n in range(1000)],
            "Take out 50 images that repeat others",
            _without_repeats,
        ),
        (many(450) + many(100, 450, flags=("greyscale",)), "Move 100 images without colour", _without_grey),
        (many(450, flags=("bad_profile",)), "Export 450 images of doubtful colour", _cleaned),
    ],
)
def test_an_improvement_keeps_its_promise(entries: list[Entry], text: str, done: object) -> None:
    found = facts(*entries)
    best = improvements(found, PARAMS)[0]
    assert best.text.startswith(text)
    assert total(done(found)) - total(found) == pytest.approx(best.gain)  # type: ignore[operator]


def test_more_images_raise_it_by_what_is_promised() -> None:
    found = facts(*many(12))  # of which 3 are held out; 10 are wanted
    nearest = improvements(found, PARAMS)[-1]
    assert nearest.text == "Or add 38 different artworks, to have 50; about 8 will be held out."
    assert total(facts(*many(11), *many(39, 11))) - total(found) == pytest.approx(nearest.gain, abs=1)


def test_there_are_three_while_anything_would_help_and_the_best_kind_comes_first() -> None:
    mixed = [
        *many(10, width=40, height=40),
        *many(4, 10, flags=("greyscale",)),
        *(entry(20 + n, group=entry(1).group) for n in range(3)),
        entry(30, flags=("palette",)),
    ]
    found = improvements(facts(*mixed), PARAMS)
    assert len(found) == 3
    assert [one.gain for one in found] == sorted((one.gain for one in found), reverse=True)
    assert [one.text.split()[0] for one in improvements(facts(*many(9)), PARAMS)] == ["Add", "Or", "Or"]


@pytest.mark.parametrize("count", [9, 30, 60, 120, 150, 250, 300, 360, 390])
@pytest.mark.parametrize("collection", ["monet", "photos"])
def test_aims_differ_and_the_best_comes_first(count: int, collection: str) -> None:
    found = improvements(facts(*many(count), collection=collection), PARAMS)
    gains = [one.gain for one in found]
    assert gains == sorted(gains, reverse=True)
    aims = sorted(int(re.findall(r"to have (\d+)", one.text)[0]) for one in found)
    assert aims
    assert all(more >= 1.1 * fewer for fewer, more in pairwise(aims))


def test_different_kinds_go_before_more_of_one() -> None:
    poor = improvements(facts(*many(20, width=60, height=60, flags=("palette",))), PARAMS)
    assert sorted(one.text.split()[0] for one in poor) == ["Add", "Export", "Replace"]


def test_nothing_would_raise_what_is_perfect() -> None:
    assert improvements(facts(*many(ENOUGH_ARTWORKS)), PARAMS) == []
    assert total(facts(*many(ENOUGH_ARTWORKS))) == pytest.approx(100)


def test_photographs_are_held_against_their_own_bounds() -> None:
    pictures = facts(*many(100), collection="photos")
    found = figures(pictures, PARAMS)
    assert (found.enough, found.wanted) == (1000, 2 * PARAMS.gate.min_photographs)
    assert "photographs" in improvements(pictures, PARAMS)[0].text


def test_windows_are_those_of_the_declared_transforms() -> None:
    augment = PARAMS.prepare.augment
    wider = tuple(replace(each, args={**each.args, "scale": [0.0625, 1.0]}) for each in augment.paintings[:1])
    params = replace(PARAMS, prepare=replace(PARAMS.prepare, augment=replace(augment, paintings=wider)))
    assert needed_side(facts(), PARAMS) == 64
    assert needed_side(facts(), params) == 128


def test_what_training_would_refuse_is_told() -> None:
    assert obstacles(facts(*many(12)), PARAMS) == []
    few = obstacles(facts(*many(3)), PARAMS)
    assert few == ["Training needs at least 4 artworks (ingest.min_artworks); there are 3."]
    assert "no image held out" in obstacles(facts(*many(12, split="train")), PARAMS)[0]
    assert "no image to train on" in obstacles(facts(*many(12, split="test")), PARAMS)[0]
    assert "ingest.min_photos" in obstacles(dataclasses.replace(facts(), collection="photos"), PARAMS)[0]
