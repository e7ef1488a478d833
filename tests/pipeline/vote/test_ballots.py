"""The file of ballots: what is written is read again, whatever a crash left; which ballots count."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.vote.ballots import CHOICES, Ballot, append, line, parse, read, standing
from tests.pipeline.vote.studio import OURS, THEIRS, ballot

_some = st.text(min_size=1)
_ballots = st.builds(
    Ballot,
    time=_some,
    ballot=_some,
    visit=_some,
    voter=st.text(),
    photograph=_some,
    left=st.just(OURS),
    right=_some,
    choice=st.sampled_from(CHOICES),
)


@given(_ballots)
def test_a_line_holds_a_ballot_whatever_its_texts(one: Ballot) -> None:
    text = line(one)
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    assert parse(text[:-1]) == one


@given(st.binary())
def test_what_is_no_ballot_is_none_and_no_error(text: bytes) -> None:
    assert parse(text) is None


def test_a_ballot_that_makes_no_sense_is_damaged() -> None:
    good = line(ballot("left"))
    for old, new in ((b'"left"', b'"up"'), (THEIRS.encode(), OURS.encode()), (b'"photograph"', b'"photo"')):
        assert old in good
        assert parse(good.replace(old, new)) is None
    for nonsense in (b"[]", b"1", b"null", b"[" * 100_000, line(dataclasses.replace(ballot(), visit=""))):
        assert parse(nonsense) is None


@given(st.lists(_ballots, min_size=1, max_size=4), st.data())
def test_a_file_cut_anywhere_loses_no_whole_ballot_and_takes_more(ballots: list[Ballot], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes" / "pair.jsonl"
        for one in ballots:
            append(path, one)
        written = path.read_bytes()
        assert read(path).ballots == tuple(ballots)
        cut = data.draw(st.integers(0, len(written)))
        path.write_bytes(written[:cut])
        whole = [one for one, end in zip(ballots, _ends(ballots), strict=True) if end - 1 <= cut]
        torn = cut not in {0, *_ends(ballots), *(end - 1 for end in _ends(ballots))}
        assert (read(path).ballots, read(path).damaged) == (tuple(whole), int(torn))
        extra = ballot("right")
        append(path, extra)
        assert (read(path).ballots, read(path).damaged) == ((*whole, extra), int(torn))
        assert path.read_bytes().startswith(written[:cut])  # what a crash left is not thrown away


def _ends(ballots: list[Ballot]) -> list[int]:
    sizes = [len(line(one)) for one in ballots]
    return [sum(sizes[: number + 1]) for number in range(len(sizes))]


def test_no_file_is_no_ballot(tmp_path: Path) -> None:
    assert read(tmp_path / "none.jsonl").ballots == ()


def test_a_second_vote_on_the_same_pictures_replaces_the_first_whichever_hangs_left() -> None:
    first = ballot("left", voter="Ana", photograph="p")
    again = ballot("left", voter="ANA", photograph="p", left=THEIRS, right=OURS)
    others = [
        ballot("left", voter="Ben", photograph="p"),
        ballot("left", voter="Ana", photograph="q"),
        ballot("left", voter="Ana", photograph="p", right="photograph"),
    ]
    assert standing([first, *others, again]) == [again, *others]


def test_who_gives_no_name_is_one_voter_a_visit() -> None:
    same = [ballot("left", visit="v", photograph="p"), ballot("right", visit="v", photograph="p")]
    other = ballot("left", visit="w", photograph="p")
    assert standing([*same, other]) == [same[1], other]


def test_an_undone_vote_does_not_count_and_may_be_cast_again() -> None:
    one = ballot("left", voter="Ana", photograph="p")
    undone, again = (dataclasses.replace(one, choice=choice) for choice in ("undone", "right"))  # type: ignore[arg-type]
    assert standing([one, undone]) == []
    assert standing([one, undone, again]) == [again]
    assert standing([one, undone, again, undone]) == []


def test_undoing_a_second_vote_brings_back_the_first() -> None:
    first, second = (ballot(choice, voter="Ana", photograph="p") for choice in ("left", "right"))
    assert standing([first, second, dataclasses.replace(second, choice="undone")]) == [first]
