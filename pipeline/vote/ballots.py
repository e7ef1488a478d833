"""Ballots: one synced JSON line each, in a file that is only ever appended to (`var/votes/<pair>.jsonl`)."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pipeline.files import fsync_directory
from pipeline.workspace import Workspace

Choice: TypeAlias = Literal["left", "right", "neither", "undone"]
CHOICES: tuple[str, ...] = get_args(Choice)
_MAY_BE_EMPTY = ("voter",)


@dataclass(frozen=True)
class Ballot:
    """What one person said of two pictures of one photograph.

    time is ISO-8601 UTC; ballot and visit are random ids; voter is a name, or empty; photograph is its sha256; left
    and right are a package's digest or a control's name; choice `undone` takes back the ballot of the same id.
    """

    time: str
    ballot: str
    visit: str
    voter: str
    photograph: str
    left: str
    right: str
    choice: Choice


@dataclass(frozen=True)
class Box:
    """What a file of ballots holds: those that can be read, in order, and how many lines cannot."""

    ballots: tuple[Ballot, ...]
    damaged: int


def folder(workspace: Workspace) -> Path:
    """Return where all ballots lie."""
    return workspace.var / "votes"


def line(ballot: Ballot) -> bytes:
    """Return a ballot as it stands in the file, its newline included: ASCII, whatever the voter's name."""
    return json.dumps(asdict(ballot), sort_keys=True, ensure_ascii=True).encode() + b"\n"


def parse(text: bytes) -> Ballot | None:
    """Return the ballot of a line without its newline, or None where the line is damaged."""
    try:
        record = json.loads(text)
        found = Ballot(**{item.name: record[item.name] for item in fields(Ballot)})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    values = asdict(found)
    whole = all(isinstance(value, str) and (value or name in _MAY_BE_EMPTY) for name, value in values.items())
    return found if whole and found.choice in CHOICES and found.left != found.right else None


def read(path: Path) -> Box:
    """Return what a file holds; of a file that is not there, nothing.

    A line that a crash cut short stays in the file and is counted as damaged.
    """
    if not path.is_file():
        return Box((), 0)
    lines = [one for one in path.read_bytes().split(b"\n") if one.strip()]
    ballots = [parse(one) for one in lines]
    return Box(tuple(each for each in ballots if each), ballots.count(None))


def append(path: Path, ballot: Ballot) -> None:
    """Add a ballot to a file, durably, past whatever a crash left at its end.

    Raises:
        OSError: it could not be written, and does not count.
    """
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # two pages may serve the same pair
        size = stream.seek(0, os.SEEK_END)
        torn = False
        if size:
            stream.seek(size - 1)
            torn = stream.read(1) != b"\n"
        stream.write((b"\n" if torn else b"") + line(ballot))
        stream.flush()
        os.fsync(stream.fileno())
    if new:
        fsync_directory(path.parent)


def standing(ballots: Iterable[Ballot]) -> list[Ballot]:
    """Return the ballots that count: not taken back, and the last of each voter on the same two pictures.

    Names are compared without regard to case; who gave none is known by the visit.
    """
    cast: dict[str, Ballot] = {}
    for ballot in ballots:
        cast.pop(ballot.ballot, None)  # cast anew it is the last again
        if ballot.choice != "undone":
            cast[ballot.ballot] = ballot
    last = {}
    for ballot in cast.values():
        who = ("name", ballot.voter.casefold()) if ballot.voter else ("visit", ballot.visit)
        last[who, ballot.photograph, frozenset((ballot.left, ballot.right))] = ballot
    return list(last.values())
