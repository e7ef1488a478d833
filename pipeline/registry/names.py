"""What the registry speaks of: aliases, tags that bar a version, a version, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

CHAMPION, CHALLENGER, PREVIOUS, ANCHOR = "champion", "challenger", "previous", "anchor"
LASTING = (CHAMPION, PREVIOUS, ANCHOR)  # what was decided; a challenger may go
# Tags that bar a version from promotion by the gate until a person promotes it: why it was taken back, or held.
ROLLED_BACK, HELD = "rolled_back", "held"
_BARS: Mapping[str, str] = MappingProxyType({ROLLED_BACK: "was rolled back", HELD: "is held"})
GATE = "gate"  # who promotes when the flow does; anybody else is a person, and only persons move the anchor
SETTLER = "settle"  # who finishes or takes back what was cut short
TRAINED_ON = "trained_on.json"  # as the package stage writes it, whose module brings torch
LONGEST_TAG = 4000  # characters; the journal has all of a reason


class RegistryError(ValueError):
    """A model or version that is not there, or is not what it was when it was registered."""


class RegistryLostError(RegistryError):
    """The registry's database is missing or damaged, and the workspace knows that there was one."""


@dataclass(frozen=True)
class Version:
    """One version of a registered model, its package lying in the artifact store."""

    name: str
    version: int
    package: str  # digest
    tags: Mapping[str, str]
    directory: Path


def bars(tags: Mapping[str, str]) -> dict[str, str]:
    """Return which tags bar a version from promotion by the gate, and the reason in each."""
    return {mark: tags[mark] for mark in _BARS if mark in tags}


def barred(one: Version) -> str | None:
    """Return why the gate does not promote a version whatever it finds, as `is held (reason)`, or None."""
    return " and ".join(f"{_BARS[mark]} ({reason})" for mark, reason in bars(one.tags).items()) or None
