"""Whether a recipe that is stale is due: enough new pictures, or one that has waited long, or another good reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pipeline.clock import Moment, now
from pipeline.files import read_json
from pipeline.intake import tombstones
from pipeline.manifest import Entry, read_manifest
from pipeline.params import Retrain, load_params
from pipeline.plan import RecipePlan
from pipeline.recipes import Recipe, load_book
from pipeline.workspace import Workspace

_DAY = 86_400.0  # seconds
_TRAINED_ON = "trained_on.json"  # as the package stage writes it, whose module brings torch

State = Literal["current", "due", "waits"]


@dataclass(frozen=True)
class Dueness:
    """Whether a retrain that nobody asked for by name builds a recipe, and why (not), in words.

    new counts the pictures that came since its last build; oldest_days tells how long the oldest of them has waited.
    """

    recipe: str
    state: State
    why: str
    new: int = 0
    oldest_days: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def dueness(workspace: Workspace, plans: Sequence[RecipePlan], here: Moment | None = None) -> dict[str, Dueness]:
    """Return for every recipe whether it is due.

    Args:
        workspace: whose recipes.
        plans: what is stale, see `pipeline.plan.plan`.
        here: this moment.

    Raises:
        ValueError: parameters, recipes or a manifest are wrong.
    """
    settings, book = load_params(workspace.params_file).retrain, load_book(workspace)
    moment = here or now()
    return {each.recipe: _of(workspace, book.recipe(each.recipe), each, settings, moment) for each in plans}


def _of(workspace: Workspace, recipe: Recipe, plan: RecipePlan, settings: Retrain, here: Moment) -> Dueness:
    name, kinds = recipe.name, set(plan.kinds)
    if not plan.stale:
        return Dueness(name, "current", "nothing changed since it was built")
    if "new" in kinds or not (workspace.package(name) / _TRAINED_ON).is_file():
        return Dueness(name, "due", "it was never built, or its package is gone")
    told = {"params": "parameters changed", "output": "an output is missing or was changed"}
    if settings.code_alone:
        told["code"] = "code changed"
    if reasons := [words for kind, words in told.items() if kind in kinds]:
        return Dueness(name, "due", " and ".join(reasons))
    if any(reason.detail.startswith("warm/") for stage in plan.stages for reason in stage.reasons):
        return Dueness(name, "due", "the networks that it begins with changed")
    if "data" in kinds:
        return _by_pictures(workspace, recipe, settings, here)
    return Dueness(
        name, "waits", f"nothing but code changed (retrain.code_alone is false); `atelier retrain {name}` builds it"
    )


def _by_pictures(workspace: Workspace, recipe: Recipe, settings: Retrain, here: Moment) -> Dueness:
    learnt = read_json(workspace.package(recipe.name) / _TRAINED_ON)
    fresh: list[Entry] = []
    for collection in recipe.collections:
        known = frozenset(learnt.get(collection, ()))
        if known & set(tombstones.standing(workspace, collection)):
            return Dueness(recipe.name, "due", f"pictures that it learnt from were taken out of {collection}")
        fresh += _new(read_manifest(workspace.collection(collection)), known)
    if not fresh:
        return Dueness(recipe.name, "due", "its data changed, though no picture is new")
    most, longest = settings.min_new_artworks, settings.max_age_days
    age = (here.wall - min(_seconds(entry.added) for entry in fresh)) / _DAY
    words = "1 new picture" if len(fresh) == 1 else f"{len(fresh)} new pictures"
    if len(fresh) >= most:
        return Dueness(recipe.name, "due", words, len(fresh), age)
    waited = f"{words} of {most} (retrain.min_new_artworks), the oldest since {max(age, 0):.1f} days"
    if age >= longest:
        return Dueness(recipe.name, "due", f"{waited}, which is retrain.max_age_days ({longest:g})", len(fresh), age)
    why = f"{waited} of {longest:g} (retrain.max_age_days); `atelier retrain {recipe.name}` builds it at once"
    return Dueness(recipe.name, "waits", why, len(fresh), age)


def _new(entries: Sequence[Entry], known: frozenset[str]) -> list[Entry]:
    """Return the pictures of a collection that came since a model was built on `known`.

    Held-out pictures teach nothing, and no package lists them: one is new that came after the last of the known.
    """
    last = max((entry.added for entry in entries if entry.sha256 in known), default="")
    return [
        entry
        for entry in entries
        if entry.sha256 not in known and (entry.split == "train" or (entry.split == "test" and entry.added > last))
    ]


def _seconds(added: str) -> float:
    """Return an ISO-8601 time as seconds since 1970; one that cannot be read is as old as can be."""
    try:
        found = datetime.fromisoformat(added)
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
