"""Which recipes a retrain builds unasked: figures from a manifest and a package, reasons from a plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.clock import Moment
from pipeline.due import Dueness, dueness
from pipeline.files import write_json
from pipeline.intake import tombstones
from pipeline.intake.tombstones import Tombstone
from pipeline.manifest import Entry, write_manifest
from pipeline.plan import Kind, Reason, RecipePlan, StagePlan
from pipeline.recipes import add_style
from pipeline.workspace import Workspace

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HERE = Moment(NOW.timestamp(), 1.0, "boot")


def entry(number: int, days_ago: float, split: str = "train") -> Entry:
    sha256 = f"{number:064x}"
    added = (NOW - timedelta(days=days_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    plain = Entry(sha256, "n", "s", 64, 64, 9, "png", f"{number:016x}", sha256, "train", (), added)
    return replace(plain, split=split)  # type: ignore[arg-type]


@pytest.fixture
def place(workspace: Path) -> Workspace:
    """Ink was built on eight pictures, two more were held out, and five new ones are asked for, or a week."""
    found = Workspace(workspace)
    text = found.params_file.read_text()
    found.params_file.write_text(text.replace("min_new_artworks: 1 ", "min_new_artworks: 5 "))
    add_style(found, "ink")
    stock(found, [])
    record = {"ink": [each.sha256 for each in old() if each.split == "train"], "photos": []}
    found.package("ink").mkdir(parents=True)
    write_json(found.package("ink") / "trained_on.json", record)
    return found


def old() -> list[Entry]:
    return [entry(number, 30) for number in range(8)] + [entry(8, 30, "test"), entry(9, 40, "test")]


def stock(place: Workspace, fresh: Sequence[Entry]) -> None:
    place.collection("ink").mkdir(parents=True, exist_ok=True)
    write_manifest(place.collection("ink"), [*old(), *fresh])


def due(place: Workspace, *kinds: Kind) -> Dueness:
    reasons = tuple(Reason(kind, "why") for kind in kinds)
    return dueness(place, [RecipePlan("ink", (StagePlan("train@ink", reasons),))], HERE)["ink"]


def test_what_is_not_stale_is_current(place: Workspace) -> None:
    assert due(place).state == "current"


@pytest.mark.parametrize(("number", "state"), [(4, "waits"), (5, "due")])
def test_the_number_of_new_pictures_decides_held_out_ones_too(place: Workspace, number: int, state: str) -> None:
    fresh = [entry(100 + each, 1, "test" if each == 0 else "train") for each in range(number)]
    stock(place, [*fresh, entry(200, 1, "excluded")])
    found = due(place, "data")
    assert (found.state, found.new) == (state, number)
    assert found.oldest_days == pytest.approx(1)


def test_why_it_waits_names_figures_parameters_and_the_way_round(place: Workspace) -> None:
    stock(place, [entry(100, 2)])
    why = due(place, "data", "code").why
    assert why == (
        "1 new picture of 5 (retrain.min_new_artworks), the oldest since 2.0 days of 7 (retrain.max_age_days); "
        "`atelier retrain ink` builds it at once"
    )


@pytest.mark.parametrize(("days", "state"), [(6.9, "waits"), (7.1, "due")])
def test_none_waits_longer_than_the_age(place: Workspace, days: float, state: str) -> None:
    stock(place, [entry(100, days), entry(101, 0)])
    assert due(place, "data").state == state


@pytest.mark.parametrize("kinds", [("new",), ("params",), ("output",), ("data", "params")])
def test_other_reasons_need_no_pictures(place: Workspace, kinds: tuple[Kind, ...]) -> None:
    stock(place, [entry(100, 0)])
    assert due(place, *kinds).state == "due"


def test_code_alone_waits_unless_told(place: Workspace) -> None:
    assert due(place, "code").state == "waits"
    text = place.params_file.read_text()
    place.params_file.write_text(text.replace("code_alone: false", "code_alone: true"))
    assert due(place, "code").state == "due"


def test_other_networks_to_begin_with_are_a_reason_at_once(place: Workspace) -> None:
    stock(place, [entry(100, 0)])
    reasons = (Reason("data", "warm/ink-v1 new"), Reason("data", "data/styles/ink modified"))
    assert dueness(place, [RecipePlan("ink", (StagePlan("train@ink", reasons),))], HERE)["ink"].state == "due"


def test_a_picture_taken_out_is_a_reason_at_once(place: Workspace) -> None:
    stock(place, [entry(100, 0)])
    stone = Tombstone("ink", old()[0].sha256, "n", "s", "withdrawn", "curator", "2026-11-19T00:00:00Z")
    tombstones.record(place, [stone])
    found = due(place, "data")
    assert (found.state, "taken out of ink" in found.why) == ("due", True)


def test_without_a_package_it_is_due(place: Workspace) -> None:
    (place.package("ink") / "trained_on.json").unlink()
    assert due(place, "data").state == "due"


def test_it_speaks_json(place: Workspace) -> None:
    assert json.loads(json.dumps(due(place).to_dict()))["state"] == "current"
