"""What became of the files of an ingested folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.intake.drops import printable
from pipeline.intake.quarantine import Refusal


@dataclass(frozen=True)
class Twin:
    """An accepted image that another collection holds too: the same bytes (`exact`), or one that looks alike."""

    name: str
    collection: str
    other_name: str
    exact: bool

    def sentence(self) -> str:
        """Return the fact in words."""
        name, other = printable(self.name), printable(self.other_name)
        if self.exact:
            return f"{name} is in {self.collection} too"
        return f"{name} looks like {other} in {self.collection}"


@dataclass(frozen=True)
class IngestResult:
    """What became of the files of a folder; accepted + duplicates + refused + left = all files.

    `refusals` and `left_names` say more; `reasons` counts refusals by code; `totals` counts the whole collection
    afterwards, see `manifest.counts`; `changed` is whether the collection is another than before.
    """

    collection: str
    accepted: int
    duplicates: int
    refused: int
    left: int
    changed: bool
    refusals: tuple[Refusal, ...] = ()
    left_names: tuple[str, ...] = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    twins: tuple[Twin, ...] = ()

    @property
    def reasons(self) -> dict[str, int]:
        """Number of refused files by reason code."""
        return dict(sorted(Counter(refusal.reason for refusal in self.refusals).items()))

    def sentence(self) -> str:
        """Return the result in words."""
        parts = [f"{self.accepted} accepted"]
        parts += [f"{self.duplicates} already there"] if self.duplicates else []
        reasons = ", ".join(f"{count} {code}" for code, count in self.reasons.items())
        parts += [f"{self.refused} refused ({reasons})"] if self.refused else []
        parts += [f"{self.left} still arriving"] if self.left else []
        return f"{self.collection}: {', '.join(parts)}; {self.totals.get('total', 0)} images in all"

    def remarks(self, most: int = 5) -> list[str]:
        """Return what a person should know besides, in sentences: images that other collections hold too."""
        said = [twin.sentence() for twin in self.twins[:most]]
        if len(self.twins) > most:
            said.append(f"and {len(self.twins) - most} more; `atelier report` shows them")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"reasons": self.reasons}

    def then(self, later: IngestResult) -> IngestResult:
        """Return the result of two folders that went to one collection, `later` the second."""
        return IngestResult(
            collection=self.collection,
            accepted=self.accepted + later.accepted,
            duplicates=self.duplicates + later.duplicates,
            refused=self.refused + later.refused,
            left=self.left + later.left,
            changed=self.changed or later.changed,
            refusals=self.refusals + later.refusals,
            left_names=self.left_names + later.left_names,
            totals=later.totals,
            twins=self.twins + later.twins,
        )
