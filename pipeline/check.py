"""Stage: refuse wrong parameters and recipes, and a workspace with nothing to build, before any other stage.

Without it `dvc repro` in a workspace that has no style would end in "up to date".
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from pipeline import augment
from pipeline.entry import run_stage
from pipeline.files import digest_json, sha256_file, write_atomic
from pipeline.params import Params, load_params
from pipeline.recipes import load_book, recipe_params
from pipeline.workspace import Workspace


def main(workspace: Workspace) -> None:
    """Return when params.yaml and recipes.yaml are right and name at least one recipe.

    Raises:
        ValueError: what is wrong, and what to do.
    """
    check_augmentation(workspace, load_params(workspace.params_file))
    book = load_book(workspace)
    if not book.recipes:
        raise ValueError(
            "there is no style yet, so there is nothing to build: put artworks in a folder and run "
            "`atelier ingest FOLDER --style NAME`"
        )
    for recipe in book.recipes.values():
        recipe_params(workspace, recipe)


def check_augmentation(workspace: Workspace, params: Params) -> None:
    """Return when the declared transforms are right: names, arguments and values.

    Only albumentations can tell, and importing it takes seconds. So what was found right is remembered under
    `work/cache/`, and the import is paid once for each declaration, not at each retrain.

    Raises:
        ValueError: a wrong one; the message names its place, such as `prepare.augment.photos[1]`.
    """
    prepare = params.prepare
    judge = [sha256_file(Path(augment.__file__)), version("albumentations")]
    declaration = digest_json([repr(prepare.augment), prepare.crop, *judge])
    remembered = workspace.work / "cache" / "augmentation" / declaration
    if not remembered.is_file():
        augment.check(prepare.augment, prepare.crop)
        write_atomic(remembered, "found right\n")


def _command() -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.check",
        description="Check params.yaml and recipes.yaml. Example: python -m pipeline.check",
    ).parse_args()
    main(Workspace(Path.cwd()))
    print("params.yaml and recipes.yaml are right")


if __name__ == "__main__":
    run_stage(_command)
