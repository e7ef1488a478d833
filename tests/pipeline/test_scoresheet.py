"""Reading figures with suspicion."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.scoresheet import Estimate, ScoreSheet


def sheet(entry: Any) -> ScoreSheet:
    return ScoreSheet(
        {
            "metrics": {"a": entry},
            "controls": {"photograph": {"a": entry}},
            "differences": {"photograph - model": {"a": entry}},
            "checks": {"a": entry},
            "counts": {"photographs": entry},
        }
    )


def test_figures_are_read_from_their_places() -> None:
    found = sheet({"value": 2, "low": 1.5, "high": 3.0})
    assert (found.value("a"), found.value("a", "photograph")) == (2.0, 2.0)
    assert found.estimate("a") == found.estimate("a", "photograph") == Estimate(2.0, 1.5, 3.0)
    assert found.difference("photograph - model", "a") == Estimate(2.0, 1.5, 3.0)
    assert (found.names(), found.names("photograph"), found.names("nobody")) == (("a",), ("a",), ())
    assert (found.controls(), found.pairs()) == (("photograph",), ("photograph - model",))
    assert (sheet(7).check("a"), sheet(7).count("photographs")) == (7.0, 7)
    assert str(Estimate(0.12345, -1, 2)) == "0.123 [-1, 2]"


@pytest.mark.parametrize("wrong", [None, True, float("nan"), float("inf"), -float("inf"), "2", [2], {"value": 2}])
def test_what_is_no_finite_number_is_none(wrong: Any) -> None:
    assert sheet({"value": wrong, "low": 0, "high": 3}).value("a") is None
    for part in ("value", "low", "high"):
        assert sheet({"value": 2, "low": 1, "high": 3, part: wrong}).estimate("a") is None
    assert sheet(wrong).check("a") is None
    assert sheet(wrong).count("photographs") is None
    assert sheet(wrong).value("b") is None


@pytest.mark.parametrize(("low", "high"), [(2.1, 3), (1, 1.9), (3, 1)])
def test_an_interval_around_something_else_is_none(low: float, high: float) -> None:
    assert sheet({"value": 2, "low": low, "high": high}).estimate("a") is None


@pytest.mark.parametrize("tree", [{}, {"metrics": None}, {"metrics": [1], "controls": {"photograph": 3}}])
def test_nothing_is_there_and_nothing_raises(tree: dict[str, Any]) -> None:
    found = ScoreSheet(tree)
    assert found.value("a") is found.estimate("a", "photograph") is found.difference("a - b", "a") is None
    assert (found.names(), found.names("photograph"), found.pairs()) == ((), (), ())
    assert (found.has("a"), found.count("photographs"), found.observers()) == (False, None, None)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"value": 1, "low": None, "high": None}, True),
        ({"value": 1, "low": None, "high": 2}, False),
        ({"value": 1, "low": 1, "high": 1}, False),
        ({"value": 1}, False),
        (None, False),
    ],
)
def test_no_interval_is_something_that_is_said(entry: Any, expected: bool) -> None:
    assert sheet(entry).without_interval("a") is expected
