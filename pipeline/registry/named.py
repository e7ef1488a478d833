"""What the registry's versions hold on to, and which of them may go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.registry import record, store
from pipeline.registry.names import LASTING
from pipeline.registry.record import Record
from pipeline.tracking import client, trainings
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Holding:
    """One version, and what it needs."""

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run: str  # empty if it has none
    folder: Path  # where MLflow keeps it

    @property
    def git_tag(self) -> str:
        """The git tag that retrain gives to what it was made from."""
        return f"{self.name}/v{self.version}"


@dataclass(frozen=True)
class Holdings:
    """All versions of a workspace, the runs of MLflow, and the folders that belong to no version."""

    versions: tuple[Holding, ...]  # by model, oldest first
    runs: dict[str, tuple[str, str, float]]  # id -> recipe, training key, begin (seconds since 1970)
    strays: tuple[Path, ...]

    @property
    def keys(self) -> set[str]:
        """The training keys of the versions that an alias names."""
        return {self.runs[one.run][1] for one in self.versions if one.aliases and one.run in self.runs}


def holdings(workspace: Workspace) -> Holdings:
    """Return what is registered here; nothing of a workspace without registry.

    Raises:
        RegistryLostError: its database is missing or damaged, so that nobody can say what may go.
    """
    if not store.has_registry(workspace) and store.lost(workspace) is None:
        return Holdings((), {}, ())
    registry, known = store.opened(workspace), record.read(workspace)
    versions = tuple(
        Holding(
            name,
            int(one.version),
            naming(registry, known, name, int(one.version)),
            dict(one.tags),
            str(one.run_id or ""),
            store.model_folder(registry, name, int(one.version)),
        )
        for name in store.names(registry)
        for one in store.versions(registry, name)
    )
    runs = {each.run: (each.recipe, each.key, each.began) for each in trainings(workspace)}
    return Holdings(versions, runs, tuple(_strays(workspace, versions, known)))


def naming(registry: MlflowClient, known: Record, name: str, number: int) -> tuple[str, ...]:
    """Return the aliases that name a version, sorted: the registry's, and what was decided and taken away by hand."""
    named = {alias for alias, at in store.aliases(registry, name).items() if at == number}
    decided = known.aliases.get(name, {})
    return tuple(sorted(named | {alias for alias in LASTING if decided.get(alias) == number}))


def drop_run(workspace: Workspace, run: str) -> None:
    """Let MLflow mark a run as deleted; `mlflow gc` then deletes it for good."""
    client(workspace).delete_run(run)


def _strays(workspace: Workspace, versions: tuple[Holding, ...], known: Record) -> list[Path]:
    """Return the folders of the artifact store that neither a version nor the journal knows."""
    held = {one.folder for one in versions} | {one.folder(workspace) for one in known.versions.values()}
    return [
        path
        for path in sorted((workspace.artifacts / "models").glob("*/"))
        if not any(path in at.parents for at in held)
    ]
