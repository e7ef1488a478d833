"""Facts are read from manifests and records alone, of the collection and of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.intake.copies import Copy, record_copies
from pipeline.quality.facts import gather
from pipeline.quality.meanings import FLAGS, REASONS
from pipeline.workspace import Workspace
from tests.pipeline.pictures import ROOT, make_workspace, small_params
from tests.pipeline.quality.stock import entry, facts, refuse, store

PARAMS = small_params()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws")


def test_what_is_counted() -> None:
    group = entry(1).group
    found = facts(
        entry(1, flags=("border", "oriented"), box=(1, 1, 9, 9)),
        entry(2, group=group, flags=("oriented",)),
        entry(3, group=group, split="excluded", flags=("bridges_split",)),
        entry(4, group=entry(5).group, split="test"),
        entry(5),
    )
    assert len(found.used) == 4
    assert [found.count(split) for split in ("train", "test", "excluded")] == [2, 2, 1]
    assert [len(members) for members in found.groups.values()] == [2, 2]
    assert [len(members) for members in found.repeated] == [3, 2]
    assert found.flags == {"oriented": 2, "border": 1, "bridges_split": 1}
    assert found.cropped == 1


def test_records_of_refusals_and_copies_are_part_of_it(workspace: Workspace) -> None:
    store(workspace, "monet", [entry(1), entry(2)])
    for number, reason in enumerate(["not_image", "too_small", "not_image"]):
        refuse(workspace, number, reason)
    copy = Copy(entry(1).sha256, "again.png", "studio", "2026-01-02")
    record_copies(workspace, "monet", [copy])
    found = gather(workspace, "monet", PARAMS)
    assert found.reasons == {"not_image": 2, "too_small": 1}
    assert found.copies == (copy,)


def test_a_collection_of_refusals_alone_can_be_reported_on(workspace: Workspace) -> None:
    refuse(workspace, 1, "not_image")
    assert gather(workspace, "monet", PARAMS).entries == ()


def test_pictures_that_another_collection_holds_are_found(workspace: Workspace) -> None:
    bits = int(entry(1).phash, 16)
    near = f"{bits ^ 0b111:016x}"
    store(workspace, "monet", [entry(1), entry(2), entry(3), entry(4, group=entry(1).group, phash=entry(1).phash)])
    store(workspace, "manet", [entry(7, phash=near), entry(2), entry(8, phash=f"{bits ^ 0b1:016x}"), entry(9)])
    store(workspace, "photos", [entry(10, phash=near)])
    found = gather(workspace, "monet", PARAMS).elsewhere
    told = [(pair.own.sha256, pair.collection, pair.other.sha256, pair.bits, pair.exact) for pair in found]
    assert told == [
        (entry(2).sha256, "manet", entry(2).sha256, 0, True),
        (entry(1).sha256, "manet", entry(8).sha256, 1, False),  # the nearest alone, once for the group
        (entry(1).sha256, "photos", entry(10).sha256, 3, False),
    ]


def test_an_unknown_collection_is_told_what_there_is(workspace: Workspace) -> None:
    store(workspace, "monet", [entry(1)])
    with pytest.raises(ValueError, match=r"no style 'manet'; known: monet; .*--style manet"):
        gather(workspace, "manet", PARAMS)
    with pytest.raises(ValueError, match=r"no photographs yet.*--photos"):
        gather(workspace, "photos", PARAMS)


def test_every_flag_and_reason_of_the_code_has_a_meaning() -> None:
    import re

    sources = [*(ROOT / "pipeline" / "intake").glob("*.py"), *(ROOT / "pipeline").glob("*.py")]
    text = "".join(path.read_text() for path in sources)
    flags = set(re.findall(r'flags\.(?:append|add)\("(\w+)"\)', text))
    reasons = set(re.findall(r'Refused\(\s*"(\w+)"', text))
    assert len(flags) > 10
    assert len(reasons) > 10
    assert flags <= set(FLAGS)
    assert reasons <= set(REASONS)
