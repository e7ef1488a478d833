"""Stage: refuse wrong parameters and recipes, and a workspace with nothing to build, before any other stage.

Without it `dvc repro` in a workspace that has no style would end in "up to date".
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.entry import run_stage
from pipeline.params import load_params
from pipeline.recipes import load_book, recipe_params
from pipeline.workspace import Workspace


def main(workspace: Workspace) -> None:
    """Return when params.yaml and recipes.yaml are right and name at least one recipe.

    Raises:
        ValueError: what is wrong, and what to do.
    """
    load_params(workspace.params_file)
    book = load_book(workspace)
    if not book.recipes:
        raise ValueError(
            "there is no style yet, so there is nothing to build: put artworks in a folder and run "
            "`atelier ingest FOLDER --style NAME`"
        )
    for recipe in book.recipes.values():
        recipe_params(workspace, recipe)


def _command() -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.check",
        description="Check params.yaml and recipes.yaml. Example: python -m pipeline.check",
    ).parse_args()
    main(Workspace(Path.cwd()))
    print("params.yaml and recipes.yaml are right")


if __name__ == "__main__":
    run_stage(_command)
