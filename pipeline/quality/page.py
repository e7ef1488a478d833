"""One self-contained HTML page about a collection: what it holds, how good it is to train on, and what would help.

Its cost is bounded whatever the collection's size: the manifest is read, and at most MOST_PICTURES files are opened.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import write_atomic
from pipeline.intake.drops import printable
from pipeline.intake.quarantine import Refusal
from pipeline.manifest import Entry
from pipeline.pages import template
from pipeline.params import Params
from pipeline.quality import histograms, summary, thumbnails
from pipeline.quality.advice import advise
from pipeline.quality.facts import Elsewhere, Facts
from pipeline.quality.meanings import FLAGS, REASONS, UNKNOWN
from pipeline.quality.palette import accents, palette
from pipeline.quality.score import figures, improvements, needed_side, obstacles, score
from pipeline.quality.thumbnails import Thumbnail, Wanted
from pipeline.workspace import Workspace

_TEMPLATE = Path(__file__).parent / "templates" / "quality.html"
_SAMPLE, _WALL = 48, 16  # images that the palette is taken from; those of them that are shown
_GROUPS, _MEMBERS = 8, 6  # groups of near duplicates, and images of each
_PAIRS = 6  # images that other collections hold too
_REASONS, _FILES = 14, 6  # reasons of refusal, and files of each
_REFUSED_PICTURES = 24
_COPIES = 12
MOST_PICTURES = _SAMPLE + _GROUPS * _MEMBERS + 2 * _PAIRS + _REFUSED_PICTURES
# Refused for their measures or by a person; others are broken or none, and there is nothing to see.
_SHOWABLE = ("too_small", "extreme_aspect", "removed")


@dataclass(frozen=True)
class Card:
    """A file as the page shows it; without a picture where none can be made."""

    picture: Thumbnail | None
    title: str
    note: str = ""


def write(workspace: Workspace, facts: Facts, params: Params) -> Path:
    """Write the page of a collection to `work/quality/<collection>.html` and return it.

    Args:
        workspace: where the collection lies.
        facts: what `facts.gather` returned of it.
        params: `prepare`, `gate` and `ingest` are used.
    """
    return write_atomic(workspace.quality(facts.collection), render(workspace, facts, params))


def render(workspace: Workspace, facts: Facts, params: Params) -> str:
    """Return the page."""
    pictures = _Pictures(workspace, facts, params)
    page: str = template(_TEMPLATE).render(
        facts=facts,
        tiles=_tiles(facts),
        kind=summary.kind,
        gained=summary.gained,
        score=score(figures(facts, params)),
        parts=summary.parts(facts, params),
        improvements=improvements(facts, params),
        obstacles=obstacles(facts, params),
        advice=advise(len(facts.groups), facts.is_photos),
        wall=pictures.wall(),
        palette=palette(pictures.sampled()),
        accents=accents(pictures.sampled()),
        sampled=len(pictures.sampled()),
        sides=histograms.sides([min(each.width, each.height) for each in facts.used], needed_side(facts, params)),
        aspects=histograms.aspects([each.width / each.height for each in facts.used]),
        crop=params.prepare.crop,
        repeated=pictures.repeated(),
        pairs=pictures.pairs(),
        copies=[shown(copy.name, copy.source) for copy in facts.copies[-_COPIES:]],
        flags=[(flag, count, FLAGS.get(flag, UNKNOWN)) for flag, count in facts.flags.items()],
        refused=pictures.refused(),
        sheet=_sheet(workspace.sheet(facts.collection)),
    )
    return page


def shown(name: str, source: str) -> str:
    """Return a file's name and folder, fit to be shown."""
    return printable(f"{source}/{name}")


