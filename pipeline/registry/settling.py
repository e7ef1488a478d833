"""What was cut short is finished or taken back before anything else is changed: a crash leaves nothing half done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.registry import journal, record, store
from pipeline.registry.change import Change, apply
from pipeline.registry.journal import Operation
from pipeline.registry.names import CHAMPION, HELD, RegistryError, RegistryLostError
from pipeline.registry.restore import restore_deleted
from pipeline.registry.steps import finish_deletion, finish_registration
from pipeline.registry.trial import try_out
from pipeline.tracking import answering
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


@contextmanager
def changing(workspace: Workspace, name: str | None = None) -> Iterator[MlflowClient]:
    """Hold the registry's lock, settle what was cut short, and yield a client to change it with.

    Args:
        workspace: whose registry.
        name: the model that is about to be changed.

    Raises:
        RegistryLostError: the database is missing or damaged, or lacks a model that the journal tells of.
        StoreError: the database does not answer; what had begun is settled by the next change.
    """
    with answering(workspace), store.locked(workspace):
        registry = store.opened(workspace)
        settle_all(workspace, registry)
        if name in record.read(workspace).names and not store.exists(registry, name or ""):
            raise RegistryLostError(
                f"the registry does not know model {name!r}, of which the journal tells; if nobody deleted it on "
                f"purpose its database was lost: `atelier restore DIR`, or `atelier registry rebuild`"
            )
        yield registry


def settle(workspace: Workspace) -> list[str]:
    """Finish or take back what was cut short, and restore what was deleted by hand; return that in sentences.

    Raises:
        RegistryLostError: the database is missing or damaged.
    """
    if not store.has_registry(workspace) and store.lost(workspace) is None:
        return []
    with answering(workspace), store.locked(workspace):
        return settle_all(workspace, store.opened(workspace))


def settle_all(workspace: Workspace, registry: MlflowClient) -> list[str]:
    """Do what `settle` does; the caller holds the registry's lock."""
    said = [_settle(workspace, registry, operation) for operation in journal.operations(workspace) if operation.open]
    return said + restore_deleted(workspace, registry)


def _settle(workspace: Workspace, registry: MlflowClient, operation: Operation) -> str:
    if operation.action == "register":
        return finish_registration(workspace, registry, operation)
    if operation.action == "delete":
        return finish_deletion(workspace, registry, operation)
    number = operation.version or operation.entry.get("of")
    what = f"{operation.action} of {operation.name} version {number}, which was cut short"
    problem = _problem(workspace, registry, operation)
    writing = journal.resume(workspace, operation)
    if problem is None:
        if "after" in operation.entry:
            apply(registry, operation.name, Change.of(operation.entry["after"]))
        writing.note(journal.DONE)
        return f"{what}, is done"
    if "before" in operation.entry and store.exists(registry, operation.name):
        apply(registry, operation.name, Change.of(operation.entry["before"]))
    writing.note(journal.ABANDONED, why=problem)
    return f"{what}, was taken back: {problem}"


def _problem(workspace: Workspace, registry: MlflowClient, operation: Operation) -> str | None:
    """Return why an operation is not to be finished, or None."""
    name, number = operation.name, operation.version
    if "id" not in operation.entry:
        return _problem_of_old(registry, operation)
    if operation.phase == journal.INTENT:
        return "nothing had been changed yet"
    if number is None or store.numbered(registry, name, number) is None:
        return f"version {number} is no longer there"
    after, before = (Change.of(operation.entry[key]).aliases for key in ("after", "before"))
    if CHAMPION not in after:
        return None
    now = store.aliases(registry, name).get(CHAMPION)
    if now not in (after[CHAMPION], before[CHAMPION], None):
        return f"somebody made version {now} the champion meanwhile"
    if now != number:
        try:
            try_out(workspace, store.found(workspace, registry, name, number))
        except RegistryError as error:
            return str(error)
    return None


def _problem_of_old(registry: MlflowClient, operation: Operation) -> str | None:
    """Return whether an operation of before outcomes were recorded came through: did its last step happen?"""
    number = operation.version
    one = store.numbered(registry, operation.name, number) if number is not None else None
    if operation.action == "hold":
        return None if one is not None and HELD in one.tags else "its mark was not set"
    if one is None or store.aliases(registry, operation.name).get(CHAMPION) != number:
        return "the champion had not been changed"
    return None
