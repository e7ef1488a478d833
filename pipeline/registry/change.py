"""What an operation makes of a model's aliases and tags, written down before it is done: anybody can finish it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.registry import journal, store
from pipeline.registry.journal import Writing
from pipeline.registry.names import RegistryError, Version
from pipeline.registry.trial import try_out
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Change:
    """Alias -> version, and version -> tag -> text; None where there shall be nothing."""

    aliases: Mapping[str, int | None] = field(default_factory=dict)
    tags: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Change:
        """Return the change that stands in a line of the journal."""
        return cls(plain["aliases"], {int(number): tags for number, tags in plain["tags"].items()})

    def plain(self) -> dict[str, Any]:
        """Return it as the journal has it."""
        tags = {str(number): dict(texts) for number, texts in self.tags.items()}
        return {"aliases": dict(self.aliases), "tags": tags}


def present(registry: MlflowClient, name: str, change: Change) -> Change:
    """Return what is there now, of what a change is about: applying that undoes it."""
    aliases = store.aliases(registry, name)
    tags = {}
    for number, wanted in change.tags.items():
        one = store.numbered(registry, name, number)
        tags[number] = {key: one.tags.get(key) if one else None for key in wanted}
    return Change({alias: aliases.get(alias) for alias in change.aliases}, tags)


def apply(registry: MlflowClient, name: str, change: Change) -> None:
    """Make it so, tags first: whoever sees a new champion sees the reason too. Doing it twice does nothing more.

    What is about a version that is no longer there is left out.
    """
    for number, tags in change.tags.items():
        if store.numbered(registry, name, number) is not None:
            store.set_tags(registry, name, number, tags)
    there = {
        alias: number
        for alias, number in change.aliases.items()
        if number is None or store.numbered(registry, name, number) is not None
    }
    store.set_aliases(registry, name, there)


def carry_out(
    workspace: Workspace, registry: MlflowClient, writing: Writing, name: str, change: Change, tried: Version | None
) -> None:
    """Check, write down, do, confirm.

    Args:
        workspace: whose registry.
        registry: its client; the lock is held.
        writing: the operation, of which the intent is written.
        name: registered model.
        change: what to do.
        tried: the version that must work; None where none is put to use.

    Raises:
        RegistryError: it does not; nothing was changed.
    """
    try:
        if tried is not None:
            try_out(workspace, tried)
    except RegistryError as error:
        writing.note(journal.ABANDONED, why=str(error))
        raise
    writing.note(journal.CHECKED, before=present(registry, name, change).plain(), after=change.plain())
    apply(registry, name, change)
    writing.note(journal.DONE)
