"""A metrics.json, or a comparison with another model, read with suspicion: what is no finite number is None."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Tree: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it for a sentence."""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


class ScoreSheet:
    """Figures by name. Nothing raises: what is missing, or no number, is None."""

    def __init__(self, tree: Tree) -> None:
        """Keep the tree as it was read."""
        self._tree = tree

    @property
    def task(self) -> str:
        """What the model is for; sheets of before there were other tasks say nothing of it."""
        return str(self._tree.get("task", "stylize"))

    @property
    def restores(self) -> str:
        """What a model that restores pictures was trained to undo."""
        return str(self._tree.get("restores", ""))

    def codes(self) -> tuple[str, ...] | None:
        """Return the names of the codes of a model that makes images: `k1` is categorical, `c1` a number.

        None where nothing says whether it has any.
        """
        found = self._tree.get("codes")
        return tuple(map(str, found)) if isinstance(found, list | tuple) else None

    def grades(self) -> tuple[str, ...]:
        """Return the grades of damage that a model that restores was scored on, or compared on."""
        found = self._tree.get("grades")
        return tuple(map(str, found)) if isinstance(found, list | tuple | Mapping) else ()

    def of_grade(self, grade: str) -> ScoreSheet:
        """Return what a comparison found on one grade of damage alone."""
        found = _at(self._tree, "grades", grade)
        return ScoreSheet(found if isinstance(found, Mapping) else {})

    def has(self, name: str) -> bool:
        """Return whether the model has an entry of that name, whatever is in it."""
        return name in self.names()

    def names(self, control: str | None = None) -> tuple[str, ...]:
        """Return the names of the entries of the model, or of a control."""
        return _keys(self._tree, "metrics") if control is None else _keys(self._tree, "controls", control)

    def controls(self) -> tuple[str, ...]:
        """Return the names of the controls."""
        return _keys(self._tree, "controls")

    def value(self, name: str, control: str | None = None) -> float | None:
        """Return a figure of the model, or of a control."""
        return _number(_at(self._tree, *_place(control), name, "value"))

    def estimate(self, name: str, control: str | None = None) -> Estimate | None:
        """Return a figure of the model, or of a control, with its interval."""
        return _estimate(_at(self._tree, *_place(control), name))

    def without_interval(self, name: str) -> bool:
        """Return whether a figure of the model is given as one that has no interval: both bounds None."""
        entry = _at(self._tree, "metrics", name)
        return isinstance(entry, Mapping) and {"low", "high"} <= set(entry) and entry["low"] is entry["high"] is None

    def pairs(self) -> tuple[str, ...]:
        """Return which differences there are: `photograph - model` and so on."""
        return _keys(self._tree, "differences")

    def difference(self, pair: str, name: str) -> Estimate | None:
        """Return a paired difference with its interval."""
        return _estimate(_at(self._tree, "differences", pair, name))

    def check(self, name: str) -> float | None:
        """Return one of the plain facts about the outputs."""
        return _number(_at(self._tree, "checks", name))

    def count(self, kind: str) -> int | None:
        """Return how many held-out images of a kind there were."""
        count = _at(self._tree, "counts", kind)
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    def observers(self) -> Mapping[str, Any] | None:
        """Return which networks looked, None where that is not noted."""
        found = self._tree.get("observers")
        return found if isinstance(found, Mapping) else None


def _place(control: str | None) -> tuple[str, ...]:
    return ("metrics",) if control is None else ("controls", control)


def _keys(tree: Tree, *path: str) -> tuple[str, ...]:
    found = _at(tree, *path)
    return tuple(found) if isinstance(found, Mapping) else ()


def _at(tree: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def _estimate(entry: Any) -> Estimate | None:
    value, low, high = (_number(_at(entry, part)) for part in ("value", "low", "high"))
    if value is None or low is None or high is None or not low <= value <= high:
        return None
    return Estimate(value, low, high)


def _number(value: Any) -> float | None:
    """Return a finite number as float; None for anything else (JSON's true is a number in Python)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON's integers have any length
        return None
    return number if math.isfinite(number) else None
