"""Which images every version was trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.files import read_json
from pipeline.registry import store
from pipeline.registry.names import TRAINED_ON, bars
from pipeline.registry.read import models
from pipeline.workspace import PHOTOS, Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Lineage:
    """What a version was trained on, of the images that were asked about.

    aliases name the version; images are sha256s, sorted; known is False where nobody can tell, because the package is
    of before that was recorded, or is gone; barred is whether a person took the version back, or holds it.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    images: tuple[str, ...]
    known: bool
    barred: bool


def trained_on(workspace: Workspace, images: Mapping[str, Collection[str]]) -> list[Lineage]:
    """Return which of some images every registered version was trained on, model by model, oldest version first.

    Of each package one file is read and none is checked, so that hundreds of versions take seconds.

    Args:
        workspace: whose registry.
        images: collection -> sha256s. An image that was taken out of one collection says nothing about another's.

    Raises:
        RegistryLostError: the registry's database is missing or damaged.
    """
    if not store.has_registry(workspace) and store.lost(workspace) is None:
        return []
    registry = store.opened(workspace)
    return [
        _lineage(registry, one, aliases, images)
        for name, aliases in sorted(models(workspace).items())
        for one in store.versions(registry, name)
    ]


def _lineage(
    registry: MlflowClient, one: ModelVersion, aliases: Mapping[str, int], images: Mapping[str, Collection[str]]
) -> Lineage:
    number = int(one.version)
    record = _training_images(registry, one.name, number)
    if record is None and one.tags.get("style") and not {PHOTOS, one.tags["style"]} & set(images):
        record = {}  # whatever its images were, these are of another style
    used = {sha256 for name, asked in images.items() for sha256 in (record or {}).get(name, frozenset()) & set(asked)}
    return Lineage(
        name=one.name,
        version=number,
        aliases=tuple(sorted(alias for alias, at in aliases.items() if at == number)),
        images=tuple(sorted(used)),
        known=record is not None,
        barred=bool(bars(one.tags)),
    )


def _training_images(registry: MlflowClient, name: str, number: int) -> dict[str, frozenset[str]] | None:
    """Return collection -> sha256s of a version's training images; None if that is not recorded, or not readable."""
    from mlflow.exceptions import MlflowException

    try:
        record = read_json(store.package_folder(registry, name, number) / TRAINED_ON)
        return {collection: frozenset(images) for collection, images in record.items()}
    except (OSError, ValueError, TypeError, AttributeError, MlflowException):
        return None  # one broken version must not hide the others
