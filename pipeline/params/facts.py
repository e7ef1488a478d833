"""What a person wants to know of a method before choosing it. Nothing here brings torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Task: TypeAlias = Literal["stylize", "generate", "restore"]
"""What a model is for; everything around a method asks for it, and nothing asks for the method's name."""


@dataclass(frozen=True)
class Facts:
    """What a person wants to know of a method before choosing it, and what a recipe of it learns from."""

    task: Task
    photographs: bool  # whether it learns from photographs beside the artworks
    what: str
    cost: str
    needs: str
    choose: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """What a new recipe of it overrides: published settings of what all methods share. There they can be read."""
    reference: bool = False  # whether it paints after a reference picture, so that a recipe may have several styles
