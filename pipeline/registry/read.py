"""What the registry says, and what the journal says where the registry cannot.

Using a champion needs no database: the journal names it, and its files lie in the artifact store. So pictures are
painted while the database is lost or does not answer, or after somebody deleted the champion's version by hand.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.registry import checksums, record, store
from pipeline.registry.names import CHAMPION, RegistryLostError, Version
from pipeline.registry.record import Known, Record
from pipeline.registry.restore import deleted_by_hand
from pipeline.tracking import StoreError, answering, client
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOGGER = logging.getLogger(__name__)


def models(workspace: Workspace) -> dict[str, dict[str, int]]:
    """Return every registered model's aliases: name -> alias -> version."""
    known = record.read(workspace)
    if (why := store.lost(workspace)) is not None:
        return _told(known, f"the registry's database {why}")
    if not store.has_registry(workspace):
        return {}
    try:
        with answering(workspace):
            return _asked(client(workspace), known)
    except StoreError as error:
        return _told(known, str(error))


def _told(known: Record, why: str) -> dict[str, dict[str, int]]:
    """Return what the journal says of all models, and warn of it."""
    _LOGGER.warning("%s; what follows is from the journal (`atelier doctor`)", why)
    return {name: dict(known.aliases.get(name, {})) for name in sorted(known.names)}


def _asked(registry: MlflowClient, known: Record) -> dict[str, dict[str, int]]:
    found = {name: store.aliases(registry, name) for name in store.names(registry)}
    for one in deleted_by_hand(registry, known):
        for alias, number in known.aliases[one.name].items():
            if number == one.version:
                found[one.name].setdefault(alias, number)
    for name in sorted(known.names - set(found)):
        _LOGGER.warning("the registry does not know %s any more; the journal does (`atelier doctor`)", name)
        found[name] = dict(known.aliases.get(name, {}))
    return found


def aliases_of(workspace: Workspace, name: str) -> dict[str, int]:
    """Return alias -> version of a model; empty when there is no such model."""
    return models(workspace).get(name, {})


def champion(workspace: Workspace, name: str) -> Version | None:
    """Return the champion with its package checked, or None when the model has none (or does not exist)."""
    return aliased(workspace, name, CHAMPION)


def aliased(workspace: Workspace, name: str, alias: str) -> Version | None:
    """Return the version that an alias names, its package checked, or None.

    Raises:
        RegistryError: the package is damaged or missing.
    """
    number = aliases_of(workspace, name).get(alias)
    return None if number is None else version_of(workspace, name, number)


def version_of(workspace: Workspace, name: str, number: int) -> Version:
    """Return one version, its package checked.

    Raises:
        RegistryError: there is no such model or version, or its package is damaged.
        StoreError: the database does not answer, and the journal does not tell where the version lies.
    """
    known = record.read(workspace).versions.get((name, number))
    recorded = known if known is not None and known.model else None
    if store.lost(workspace) is not None:
        if recorded is None:
            store.opened(workspace)  # says what is wrong with it
            raise RegistryLostError(f"the journal does not tell where {name} version {number} lies")
        return _recorded(workspace, recorded)
    try:
        with answering(workspace):
            registry = client(workspace)
            if recorded is None or store.numbered(registry, name, number) is not None:
                return store.found(workspace, registry, name, number)
    except StoreError:
        if recorded is None:
            raise
    return _recorded(workspace, recorded)


def _recorded(workspace: Workspace, known: Known) -> Version:
    directory = known.directory(workspace)
    checksums.check_package(known, directory, known.package)
    return Version(known.name, known.version, known.package, dict(known.tags), directory)
