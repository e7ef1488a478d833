"""What the votes say: wins, losses and ties of a package against each opponent, with an interval and a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.vote.ballots import Ballot, folder, read, standing
from pipeline.vote.sides import read_labels, title
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Tally:
    """Votes on a package against one opponent.

    opponent is a package's digest or a control's name, label how to speak of it; wins, losses and ties are ballots
    that count, of so many voters; share is wins / (wins + losses) in [0, 1] with its 95 % Wilson interval, None where
    nothing was decided; damaged is the number of lines that cannot be read in the files these votes are from.
    """

    opponent: str
    label: str
    wins: int
    losses: int
    ties: int
    voters: int
    share: float | None
    low: float | None
    high: float | None
    damaged: int = 0

    @property
    def sentence(self) -> str:
        """Say it, `it` being the package."""
        decided = self.wins + self.losses
        ties = f"{self.ties} {'tie' if self.ties == 1 else 'ties'}"
        if self.share is None or self.low is None or self.high is None:
            return f"Painters did not decide between it and {self.label}: {ties}."
        interval = f"{self.share:.0%} [{self.low:.0%}, {self.high:.0%}]".replace("%", " %")
        votes = "vote" if decided == 1 else "votes"
        more = f", {ties} beside" if self.ties else ""
        return f"Painters preferred it to {self.label} in {self.wins} of {decided} decided {votes}: {interval}{more}."


def tally(workspace: Workspace, package_digest: str) -> list[Tally]:
    """Return the votes on a package, opponent by opponent, sorted by what they are called; empty without votes.

    The intervals take every ballot for an independent one. Ballots of one voter, or on one photograph, are not quite,
    so with few of either they are somewhat too narrow.

    Args:
        workspace: whose `var/votes/` is read.
        package_digest: of the package.
    """
    ballots: list[Ballot] = []
    damaged: dict[str, int] = {}
    labels: dict[str, str] = {}
    for path in sorted(folder(workspace).glob("*.jsonl")):
        box = read(path)
        ballots += box.ballots
        known = read_labels(path)
        labels |= known
        sides = {side for ballot in box.ballots for side in (ballot.left, ballot.right)} | set(known)
        for side in sides if package_digest in sides else ():
            damaged[side] = damaged.get(side, 0) + box.damaged
    mine = [ballot for ballot in standing(ballots) if package_digest in (ballot.left, ballot.right)]
    opponents = {side for ballot in mine for side in (ballot.left, ballot.right)}
    opponents |= {side for side, lines in damaged.items() if lines}
    found = [
        count(mine, package_digest, opponent, labels.get(opponent) or title(opponent), damaged.get(opponent, 0))
        for opponent in opponents - {package_digest}
    ]
    return sorted(found, key=lambda each: (each.label, each.opponent))


def count(ballots: Iterable[Ballot], package: str, opponent: str, label: str, damaged: int = 0) -> Tally:
    """Return the votes on two sides.

    Args:
        ballots: those that count, see `ballots.standing`; others than of these two sides are left out.
        package: key of the side whose wins are counted.
        opponent: key of the other.
        label: how to speak of the opponent.
        damaged: lines that could not be read.
    """
    own = [ballot for ballot in ballots if {ballot.left, ballot.right} == {package, opponent}]
    hung = [{"left": ballot.left, "right": ballot.right}.get(ballot.choice) for ballot in own]
    wins, losses = hung.count(package), hung.count(opponent)
    share = low = high = None
    if wins + losses:
        share = wins / (wins + losses)
        low, high = wilson(wins, wins + losses)
    voters = len({ballot.voter.casefold() or ("visit", ballot.visit) for ballot in own})
    return Tally(opponent, label, wins, losses, hung.count(None), voters, share, low, high, damaged)


def wilson(wins: int, decided: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share, in [0, 1]; `decided` is at least 1."""
    from scipy.stats import binomtest  # here: it takes half a second, and most commands need none

    interval = binomtest(wins, decided).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def sentences(workspace: Workspace, package_digest: str) -> list[str]:
    """Return what painters said of a package, a sentence an opponent, for reports; empty without votes."""
    said = []
    for each in tally(workspace, package_digest):
        if each.wins + each.losses + each.ties:
            said.append(each.sentence)
        if each.damaged:
            lines = "1 line is" if each.damaged == 1 else f"{each.damaged} lines are"
            said.append(f"Of the votes against {each.label} {lines} damaged and not counted (var/votes/ keeps them).")
    return said
