"""The same figures for the terminal, for Prefect and for the page; and the advice that goes with a size."""

from __future__ import annotations

import json

import pytest

from pipeline.quality import summary
from pipeline.quality.advice import advise
from pipeline.quality.score import figures, score
from tests.pipeline.quality.stock import entry, facts, inline_params

PARAMS = inline_params()
FOUND = facts(*(entry(n, flags=("oriented",) if n < 3 else ()) for n in range(20)))


def test_the_headline_says_it_in_a_sentence() -> None:
    total = score(figures(FOUND, PARAMS)).total
    assert summary.headline(FOUND, PARAMS) == f"monet: {total:.0f} of 100 (thin); 20 different artworks, 4 held out"
    assert "1 different photograph," in summary.headline(facts(entry(1), collection="photos"), PARAMS)


def test_the_parts_are_those_of_the_score() -> None:
    parts = summary.parts(FOUND, PARAMS)
    rated = score(figures(FOUND, PARAMS))
    quality = sum(part.weight * part.value for part in parts if part.weight is not None)
    assert 100 * parts[0].value * quality == pytest.approx(rated.total)
    assert {part.name: part.value for part in parts[1:]} == rated.parts
    assert "4 different ones are held out; 10 are wanted" in parts[2].text


def test_the_table_is_plain_text_with_score_and_advice() -> None:
    rows = {row["what"]: row["value"] for row in json.loads(json.dumps(summary.table(FOUND, PARAMS)))}
    assert rows["training-set score"].endswith("of 100 (thin)")
    assert rows["images"] == "20: 16 to train on, 4 held out, 0 excluded"
    assert rows["flags"] == "3 oriented"
    assert rows["would raise it, 1"].startswith("+")
    refused = summary.table(facts(entry(1)), PARAMS)
    assert any(row["what"] == "in the way, 1" for row in refused)


@pytest.mark.parametrize(("points", "text"), [(12.4, "+12"), (1.0, "+1"), (0.96, "+1"), (0.31, "+0.3")])
def test_gains_read_as_they_should(points: float, text: str) -> None:
    assert summary.gained(points) == text


@pytest.mark.parametrize(
    ("distinct", "title", "source"),
    [
        (0, "Below 10 artworks", "SinCUT"),
        (9, "Below 10 artworks", "SinCUT"),
        (10, "From 10 to 50 artworks", "100 images"),
        (50, "From 10 to 50 artworks", "100 images"),
        (51, "Above 50 artworks", "401 (Van Gogh)"),
    ],
)
def test_advice_goes_with_the_number_of_artworks_and_names_sources(distinct: int, title: str, source: str) -> None:
    advice = advise(distinct, is_photos=False)
    assert advice.title == title
    assert any(source in text for text in advice.sources)
    assert advise(distinct, is_photos=True).title == "Photographs"
