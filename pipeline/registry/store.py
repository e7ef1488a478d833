"""MLflow's side of the registry: opened only when it is whole, changed only under one lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from pipeline import databases
from pipeline.registry import record
from pipeline.registry.names import UNDER_WAY, RegistryError, RegistryLostError, Version
from pipeline.tracking import client, store_lock
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LOCK = "registry"
_PAGE = 1000  # registered models in one answer


def database(workspace: Workspace) -> Path:
    """Return where MLflow's database lies."""
    return workspace.var / "mlflow.db"


def has_registry(workspace: Workspace) -> bool:
    """Return whether anything was ever tracked or registered here; asking makes no database."""
    return database(workspace).is_file()


def lost(workspace: Workspace) -> str | None:
    """Return what is wrong with the database if it cannot be used, or None; where there never was one, that is right.

    An empty or missing file is not made anew when the journal tells of versions: MLflow would begin with version 1.
    """
    why = databases.trouble(database(workspace))
    if why in ("is missing", "is empty") and not record.read(workspace).versions:
        return None
    return why


def opened(workspace: Workspace) -> MlflowClient:
    """Return a client of the registry.

    Raises:
        RegistryLostError: its database is missing or damaged.
    """
    if why := lost(workspace):
        raise RegistryLostError(
            f"the registry's database {database(workspace)} {why}; bring it back with `atelier restore DIR` from a "
            f"backup, or make it anew with `atelier registry rebuild`"
        )
    return client(workspace)


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Hold the lock under which alone the registry and its journal are changed."""
    with store_lock(workspace, LOCK):
        yield


def exists(store: MlflowClient, name: str) -> bool:
    """Return whether there is a registered model of this name."""
    from mlflow.exceptions import MlflowException

    try:
        store.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def aliases(store: MlflowClient, name: str) -> dict[str, int]:
    """Return alias -> version of a model.

    Raises:
        RegistryError: there is no such model.
    """
    if not exists(store, name):
        known = ", ".join(names(store)) or "none yet"
        raise RegistryError(f"no registered model named {name!r}; known: {known}")
    # Not from search_model_versions: it returns no aliases.
    return {alias: int(number) for alias, number in store.get_registered_model(name).aliases.items()}


def names(store: MlflowClient) -> list[str]:
    """Return the names of all registered models, sorted."""
    return sorted(model.name for model in store.search_registered_models(max_results=_PAGE))


def under_way(store: MlflowClient) -> set[str]:
    """Return the models of which a rebuild is under way, or was cut short: what the registry says of them is half."""
    return {model.name for model in store.search_registered_models(max_results=_PAGE) if UNDER_WAY in model.tags}


def with_digest(store: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """Return the version of a model that holds the package of this digest."""
    found = store.search_model_versions(f"name = '{name}' and tags.package = '{digest}'", max_results=1)
    return found[0] if found else None


def versions(store: MlflowClient, name: str) -> list[ModelVersion]:
    """Return all versions of a model, oldest first; none of a model that is not there."""
    page = store.search_model_versions(f"name = '{name}'")
    found = list(page)
    while page.token:
        page = store.search_model_versions(f"name = '{name}'", page_token=page.token)
        found += page
    return sorted(found, key=lambda one: int(one.version))


def numbered(store: MlflowClient, name: str, number: int) -> ModelVersion | None:
    """Return a version by its number, or None when there is none, or none any more."""
    from mlflow.exceptions import MlflowException

    try:
        return store.get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def model_folder(store: MlflowClient, name: str, number: int) -> Path:
    """Return where MLflow keeps a version: code, signature and package. The store is local, so nothing is copied."""
    return local_path(store.get_model_version_download_uri(name, str(number)))


def local_path(uri: str) -> Path:
    """Return the path of a `file:` address, or of a plain path."""
    return Path(unquote(urlparse(uri).path))


def package_folder(store: MlflowClient, name: str, number: int) -> Path:
    """Return where a version's package lies.

    Raises:
        RegistryError: it is not there.
    """
    model = model_folder(store, name, number)
    package = model / "artifacts" / name
    if not package.is_dir():
        raise RegistryError(
            f"the files of {name} version {number} are missing from {model}; restore var/ from a backup, "
            f"or run `atelier rollback {name} --reason ...`"
        )
    return package


def set_aliases(store: MlflowClient, name: str, wanted: Mapping[str, int | None]) -> None:
    """Let aliases name the versions of `wanted`, and nothing where that is None; those that do so stay."""
    there = store.get_registered_model(name).aliases
    for alias, number in wanted.items():
        if number is None and alias in there:
            store.delete_registered_model_alias(name, alias)
        elif number is not None and there.get(alias) != str(number):
            store.set_registered_model_alias(name, alias, str(number))


def set_tags(store: MlflowClient, name: str, number: int, wanted: Mapping[str, str | None]) -> None:
    """Give a version the tags of `wanted`, and take away those that are None; those that are so already stay."""
    there = store.get_model_version(name, str(number)).tags
    for key, text in wanted.items():
        if text is None and key in there:
            store.delete_model_version_tag(name, str(number), key)
        elif text is not None and there.get(key) != text:
            store.set_model_version_tag(name, str(number), key, text)


def found(workspace: Workspace, store: MlflowClient, name: str, number: int) -> Version:
    """Return one version, its package checked against the workspace's own record.

    Raises:
        RegistryError: there is no such model or version, or its package is damaged or another one.
    """
    from pipeline.registry import checksums

    known = aliases(store, name)
    one = numbered(store, name, number)
    if one is None:
        raise RegistryError(f"model {name!r} has no version {number} (aliases: {known or 'none'})")
    digest = str(one.tags.get("package", ""))
    directory = package_folder(store, name, number)
    checksums.check_package(record.read(workspace).versions.get((name, number)), directory, digest)
    return Version(name, number, digest, dict(one.tags), directory)
