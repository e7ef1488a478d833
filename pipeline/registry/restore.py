"""A version that an alias named and that somebody deleted by hand comes back, under a new number.

MLflow drops a version's aliases with the version and says nothing, so a model would be without champion. Who wants a
champion away rolls it back; what the journal says is what was decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.registry import checksums, journal, record, store
from pipeline.registry.change import Change, apply
from pipeline.registry.names import LASTING, SETTLER
from pipeline.registry.record import Known, Record
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


def deleted_by_hand(registry: MlflowClient, known: Record) -> list[Known]:
    """Return the versions that the journal's aliases name and that are gone from models which the registry has."""
    gone = {
        (name, number)
        for name, aliases in known.aliases.items()
        if store.exists(registry, name)
        for alias, number in aliases.items()
        if alias in LASTING and (name, number) in known.versions and store.numbered(registry, name, number) is None
    }
    return [known.versions[key] for key in sorted(gone)]


def restore_deleted(workspace: Workspace, registry: MlflowClient) -> list[str]:
    """Register anew what was deleted by hand, if its files are whole, with aliases and tags; return it in sentences.

    The caller holds the registry's lock.
    """
    known = record.read(workspace)
    return [
        _restore(workspace, registry, one, known.aliases[one.name])
        for one in deleted_by_hand(registry, known)
        if one.files and not checksums.changes(workspace, one)
    ]


def _restore(workspace: Workspace, registry: MlflowClient, one: Known, aliases: dict[str, int]) -> str:
    now = store.aliases(registry, one.name)
    wanted = [alias for alias in LASTING if aliases.get(alias) == one.version and alias not in now]
    reason = f"version {one.version} was deleted from the registry by hand"
    tags = {**one.tags, "restored_from": str(one.version)}
    kept = {"package": one.package, "model": one.model, "files": dict(one.files), "tags": tags}
    writing = journal.begin(
        workspace, "restore", one.name, of=one.version, reason=reason, by=SETTLER, package=one.package
    )
    before = store.with_digest(registry, one.name, one.package)  # made by one that was cut short
    made = before or registry.create_model_version(one.name, one.folder(workspace).as_uri(), tags=tags)
    change = Change({alias: int(made.version) for alias in wanted})
    apply(registry, one.name, change)
    # From now on the journal says of every alias that named the old number what the registry says.
    then = {**now, **change.aliases}
    moved = Change({alias: then.get(alias) for alias, number in aliases.items() if number == one.version})
    writing.note(journal.DONE, version=int(made.version), after=moved.plain(), **kept)
    return f"{one.name}: {reason}, and is back as version {made.version}: {', '.join(wanted) or 'no alias'}"
