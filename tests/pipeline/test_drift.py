"""A metric has moved when the difference is more than the noise of both days, and of another seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.drift import compare, sentence
from pipeline.params import Gate, load_params


@pytest.fixture(scope="module")
def gate() -> Gate:
    return load_params(Path(__file__).parents[2] / "params.yaml").gate


def sheet(half: float | None = 0.03, **values: float) -> dict[str, Any]:
    names = {"swd": "style/patch_swd", "structure": "content/structure", "palette": "style/palette"}
    return {
        "metrics": {
            names[key]: {
                "value": value,
                "low": None if half is None else value - half,
                "high": None if half is None else value + half,
            }
            for key, value in values.items()
        }
    }


def test_more_than_the_noise_of_both_days_has_moved(gate: Gate) -> None:
    before = sheet(swd=0.10, structure=0.80)
    assert compare(before, sheet(swd=0.14, structure=0.76), gate) == []  # within 0.0424
    moved = compare(before, sheet(swd=0.15, structure=0.90), gate)
    assert [(one.metric, one.reading) for one in moved] == [
        ("style/patch_swd", "worse"),
        ("content/structure", "better"),
    ]


def test_what_another_seed_would_change_is_no_drift(gate: Gate) -> None:
    assert gate.seed_noise.style == 0.02
    assert compare(sheet(0.001, swd=0.10), sheet(0.001, swd=0.115), gate) == []
    assert compare(sheet(0.001, swd=0.10), sheet(0.001, swd=0.125), gate)


def test_a_day_without_intervals_is_as_noisy_as_the_other(gate: Gate) -> None:
    tags = sheet(None, swd=0.10)
    assert compare(tags, sheet(swd=0.14), gate) == []
    assert compare(tags, sheet(swd=0.15), gate)
    assert compare(tags, sheet(None, swd=0.9), gate) == []  # nothing says what noise is


def test_the_sentence_names_what_moved_and_what_it_was_scored_on(gate: Gate) -> None:
    moved = [vars(one) for one in compare(sheet(swd=0.10), sheet(swd=0.2), gate)]
    found = {"recipe": "ink", "version": 3, "data_changed": True, "observers_changed": False, "moved": moved}
    assert "ink version 3 moved beyond noise on today's held-out images, which changed since" in sentence(found)
    assert "0.1 -> 0.2 (worse)" in sentence(found)
    assert "what it was" in sentence({**found, "moved": [], "data_changed": False})
    assert "nothing can be compared" in sentence({**found, "observers_changed": True})
