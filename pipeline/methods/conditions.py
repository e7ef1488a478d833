"""What a method may be told besides its input: typed values, each declared by the methods that take it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """What all conditions are: frozen, with tensors that have one row an image."""


@dataclass(frozen=True)
class NoCondition(Condition):
    """Nothing is asked for: the method's own choice."""


NOTHING = NoCondition()
