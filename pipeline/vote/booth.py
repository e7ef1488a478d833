"""The voting itself, without any page: visits, coins, ballots. What a visitor sees names nothing but random ids."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, cast

from pipeline.vote.ballots import CHOICES, Ballot, Choice, append
from pipeline.vote.pictures import Exhibit

LONGEST_NAME = 60


class VoteError(ValueError):
    """A request that cannot be granted; `status` is its HTTP status, the message is for the voter."""

    def __init__(self, status: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Hanging:
    """One ballot to be cast: an exhibit, which side hangs where, and the ids of its three pictures."""

    ballot: str
    exhibit: Exhibit
    left: str
    right: str
    pictures: dict[str, str]  # photograph, left, right -> id


@dataclass
class Visit:
    """One person's round: the hangings in their order, and those of them that were judged."""

    voter: str
    hangings: list[Hanging]
    judged: int = 0


class Booth:
    """Visits to one pair's exhibits. Not for several threads: the server runs it on one."""

    def __init__(self, shown: Sequence[Exhibit], file: Path, draw: Random | None = None) -> None:
        """Open it.

        Args:
            shown: what is voted on, at least one exhibit.
            file: where ballots go.
            draw: decides the order and the coins; the system's randomness without.
        """
        self.shown, self.file = list(shown), file
        self.draw = draw or SystemRandom()
        self.visits: dict[str, Visit] = {}
        self.pictures: dict[str, Path] = {}
        self.cast_here = 0

    def begin(self, voter: str) -> str:
        """Begin a visit and return its id.

        Raises:
            VoteError: the name will not do.
        """
        name = " ".join(voter.split())
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise VoteError(
                422, f"A name may have at most {LONGEST_NAME} letters, and nothing that cannot be printed."
            )
        order = self.draw.sample(self.shown, len(self.shown))
        visit = secrets.token_urlsafe(16)
        self.visits[visit] = Visit(name, [self._hang(exhibit) for exhibit in order])
        return visit

    def judge(self, visit: str, ballot: str, choice: str) -> None:
        """Cast the ballot that is being shown.

        Raises:
            VoteError: an unknown visit or choice, or another ballot is being shown.
            OSError: the ballot could not be kept; it is still to be cast.
        """
        round_ = self._visit(visit)
        if choice not in CHOICES or choice == "undone":
            raise VoteError(422, "Choose left, right or neither.")
        hanging = round_.hangings[round_.judged] if round_.judged < len(round_.hangings) else None
        if hanging is None or ballot != hanging.ballot:
            raise VoteError(409, "This ballot is not the one being shown; it may have been cast already.")
        self._keep(visit, round_, hanging, cast(Choice, choice))
        round_.judged += 1
        self.cast_here += 1

    def undo(self, visit: str) -> None:
        """Take the last ballot back; it is shown again.

        Raises:
            VoteError: an unknown visit, or nothing was cast.
            OSError: that could not be kept; the ballot stands.
        """
        round_ = self._visit(visit)
        if not round_.judged:
            raise VoteError(409, "There is no vote to take back.")
        self._keep(visit, round_, round_.hangings[round_.judged - 1], "undone")
        round_.judged -= 1
        self.cast_here -= 1

    def state(self, visit: str) -> dict[str, Any]:
        """Return what the page is to show: how far the visit is, and the three pictures by id, and the next ones.

        Raises:
            VoteError: an unknown visit.
        """
        round_ = self._visit(visit)
        left = round_.hangings[round_.judged : round_.judged + 2]
        return {
            "visit": visit,
            "voter": round_.voter,
            "judged": round_.judged,
            "of": len(round_.hangings),
            "ballot": _shown(left[0]) if left else None,
            "next": list(left[1].pictures.values()) if len(left) > 1 else [],
        }

    def picture(self, name: str) -> Path:
        """Return the file of a picture.

        Raises:
            VoteError: there is none of that id.
        """
        if name not in self.pictures:
            raise VoteError(404, "There is no such picture.")
        return self.pictures[name]

    def _hang(self, exhibit: Exhibit) -> Hanging:
        one, other = sorted(exhibit.paintings)  # so that the coin alone decides
        left, right = (one, other) if self.draw.random() < 0.5 else (other, one)
        files = {"photograph": exhibit.before, "left": exhibit.paintings[left], "right": exhibit.paintings[right]}
        ids = {place: secrets.token_urlsafe(16) for place in files}
        self.pictures |= {ids[place]: path for place, path in files.items()}
        return Hanging(secrets.token_urlsafe(16), exhibit, left, right, ids)

    def _visit(self, visit: str) -> Visit:
        if visit not in self.visits:
            raise VoteError(404, "This visit is not known here any more; begin a new one.")
        return self.visits[visit]

    def _keep(self, visit: str, round_: Visit, hanging: Hanging, choice: Choice) -> None:
        ballot = Ballot(
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            ballot=hanging.ballot,
            visit=visit,
            voter=round_.voter,
            photograph=hanging.exhibit.photograph,
            left=hanging.left,
            right=hanging.right,
            choice=choice,
        )
        append(self.file, ballot)


def _shown(hanging: Hanging) -> dict[str, Any]:
    size = {"width": hanging.exhibit.width, "height": hanging.exhibit.height}
    return {"id": hanging.ballot, **hanging.pictures, **size}
