"""Which versions were trained on removed images, and which to go back to where a champion was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pipeline.registry import CHAMPION, PREVIOUS, Lineage


@dataclass(frozen=True)
class Advice:
    """A model with versions that were trained on removed images, or that do not say.

    champion is whether the champion is one of `affected`; back_to is the version to go back to then, None if there is
    none; by_rollback is whether that is the champion before, else it is the newest version that is not affected.
    """

    name: str
    affected: tuple[Lineage, ...]
    unknown: tuple[Lineage, ...]
    champion: bool
    back_to: int | None
    by_rollback: bool


def advise(lineages: Sequence[Lineage]) -> list[Advice]:
    """Return the models that removed images concern, in the order given.

    Args:
        lineages: of every version, by model and then by version: see `registry.trained_on`.
    """
    return [
        advice
        for name, versions in groupby(lineages, key=lambda version: version.name)
        if (advice := _of_model(name, list(versions))) is not None
    ]


def _of_model(name: str, versions: Sequence[Lineage]) -> Advice | None:
    affected = tuple(version for version in versions if version.images)
    unknown = tuple(version for version in versions if not version.known)
    if not affected and not unknown:
        return None
    champion = any(CHAMPION in version.aliases for version in affected)
    # What a person has once taken back, or holds, is no place to go back to.
    clean = [version for version in versions if version.known and not version.images and not version.barred]
    before = next((version for version in clean if PREVIOUS in version.aliases), None)
    back_to = before or (clean[-1] if clean else None)
    return Advice(
        name=name,
        affected=affected,
        unknown=unknown,
        champion=champion,
        back_to=back_to.version if champion and back_to else None,
        by_rollback=champion and before is not None,
    )
