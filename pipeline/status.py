"""What a workspace holds: images by collection, recipes, champions, and what is stale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.manifest import counts, read_manifest
from pipeline.plan import RecipePlan, plan
from pipeline.recipes import load_book
from pipeline.workspace import PHOTOS, Workspace


@dataclass(frozen=True)
class Collection:
    """How many images a collection has, by split, and how many files were refused."""

    name: str
    train: int
    test: int
    excluded: int
    quarantined: int


@dataclass(frozen=True)
class RecipeStatus:
    """A recipe, the versions its aliases name, and why it would be built again (empty: current)."""

    name: str
    method: str
    style: str
    aliases: Mapping[str, int]
    why: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """Everything that `atelier status` shows."""

    workspace: str
    photos: Collection
    styles: tuple[Collection, ...]
    recipes: tuple[RecipeStatus, ...]
    unknown: str
    """Why DVC could not say what is stale; empty if it could."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def status(workspace: Workspace) -> Status:
    """Return the state of a workspace. Nothing is changed.

    Raises:
        ValueError: recipes.yaml, a manifest or the registry is damaged.
    """
    book = load_book(workspace)
    plans, unknown = _plans(workspace)
    aliases = _aliases(workspace)
    recipes = tuple(
        RecipeStatus(name, recipe.method, " + ".join(recipe.styles), aliases.get(name, {}), plans.get(name, ()))
        for name, recipe in book.recipes.items()
    )
    styles = tuple(collection(workspace, style) for style in book.styles)
    return Status(str(workspace.root), collection(workspace, PHOTOS), styles, recipes, unknown)


def collection(workspace: Workspace, name: str) -> Collection:
    """Return the counts of one collection; zeros if it is not there yet."""
    found = counts(read_manifest(workspace.collection(name)))
    refused = workspace.quarantine(name) / "quarantine.jsonl"
    quarantined = len(refused.read_text(errors="replace").splitlines()) if refused.is_file() else 0
    return Collection(name, found["train"], found["test"], found["excluded"], quarantined)


def _plans(workspace: Workspace) -> tuple[dict[str, tuple[str, ...]], str]:
    try:
        plans: list[RecipePlan] = plan(workspace)
    except ValueError as error:
        return {}, str(error)
    return {each.recipe: each.kinds for each in plans}, ""


def _aliases(workspace: Workspace) -> Mapping[str, Mapping[str, int]]:
    if not (workspace.var / "mlflow.db").is_file():
        return {}  # before anything was registered, mlflow need not even be imported
    from pipeline.registry import models

    return models(workspace)
