"""What was taken out stays on record: per collection, through odd names, and never guessed from a damaged file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.intake.tombstones import Tombstone, lift, read_tombstones, record, standing, tombstones_file
from pipeline.workspace import Workspace

A, B = "a" * 64, "b" * 64


def stone(sha256: str = A, collection: str = "monet", **changes: str) -> Tombstone:
    given = {"name": "lily.jpg", "source": "in", "reason": "not ours", "by": "ana", "when": "2026-01-02T03:04:05Z"}
    return Tombstone(collection, sha256, **(given | changes))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_nothing_removed_is_an_empty_record_and_no_file(workspace: Workspace) -> None:
    assert read_tombstones(workspace) == []
    assert standing(workspace, "monet") == {}
    assert lift(workspace, {"monet": [A]}, "now") == []
    assert record(workspace, []) == []
    assert not tombstones_file(workspace).exists()


def test_a_tombstone_stands_in_its_own_collection_only(workspace: Workspace) -> None:
    record(workspace, [stone(), stone(B, "photos")])
    assert standing(workspace, "monet") == {A: stone()}
    assert standing(workspace, "photos") == {B: stone(B, "photos")}
    assert standing(workspace, "manet") == {}


def test_the_first_reason_stays_however_often_it_is_recorded(workspace: Workspace) -> None:
    assert record(workspace, [stone(), stone(reason="again")]) == [stone(reason="again")]
    before = tombstones_file(workspace).read_bytes()
    assert record(workspace, [stone(reason="later"), stone(B)]) == [stone(B)]
    assert tombstones_file(workspace).read_bytes().startswith(before)
    assert standing(workspace, "monet")[A].reason == "again"


def test_lifting_is_noted_and_the_record_keeps_its_history(workspace: Workspace) -> None:
    record(workspace, [stone(), stone(collection="manet"), stone(B)])
    assert lift(workspace, {"monet": {A}, "photos": {B}}, "2026-02-01") == [
        Tombstone(**{**stone().__dict__, "lifted": "2026-02-01"})
    ]
    assert set(standing(workspace, "monet")) == {B}
    assert set(standing(workspace, "manet")) == {A}
    assert lift(workspace, {"monet": {A}}, "later") == []
    record(workspace, [stone(reason="it came back")])
    assert standing(workspace, "monet")[A].reason == "it came back"
    assert [each.lifted for each in read_tombstones(workspace)] == ["2026-02-01", None, None, None]


texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)  # lone surrogates and newlines too


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(name=texts, source=texts, reason=texts, by=texts)
def test_any_name_and_reason_comes_back_as_it_went_in(
    workspace: Workspace, name: str, source: str, reason: str, by: str
) -> None:
    tombstones_file(workspace).unlink(missing_ok=True)
    made = stone(name=name, source=source, reason=reason, by=by)
    record(workspace, [made, stone(B)])
    assert read_tombstones(workspace) == [made, stone(B)]
    tombstones_file(workspace).read_bytes().decode("ascii")


values = st.recursive(st.none() | st.text() | st.integers(), st.lists)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(line=st.text(min_size=1) | values.map(json.dumps))
def test_a_line_that_is_no_tombstone_is_named(workspace: Workspace, line: str) -> None:
    tombstones_file(workspace).parent.mkdir(exist_ok=True)
    tombstones_file(workspace).write_bytes(line.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"tombstones\.jsonl, line \d+ is damaged"):
        standing(workspace, "monet")


@pytest.mark.parametrize(
    "changes", [{"sha256": "abc"}, {"sha256": None}, {"reason": 3}, {"lifted": 1}, {"collection": ""}]
)
def test_a_value_of_the_wrong_kind_is_damage(workspace: Workspace, changes: dict[str, object]) -> None:
    record(workspace, [stone(), stone(B)])
    good, bad = tombstones_file(workspace).read_text().splitlines()
    tombstones_file(workspace).write_text(good + "\n" + json.dumps(json.loads(bad) | changes) + "\n")
    with pytest.raises(ValueError, match="line 2 is damaged"):
        read_tombstones(workspace)
    with pytest.raises(ValueError, match="git checkout"):
        record(workspace, [stone("c" * 64)])  # never written over
