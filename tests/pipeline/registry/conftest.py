"""A studio with three versions of one model, registered once (that takes seconds) and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import databases, registry
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package

VERSIONS = 3


@pytest.fixture(scope="session")
def three_versions(mlflow_store: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The studio that is copied; nobody changes it."""
    workspace = empty_workspace(tmp_path_factory.mktemp("three") / "studio")
    mlflow_store(workspace.root)
    for seed in range(VERSIONS):
        write_package(workspace, "ink", seed, {"photos": [], "ink": [f"picture {seed}"]})
        registry.register(workspace, "ink", {"style": "ink", "verdict": "accepted", "git_commit": "none"})
    return workspace


def copied(studio: Workspace, root: Path) -> Workspace:
    """Return a copy of a studio; MLflow's database speaks of the new place."""
    shutil.copytree(studio.root, root, symlinks=True)
    workspace = Workspace(root)
    database = workspace.var / "mlflow.db"
    databases.move_paths(database, studio.artifacts.as_uri(), workspace.artifacts.as_uri())
    databases.move_paths(database, str(studio.artifacts), str(workspace.artifacts))
    return workspace


@pytest.fixture
def studio(three_versions: Workspace, tmp_path: Path) -> Workspace:
    """A studio of the test's own: versions 1 to 3 of `ink`, the last one the challenger."""
    return copied(three_versions, tmp_path / "studio")
