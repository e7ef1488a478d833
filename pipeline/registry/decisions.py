"""What a person decides about a model's versions, and how it is told in words."""

from __future__ import annotations

from pipeline.registry import promotion
from pipeline.registry.names import CHALLENGER, RegistryError
from pipeline.registry.read import aliases_of
from pipeline.workspace import Workspace

_NONE = "no reason given"


def promote(workspace: Workspace, name: str, version: int | None, reason: str, by: str) -> str:
    """Make a version (the challenger, if none is named) the champion and the anchor; return that in words.

    Raises:
        RegistryError: see `pipeline.registry.promotion.promote`.
    """
    number = _challenger(workspace, name) if version is None else version
    moved = promotion.promote(workspace, name, number, reason or _NONE, by)
    return f"{name} version {number} is {'now' if moved else 'already'} the champion"


def rollback(workspace: Workspace, name: str, reason: str, by: str) -> str:
    """Make the champion before this one the champion again; return that in words.

    Raises:
        RegistryError: see `pipeline.registry.promotion.rollback`.
    """
    restored = promotion.rollback(workspace, name, reason or _NONE, by)
    return f"{name} version {restored.version} is the champion again"


def hold(workspace: Workspace, name: str, version: int | None, reason: str, by: str) -> str:
    """Keep a version (the challenger, if none is named) from being promoted by the gate; return that in words.

    Raises:
        RegistryError: see `pipeline.registry.promotion.hold`.
    """
    number = _challenger(workspace, name) if version is None else version
    promotion.hold(workspace, name, number, reason or _NONE, by)
    return f"{name} version {number} is held: only a person promotes it"


def _challenger(workspace: Workspace, name: str) -> int:
    aliases = aliases_of(workspace, name)
    if CHALLENGER not in aliases:
        raise RegistryError(f"model {name!r} has no challenger; name a version")
    return aliases[CHALLENGER]
