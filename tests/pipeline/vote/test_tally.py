"""Counting: wins whichever side they hung on, Wilson's interval, sentences, and files that are damaged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pipeline.vote.ballots import append
from pipeline.vote.sides import Pair, Side, write_labels
from pipeline.vote.tally import count, sentences, tally, wilson
from tests.pipeline.packages import empty_workspace
from tests.pipeline.vote.studio import OURS, THEIRS, ballot

RIVAL = "b" * 64


def _closed_form(wins: int, decided: int) -> tuple[float, float]:
    """Wilson's interval (1927), with the normal quantile of 97.5 %."""
    z, p = 1.959963984540054, wins / decided
    middle = (p + z * z / (2 * decided)) / (1 + z * z / decided)
    half = z / (1 + z * z / decided) * math.sqrt(p * (1 - p) / decided + z * z / (4 * decided**2))
    return middle - half, middle + half


@pytest.mark.parametrize(("wins", "decided"), [(0, 1), (1, 1), (17, 24), (0, 30), (30, 30), (500, 1000)])
def test_the_interval_is_wilsons(wins: int, decided: int) -> None:
    assert wilson(wins, decided) == pytest.approx(_closed_form(wins, decided), abs=1e-12)


def test_wins_are_counted_whichever_side_they_hung_on() -> None:
    swapped = {"left": THEIRS, "right": OURS}
    ballots = [
        *(ballot("left") for _ in range(3)),
        *(ballot("right", **swapped) for _ in range(2)),
        ballot("right"),
        ballot("left", **swapped),
        *(ballot("neither") for _ in range(4)),
        ballot("left", right=RIVAL),
    ]
    found = count(ballots, OURS, THEIRS, "Lab transfer")
    assert (found.wins, found.losses, found.ties, found.voters) == (5, 2, 4, 11)
    assert found.share == pytest.approx(5 / 7)
    assert (found.low, found.high) == pytest.approx(_closed_form(5, 7))
    other = count(ballots, THEIRS, OURS, "the model")
    assert (other.wins, other.losses, other.ties) == (2, 5, 4)


def test_the_sentence_of_the_specification() -> None:
    ballots = [*(ballot("left") for _ in range(17)), *(ballot("right") for _ in range(7))]
    found = count(ballots, OURS, THEIRS, "Lab transfer")
    assert found.sentence == "Painters preferred it to Lab transfer in 17 of 24 decided votes: 71 % [51 %, 85 %]."


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        (["neither"] * 3, "Painters did not decide between it and Lab transfer: 3 ties."),
        (["left", "neither"], "in 1 of 1 decided vote: 100 % [21 %, 100 %], 1 tie beside."),
        (["right"] * 4, "in 0 of 4 decided votes: 0 % [0 %, 49 %]."),
    ],
)
def test_sentences_of_few_votes(choices: list[str], says: str) -> None:
    assert says in count([ballot(choice) for choice in choices], OURS, THEIRS, "Lab transfer").sentence


def test_a_workspace_without_votes_says_nothing_and_makes_nothing(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    assert sentences(workspace, OURS) == []
    assert not workspace.var.exists()


def test_every_opponent_has_a_tally_under_its_own_name(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    ours = Side(OURS, "monet version 3")
    for rival, votes in ((Side(RIVAL, "monet version 2"), 2), (Side(THEIRS, "Lab transfer"), 5)):
        pair = Pair(ours, rival)
        assert pair.ballots(workspace) == Pair(rival, ours).ballots(workspace)
        write_labels(workspace, pair)
        for _ in range(votes):
            append(pair.ballots(workspace), ballot("left", right=rival.key))
    append(Pair(ours, Side("c" * 64, "")).ballots(workspace), ballot("right", right="c" * 64))
    append(workspace.var / "votes" / "of-others.jsonl", ballot("left", left=RIVAL))
    found = {each.label: (each.wins, each.losses) for each in tally(workspace, OURS)}
    assert found == {"monet version 2": (2, 0), "Lab transfer": (5, 0), "package cccccccccccc": (0, 1)}
    [lost] = [each for each in tally(workspace, RIVAL) if each.label == "monet version 3"]
    assert (lost.wins, lost.losses) == (0, 2)


def test_a_torn_line_is_said_where_it_matters_and_nowhere_else(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    pair = Pair(Side(OURS, "monet version 3"), Side(THEIRS, "Lab transfer"))
    write_labels(workspace, pair)
    path = pair.ballots(workspace)
    path.write_bytes(b'{"ballot": "abc", "cho')
    assert sentences(workspace, OURS) == [
        "Of the votes against Lab transfer 1 line is damaged and not counted (var/votes/ keeps them)."
    ]
    append(path, ballot("left"))
    said = sentences(workspace, OURS)
    assert said[0].startswith("Painters preferred it to Lab transfer in 1 of 1")
    assert "1 line is damaged" in said[1]
    append(workspace.var / "votes" / "other.jsonl", ballot("left", right=RIVAL))
    assert len(sentences(workspace, RIVAL)) == 1


def test_damaged_labels_cost_the_name_alone(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    pair = Pair(Side(OURS, "monet version 3"), Side(RIVAL, "monet version 2"))
    append(pair.ballots(workspace), ballot("left", right=RIVAL))
    for text in ("{", "[]", '{"labels": 3}', "{}"):
        pair.ballots(workspace).with_suffix(".json").write_text(text)
        assert [each.label for each in tally(workspace, OURS)] == [f"package {'b' * 12}"]
