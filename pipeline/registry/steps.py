"""The last steps of registering and of deleting, by whoever began or by whoever finds them cut short."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.registry import journal, record, store
from pipeline.registry.change import Change, apply
from pipeline.registry.journal import Operation, Writing
from pipeline.registry.named import naming
from pipeline.registry.names import CHALLENGER
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def complete_registration(
    workspace: Workspace, registry: MlflowClient, writing: Writing, name: str, checked: Mapping[str, Any]
) -> int:
    """Make the version of a model that lies in the artifact store, if it is not made yet, and the challenger of it.

    Args:
        workspace: where.
        registry: a client; the lock is held.
        writing: the operation.
        name: registered model.
        checked: what the line `checked` says: `package`, `model`, `model_id`, `run`, `tags`.

    Returns:
        The version's number.
    """
    if not store.exists(registry, name):
        registry.create_registered_model(name)
    made = store.with_digest(registry, name, checked["package"]) or _make(workspace, registry, name, checked)
    number = int(made.version)
    challenger = Change({CHALLENGER: number})
    apply(registry, name, challenger)
    writing.note(journal.DONE, version=number, after=challenger.plain())
    return number


def _make(workspace: Workspace, registry: MlflowClient, name: str, checked: Mapping[str, Any]) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    identity, tags = checked["model_id"], checked["tags"]
    try:
        registry.get_logged_model(identity)
    except MlflowException:  # its database was lost meanwhile; the files are there
        return registry.create_model_version(name, (workspace.artifacts / checked["model"]).as_uri(), tags=tags)
    source = f"models:/{identity}"
    return registry.create_model_version(name, source, run_id=checked["run"], model_id=identity, tags=tags)


def finish_registration(workspace: Workspace, registry: MlflowClient, operation: Operation) -> str:
    """Finish a registration that was cut short, or abandon one of which nothing is there; return that in words."""
    name, writing = operation.name, journal.resume(workspace, operation)
    if operation.phase == journal.INTENT:
        writing.note(journal.ABANDONED, why="it was cut short before the package was in the store")
        return f"registering a package of {name} was cut short; the next retrain does it again"
    number = complete_registration(workspace, registry, writing, name, operation.entry)
    return f"registering {name} version {number}, which was cut short, is done"


def complete_deletion(
    workspace: Workspace, registry: MlflowClient, writing: Writing, name: str, number: int, model: str
) -> None:
    """Delete a version and its files, but files that another version has too.

    Args:
        workspace: where.
        registry: a client; the lock is held.
        writing: the operation.
        name: registered model.
        number: version.
        model: where MLflow keeps it, relative to the artifact store.
    """
    if store.numbered(registry, name, number) is not None:
        registry.delete_model_version(name, str(number))
    others = {one.model for key, one in record.read(workspace).versions.items() if key != (name, number)}
    if model and model not in others:
        folder = workspace.artifacts / model
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # models/<id>/, in which nothing is left
            folder.parent.rmdir()
    writing.note(journal.DONE)


def finish_deletion(workspace: Workspace, registry: MlflowClient, operation: Operation) -> str:
    """Finish a deletion that was cut short, and say so; if an alias names the version by now, abandon it."""
    number, name = operation.version, operation.name
    assert number is not None
    writing = journal.resume(workspace, operation)
    if store.exists(registry, name) and naming(registry, record.read(workspace), name, number):
        writing.note(journal.ABANDONED, why="an alias names it")
        return f"deleting {name} version {number} was cut short, and is not done: an alias names it"
    complete_deletion(workspace, registry, writing, name, number, str(operation.entry["model"]))
    return f"deleting {name} version {number}, which was cut short, is done"
