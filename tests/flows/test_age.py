"""One new picture, fewer than a retrain asks for: it waits, and the next scheduled run builds it for its age."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.files import read_json
from pipeline.presets import apply_changes
from tests.flows.studio import drop
from tests.flows.upping import atelier

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_a_run_that_finds_nothing_new_builds_what_has_waited_long_enough(studio: Path) -> None:
    apply_changes(studio / "params.yaml", {"retrain": {"min_new_artworks": 50, "max_age_days": 1000.0}})
    drop(studio, "ink", 200, 1)
    done = atelier(studio, "retrain")
    assert done.returncode == 0, done.stderr
    [first] = read_json(studio / "var" / "last_retrain.json")["recipes"]
    assert "1 new picture of 50" in str(first)
    assert "version 2" not in atelier(studio, "history", "ink").stdout
    apply_changes(studio / "params.yaml", {"retrain": {"max_age_days": 0.0}})  # as if as many days had passed
    assert not list((studio / "inbox" / "ink").iterdir())
    done = atelier(studio, "retrain")  # what the schedule runs; the sensor would not stir
    assert done.returncode == 0, done.stderr
    [second] = read_json(studio / "var" / "last_retrain.json")["recipes"]
    assert second["version"] == 2
