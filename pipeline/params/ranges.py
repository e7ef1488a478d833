"""What a value of params.yaml may be, written beside its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

Tree = dict[str, Any]


@dataclass(frozen=True)
class Between:
    """An inclusive range, written beside a number's type."""

    low: float
    high: float


@dataclass(frozen=True)
class Like:
    """A regular expression for a whole text, written beside its type, and what it asks for in words."""

    pattern: str
    what: str


Sha256: TypeAlias = Annotated[
    str, Like("[0-9a-f]{8,64}", "the SHA-256 of a file, or its first 8 digits or more, in quotes")
]

Adversarial: TypeAlias = Literal["minimax", "non_saturating", "lsgan", "hinge"]
"""The adversarial losses by name, see `pipeline.losses`."""

Weight: TypeAlias = Annotated[float, Between(0, 1000)]
"""Weight of a loss; 0 leaves it out."""