class _Pictures:
    """The pictures of one page: chosen from the facts, then made, each once."""

    def __init__(self, workspace: Workspace, facts: Facts, params: Params) -> None:
        self.facts = facts
        # By hash: nobody picked them, and a growing collection changes few.
        self.sample = sorted(facts.used, key=lambda entry: entry.sha256)[:_SAMPLE]
        self.groups = [(len(group), group[:_MEMBERS]) for group in facts.repeated[:_GROUPS]]
        self.elsewhere = facts.elsewhere[:_PAIRS]
        self.refusals = {reason: self._latest(reason) for reason in list(facts.reasons)[:_REASONS]}
        wanted = {
            entry.sha256: _stored(workspace, facts.collection, entry)
            for entry in [*self.sample, *(entry for _, group in self.groups for entry in group)]
        }
        for pair in self.elsewhere:
            wanted.setdefault(pair.own.sha256, _stored(workspace, facts.collection, pair.own))
            wanted.setdefault(pair.other.sha256, _stored(workspace, pair.collection, pair.other))
        self.made = thumbnails.make(wanted | self._showable(workspace.quarantine(facts.collection)), params.ingest)

    def _latest(self, reason: str) -> list[Refusal]:
        return [refusal for refusal in reversed(self.facts.refusals) if refusal.reason == reason][:_FILES]

    def _showable(self, folder: Path) -> dict[str, Wanted]:
        hashes = [
            refusal.sha256
            for reason in _SHOWABLE
            for refusal in self.refusals.get(reason, [])
            if refusal.sha256 is not None and refusal.sha256.isalnum()
        ]
        files = {sha256: next(folder.glob(f"{sha256}.*"), None) for sha256 in hashes[:_REFUSED_PICTURES]}
        return {sha256: Wanted(path, None, thumbnails.REFUSED) for sha256, path in files.items() if path}

    def sampled(self) -> list[Thumbnail]:
        """Return the pictures that the palette is taken from."""
        return [self.made[entry.sha256] for entry in self.sample if entry.sha256 in self.made]

    def wall(self) -> list[Card]:
        """Return the pictures on top of the page."""
        return [self._card(entry) for entry in self.sample[:_WALL] if entry.sha256 in self.made]

    def repeated(self) -> list[tuple[int, list[Card]]]:
        """Return groups of near duplicates: how many images, and some of them."""
        return [(count, [self._card(entry, _side(entry)) for entry in group]) for count, group in self.groups]

    def pairs(self) -> list[tuple[Elsewhere, Card, Card]]:
        """Return images that another collection holds too, beside that collection's."""
        own = f"in {self.facts.collection}"
        return [
            (pair, self._card(pair.own, own), self._card(pair.other, f"in {pair.collection}"))
            for pair in self.elsewhere
        ]

    def refused(self) -> list[tuple[str, int, str, list[Card]]]:
        """Return reasons with their counts and meanings, and the latest files of each."""
        return [
            (reason, self.facts.reasons[reason], REASONS.get(reason, UNKNOWN), [self._refused(one) for one in latest])
            for reason, latest in self.refusals.items()
        ]

    def _card(self, entry: Entry, note: str = "") -> Card:
        return Card(self.made.get(entry.sha256), shown(entry.name, entry.source), note)

    def _refused(self, refusal: Refusal) -> Card:
        picture = self.made.get(refusal.sha256 or "") if refusal.reason in _SHOWABLE else None
        return Card(picture, shown(refusal.name, refusal.source), printable(refusal.detail))


def _tiles(facts: Facts) -> list[tuple[int, str]]:
    """Return the page's figures and what each counts."""
    return [
        (len(facts.entries), "images taken"),
        (len(facts.groups), f"different {summary.kind(facts, len(facts.groups))}"),
        (facts.count("test"), "held out"),
        (facts.count("excluded"), "excluded"),
        (len(facts.copies), "exact copies met, not stored"),
        (facts.cropped, "borders left out"),
        (len(facts.refusals), "files refused"),
    ]


def _stored(workspace: Workspace, collection: str, entry: Entry) -> Wanted:
    return Wanted(workspace.collection(collection) / entry.file, entry.box, thumbnails.STORED)


def _side(entry: Entry) -> str:
    sides = {"train": "training", "test": "held out", "excluded": "excluded"}
    return f"{entry.width} × {entry.height} px · {sides[entry.split]}"


def _sheet(path: Path) -> str:
    """Return the contact sheet as a URI that holds it; empty if it was not made yet."""
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.is_file() else ""
