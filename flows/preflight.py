"""What would stop a retrain, found before anything is started or changed.

That takes milliseconds, but for the first time after the declared transforms changed: see `check_augmentation`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.check import check_augmentation
from pipeline.files import require_free_space
from pipeline.intake.drops import find_drops
from pipeline.intake.inbox import survey
from pipeline.lockfile import check_lock
from pipeline.manifest import read_manifest
from pipeline.params import Params, load_params
from pipeline.recipes import Book, Recipe, load_book, recipe_params
from pipeline.up.schema import require_current
from pipeline.workspace import PHOTOS, Workspace

NEEDED_BYTES = 2_000_000_000  # crops, checkpoints, package, report and DVC's copies, of one retrain


def preflight(workspace: Workspace, names: Sequence[str] | None) -> None:
    """Return when a retrain of the recipes `names` (None or empty: of all) has what it needs.

    What waits in the inbox counts, since a retrain ingests it first.

    Raises:
        ValueError: wrong parameters, transforms or recipes, a damaged dvc.lock, a database of another version, an
            unknown recipe, no style, a style or the photographs with too few images, or too little disk space. The
            message says what to do.
    """
    params = load_params(workspace.params_file)
    book = load_book(workspace)
    for recipe in book.recipes.values():
        recipe_params(workspace, recipe)
    _check_setup(workspace)
    check_lock(workspace)
    # Prefect's temporary server would bring its database to another version without a copy of it. What to do about a
    # registry that is damaged is said where it is needed: champions can be used without it.
    require_current(workspace, damaged_too=False)
    waiting = _waiting(workspace)
    _check_names(book, names, waiting)
    if not book.recipes and not set(waiting) - {PHOTOS}:
        raise ValueError(
            "there is no style yet, so there is nothing to train: run `atelier ingest FOLDER --style NAME`, or put "
            "artworks into inbox/NAME/"
        )
    _check_photos(workspace, params, waiting.get(PHOTOS, 0))
    too_small = {
        recipe.group or recipe.style: reason
        for recipe in _chosen(book, names)
        if (reason := _lack(workspace, recipe, params, waiting))
    }
    # Asked for all, a small new style must not keep the others from being trained; it is reported as failed.
    if too_small and (names or not _others(book, too_small, waiting)):
        raise ValueError(next(iter(too_small.values())))
    require_free_space(workspace.root, NEEDED_BYTES, "a retrain")
    check_augmentation(workspace, params)  # last, because it may take seconds


def ready(workspace: Workspace, names: Sequence[str] | None) -> tuple[list[Recipe], dict[str, str]]:
    """Return the recipes that can be built now, after ingesting, and for each other one why not.

    Raises:
        ValueError: an unknown recipe, or too few photographs.
    """
    params, book = load_params(workspace.params_file), load_book(workspace)
    _check_photos(workspace, params, 0)
    _check_names(book, names, {})
    chosen = _chosen(book, names)
    lacking = {recipe.name: why for recipe in chosen if (why := _lack(workspace, recipe, params, {}))}
    return [recipe for recipe in chosen if recipe.name not in lacking], lacking


def _chosen(book: Book, names: Sequence[str] | None) -> list[Recipe]:
    return [book.recipe(name) for name in names if name in book.recipes] if names else list(book.recipes.values())


def _check_setup(workspace: Workspace) -> None:
    for folder, command in ((".git", "git init"), (".dvc", "dvc init")):
        if not (workspace.root / folder).exists():
            raise ValueError(f"{workspace.root} has no {folder}, which a workspace needs; run `{command}` there")


def _check_names(book: Book, names: Sequence[str] | None, waiting: dict[str, int]) -> None:
    for name in names or ():
        if name not in waiting:  # ingesting makes the default recipe of a new style
            book.recipe(name)


def _check_photos(workspace: Workspace, params: Params, waiting: int) -> None:
    found = _count(workspace, PHOTOS) + waiting
    if found < params.ingest.min_photos:
        raise ValueError(
            f"there are {found} photographs, fewer than ingest.min_photos ({params.ingest.min_photos}); add your own "
            f"with `atelier ingest FOLDER --photos`, or take the samples: `python -m pipeline.sample_data samples`, "
            f"then `atelier ingest samples/photos --photos`"
        )


def _lack(workspace: Workspace, recipe: Recipe, params: Params, waiting: dict[str, int]) -> str | None:
    for style in recipe.styles:
        found = _count(workspace, style) + waiting.get(style, 0)
        if found < params.ingest.min_artworks:
            return (
                f"style {style!r} has {found or 'no'} artworks, fewer than ingest.min_artworks "
                f"({params.ingest.min_artworks}); add some with `atelier ingest FOLDER --style {style}`"
            )
    return None


def _others(book: Book, too_small: dict[str, str], waiting: dict[str, int]) -> bool:
    """Whether anything is left to train."""
    wanted = {recipe.group or recipe.style for recipe in book.recipes.values()} | set(waiting)
    return bool(wanted - set(too_small) - {PHOTOS})


def _count(workspace: Workspace, collection: str) -> int:
    return sum(entry.split != "excluded" for entry in read_manifest(workspace.collection(collection)))


def _waiting(workspace: Workspace) -> dict[str, int]:
    """Return how many files wait in the inbox, by collection."""
    found: dict[str, int] = {}
    for folder, name in survey(workspace.inbox).folders.items():
        found[name] = found.get(name, 0) + len(find_drops(folder))
    return found
