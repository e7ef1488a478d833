"""What is wrong with the registry, as far as it can be seen, and what to do about it. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.registry import checksums, journal, record, store
from pipeline.registry.names import CHAMPION, LASTING, RegistryError
from pipeline.registry.record import Known, Record
from pipeline.registry.restore import deleted_by_hand
from pipeline.tracking import client
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REBUILD = "`atelier registry rebuild`"


@dataclass(frozen=True)
class Problem:
    """What is wrong, whether a model cannot be used because of it, and what to do."""

    detail: str
    grave: bool
    remedy: str


def problems(workspace: Workspace) -> Iterator[Problem]:
    """Yield what is wrong: champions deleted by hand or changed, operations cut short, gaps in the record."""
    known = record.read(workspace)
    if (lines := journal.damaged_lines(workspace)) > 0:
        what = f"{lines} line(s) of {journal.journal_file(workspace)} cannot be read"
        yield Problem(what, False, "compare it with a backup's (`atelier backup`); the other lines count")
    for operation in journal.operations(workspace):
        if operation.open:
            what = f"{operation.action} of {operation.name} version {operation.version} was cut short"
            yield Problem(what, False, "nothing: the next `atelier retrain`, promotion or rollback settles it")
    if (why := store.lost(workspace)) is not None:
        remedy = f"`atelier restore DIR` from a backup, or {_REBUILD}; champions can be used meanwhile"
        yield Problem(f"the registry's database {store.database(workspace)} {why}", True, remedy)
        return
    if store.has_registry(workspace):
        yield from _against_registry(workspace, client(workspace), known)


def _against_registry(workspace: Workspace, registry: MlflowClient, known: Record) -> Iterator[Problem]:
    there = store.names(registry)
    for name in sorted(known.names - set(there)):
        yield Problem(
            f"the registry does not know model {name} any more", True, f"`atelier restore DIR`, or {_REBUILD}"
        )
    for one in deleted_by_hand(registry, known):
        yield _deleted(workspace, one, known)
    for name in there:
        yield from _of_model(workspace, registry, name, known)


def _deleted(workspace: Workspace, one: Known, known: Record) -> Problem:
    named = " and ".join(alias for alias in LASTING if known.aliases[one.name].get(alias) == one.version)
    what = f"{one.name} version {one.version}, the {named}, was deleted from the registry by hand"
    if one.files and not checksums.changes(workspace, one):
        remedy = (
            f"its files are whole, so {_REBUILD} (or the next retrain) brings it back under a new number; if it is "
            f"to go, `atelier rollback {one.name} --reason ...`, or promote another"
        )
    else:
        remedy = f"its files are gone too: `atelier promote {one.name} VERSION --reason ...`, or restore a backup"
    return Problem(what, True, remedy)


def _of_model(workspace: Workspace, registry: MlflowClient, name: str, known: Record) -> Iterator[Problem]:
    aliases = store.aliases(registry, name)
    recorded = known.aliases.get(name, {}).get(CHAMPION)
    if recorded is not None and CHAMPION not in aliases and store.numbered(registry, name, recorded) is not None:
        yield Problem(
            f"{name} has no champion: somebody took the alias from version {recorded} by hand",
            True,
            f"`atelier promote {name} VERSION --reason ...`",
        )
    elif recorded is not None and aliases.get(CHAMPION, recorded) != recorded:
        yield Problem(
            f"the champion of {name} is version {aliases[CHAMPION]}, and the journal says {recorded}: moved by hand",
            False,
            f'make it a decision: `atelier promote {name} {aliases[CHAMPION]} --reason "..."`',
        )
    for alias, number in sorted(aliases.items()):
        if (why := _changed(workspace, registry, name, number, known)) is not None:
            remedy = f"`atelier rollback {name} --reason ...`, or restore var/ from a backup"
            yield Problem(f"{name} version {number} ({alias}): {why}", alias == CHAMPION, remedy)
    numbers = [int(one.version) for one in store.versions(registry, name)]
    if unrecorded := [number for number in numbers if (name, number) not in known.versions]:
        what = f"{name}: of version(s) {', '.join(map(str, unrecorded))} no checksums were recorded"
        yield Problem(what, False, f"{_REBUILD} records what lies in the artifact store now")


def _changed(workspace: Workspace, registry: MlflowClient, name: str, number: int, known: Record) -> str | None:
    try:
        store.found(workspace, registry, name, number)
    except RegistryError as error:
        return str(error)
    one = known.versions.get((name, number))
    changes = checksums.changes(workspace, one) if one is not None else []
    return f"not as it was registered: {', '.join(changes[:3])}" if changes else None
