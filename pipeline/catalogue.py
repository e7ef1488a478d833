"""Which methods there are, for what, and when to choose them. Facts alone: nothing here brings torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.params.facts import Facts, Task
from pipeline.params.methods import SECTIONS

__all__ = ["METHODS", "Facts", "Task", "does", "facts_of", "require_task"]

_DOES: Mapping[str, str] = MappingProxyType(
    {
        "stylize": "repaints photographs (`atelier stylize`)",
        "generate": "makes images out of noise (`atelier generate`)",
        "restore": "restores damaged pictures (`atelier repair`)",
    }
)


METHODS: Mapping[str, Facts] = MappingProxyType({name: section.facts for name, section in SECTIONS.items()})
"""What each method says of itself, see `pipeline.params.methods`."""


def facts_of(method: str) -> Facts:
    """Return the facts of a method.

    Raises:
        ValueError: no method has that name.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")
    return METHODS[method]


def does(task: str) -> str:
    """Return what a model of a task does, as the end of a sentence about it."""
    return _DOES.get(task, f"is for the task {task!r}, which this version does not know")


def require_task(what: str, task: str, wanted: Task) -> None:
    """Return when something of a task is asked for just that.

    Args:
        what: how to speak of it: `method 'cut'`, `the package models/monet`.
        task: its own.
        wanted: what it is asked for.

    Raises:
        ValueError: that is another task.
    """
    if task != wanted:
        raise ValueError(f"{what} {does(task)}; it cannot do the task {wanted!r}: choose one that {does(wanted)}")
