"""A version is given up: its place in the registry and its files. Never one that an alias names."""

from __future__ import annotations

from pipeline.registry import journal, record, store
from pipeline.registry.named import naming
from pipeline.registry.names import RegistryError
from pipeline.registry.settling import changing
from pipeline.registry.steps import complete_deletion
from pipeline.workspace import Workspace


def delete(workspace: Workspace, name: str, number: int, reason: str, by: str) -> None:
    """Delete a version and its files from registry and artifact store; the journal goes on telling of it.

    Raises:
        RegistryError: there is no such model or version, or an alias names it.
    """
    with changing(workspace, name) as registry:
        aliases = store.aliases(registry, name)
        if named := naming(registry, record.read(workspace), name, number):
            raise RegistryError(
                f"{name} version {number} is the {' and '.join(named)}, and what an alias names is not deleted; "
                f"promote another version first (`atelier promote {name} VERSION --reason ...`)"
            )
        if store.numbered(registry, name, number) is None:
            raise RegistryError(f"model {name!r} has no version {number} (aliases: {aliases or 'none'})")
        folder = store.model_folder(registry, name, number)
        inside = folder.is_relative_to(workspace.artifacts)
        model = folder.relative_to(workspace.artifacts).as_posix() if inside else ""
        writing = journal.begin(workspace, "delete", name, version=number, model=model, reason=reason, by=by)
        complete_deletion(workspace, registry, writing, name, number, model)
