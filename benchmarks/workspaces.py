"""Workspaces to measure in: prepared once with the demo's settings, then any number of recipes trained in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import judge, prepare
from pipeline.ingest import ingest
from pipeline.params import load_params
from pipeline.presets import apply_changes, read_preset
from pipeline.sample_data import write_samples
from pipeline.workspace import PHOTOS, Workspace

ROOT = Path(__file__).resolve().parents[1]


def samples_of(folder: Path, style: str) -> tuple[Path, Path]:
    """Write the demo's built-in samples and return the folders of photographs and artworks."""
    made = write_samples(folder, photos=80, artworks=48, side=256, styles=[style])
    return made.photos, made.styles[style]


def prepared(
    root: Path, photos: Path, artworks: Path, style: str, overlay: Mapping[str, Any] | None = None
) -> Workspace:
    """Make a workspace with prepared crops and a judge, for the demo's settings, and return it."""
    workspace = Workspace(root)
    root.mkdir(parents=True, exist_ok=True)
    for name in ("params.yaml", "dvc.yaml", "recipes.yaml"):
        shutil.copy(ROOT / name, root / name)
    for name in ("pipeline", "warm"):
        (root / name).symlink_to(ROOT / name)
    apply_changes(workspace.params_file, read_preset(ROOT / "presets", "demo"))
    if overlay:
        apply_changes(workspace.params_file, overlay)
    params = load_params(workspace.params_file)
    for source, name in ((photos, PHOTOS), (artworks, style)):
        ingest(workspace, source, name, params, tracked=False)
        prepare.main(name, workspace, params)
    judge.main(style, workspace, params)
    return workspace


def write_recipes(workspace: Workspace, style: str, recipes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write recipes.yaml: `recipes` are overrides by name."""
    entries = {
        name: {"method": "cut", "style": style, "warm_start": "none", "overrides": changes}
        for name, changes in recipes.items()
    }
    workspace.recipes_file.write_text(json.dumps({"styles": [style], "recipes": entries}))  # JSON is YAML


def train(workspace: Workspace, recipe: str) -> None:
    """Train a recipe, in a process of its own."""
    command = [sys.executable, "-P", "-m", "pipeline.train", recipe]
    subprocess.run(command, cwd=workspace.root, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
