"""Which versions are concerned, and which one to go back to."""

from __future__ import annotations

import pytest

from pipeline.registry import Lineage
from pipeline.removal.advice import advise


def version(
    number: int, state: str = "clean", *aliases: str, name: str = "ink", barred: bool = False
) -> Lineage:
    return Lineage(name, number, aliases, ("a" * 64,) if state == "hit" else (), state != "unknown", barred)


def test_models_that_are_not_concerned_are_not_named() -> None:
    assert advise([]) == []
    found = advise(
        [version(1), version(2, "clean", "champion"), version(1, "hit", name="oil"), version(1, name="pen")]
    )
    assert [(each.name, each.champion, each.back_to) for each in found] == [("oil", False, None)]


def test_affected_and_unrecorded_versions_are_told_apart() -> None:
    (advice,) = advise([version(1, "unknown"), version(2, "hit"), version(3), version(4, "hit", "challenger")])
    assert [each.version for each in advice.affected] == [2, 4]
    assert [each.version for each in advice.unknown] == [1]
    assert not advice.champion


@pytest.mark.parametrize(
    ("others", "back_to", "by_rollback"),
    [
        pytest.param([version(1, "clean", "previous"), version(2)], 1, True, id="the champion before"),
        pytest.param(
            [version(1, "hit", "previous"), version(2), version(3)], 3, False, id="the newest that is clean"
        ),
        pytest.param([version(1), version(2, "unknown", "previous")], 1, False, id="not one that does not say"),
        pytest.param([version(1), version(2, barred=True)], 1, False, id="not one that a person bars"),
        pytest.param([version(1, "clean", "previous", barred=True)], None, False, id="not even the one before"),
        pytest.param([version(1, "hit"), version(2, "unknown")], None, False, id="none"),
    ],
)
def test_an_affected_champion_gives_way(others: list[Lineage], back_to: int | None, by_rollback: bool) -> None:
    (advice,) = advise([*others, version(9, "hit", "champion")])
    assert (advice.champion, advice.back_to, advice.by_rollback) == (True, back_to, by_rollback)


def test_a_champion_that_is_not_affected_stays() -> None:
    (advice,) = advise([version(1, "hit", "previous"), version(2, "clean", "champion")])
    assert (advice.champion, advice.back_to, advice.by_rollback) == (False, None, False)
