"""The journal: lines in, operations out, whatever a kill left at its end."""

from __future__ import annotations

import json

import pytest

from pipeline.registry import journal, record
from pipeline.workspace import Workspace


@pytest.fixture
def place(tmp_path) -> Workspace:  # type: ignore[no-untyped-def]
    return Workspace(tmp_path)


def old_line(action: str, phase: str, **fields: object) -> str:
    return json.dumps({"time": "2026-01-01T00:00:00Z", "action": action, "name": "ink", "phase": phase, **fields})


def test_an_operation_is_its_lines_together(place: Workspace) -> None:
    assert journal.operations(place) == []
    first = journal.begin(place, "hold", "ink", version=3, reason="look", by="ana")
    second = journal.begin(place, "hold", "oil", version=1, reason="wait", by="bob")
    first.note(journal.CHECKED, before=1)
    first.note(journal.DONE)
    one, other = journal.operations(place)
    assert (one.action, one.name, one.phase, one.open, one.version) == ("hold", "ink", "done", False, 3)
    assert (one.entry["reason"], one.entry["before"]) == ("look", 1)
    assert (other.name, other.open) == ("oil", True)
    second.note(journal.ABANDONED, why="enough")
    assert not journal.operations(place)[1].open


@pytest.mark.parametrize("kept", [0, 1, 20, 60])
def test_half_a_line_counts_for_nothing_and_spoils_no_other(place: Workspace, kept: int) -> None:
    journal.begin(place, "hold", "ink", version=3).note(journal.DONE)
    whole = journal.journal_file(place).read_bytes()
    journal.begin(place, "hold", "ink", version=4)
    journal.journal_file(place).write_bytes(journal.journal_file(place).read_bytes()[: len(whole) + kept])
    assert [one.version for one in journal.operations(place)] == [3]
    assert journal.damaged_lines(place) == 0
    journal.begin(place, "hold", "ink", version=5)
    assert [one.version for one in journal.operations(place)] == [3, 5]
    assert journal.journal_file(place).read_bytes().startswith(whole)


def test_a_very_long_half_line_is_cut_off_too(place: Workspace) -> None:
    journal.begin(place, "hold", "ink", version=3)
    with journal.journal_file(place).open("a") as stream:
        stream.write("x" * 200_000)
    journal.begin(place, "hold", "ink", version=4)
    assert [one.version for one in journal.operations(place)] == [3, 4]


def test_a_damaged_line_is_counted_and_the_others_are_read(place: Workspace) -> None:
    journal.begin(place, "hold", "ink", version=3)
    with journal.journal_file(place).open("a") as stream:
        stream.write('{"action": "hold"}\nno JSON\n[1]\n')
    journal.begin(place, "hold", "ink", version=4)
    assert [one.version for one in journal.operations(place)] == [3, 4]
    assert journal.damaged_lines(place) == 3


def test_the_lines_of_before_there_were_ids_are_understood(place: Workspace) -> None:
    def moved(**fields: object) -> dict[str, object]:
        return {"package": "p", "reason": "r", **fields}

    lines = [
        old_line("promote", "intent", **moved(**{"from": None, "to": 1, "by": "gate"})),
        old_line("promote", "done", **moved(**{"from": None, "to": 1, "by": "gate"})),
        old_line("promote", "intent", **moved(**{"from": 1, "to": 2, "by": "ana"})),
        old_line("promote", "done", **moved(**{"from": 1, "to": 2, "by": "ana"})),
        old_line("rollback", "intent", **moved(**{"from": 2, "to": 1, "by": "ana"})),
        old_line("rollback", "done", **moved(**{"from": 2, "to": 1, "by": "ana"})),
        old_line("promote", "intent", **moved(**{"from": 1, "to": 3, "by": "gate"})),
    ]
    journal.journal_file(place).parent.mkdir()
    journal.journal_file(place).write_text("\n".join(lines) + "\n")
    found = journal.operations(place)
    assert [(one.action, one.open) for one in found] == [
        ("promote", False),
        ("promote", False),
        ("rollback", False),
        ("promote", True),
    ]
    assert record.read(place).aliases == {"ink": {"champion": 1, "previous": 2, "anchor": 1}}
