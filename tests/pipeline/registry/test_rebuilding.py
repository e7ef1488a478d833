"""A registry made anew from git tags and DVC's cache, where journal or artifact store are lost too."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline import registry
from pipeline.registry import checksums, journal, record, store
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.pipeline.packages import write_package
from tests.pipeline.registry.conftest import VERSIONS, copied
from tests.pipeline.registry.test_settling import rebuilt

GRAPH = "stages:\n  package:\n    cmd: 'true'\n    outs:\n      - models/ink\n"


def forget_connections() -> None:
    for engine in [each for each in gc.get_objects() if type(each) is Engine]:
        engine.dispose()


@pytest.fixture(scope="module")
def committed(three_versions: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The three versions, each committed and tagged as retrain does it, its package in DVC's cache."""
    workspace = copied(three_versions, tmp_path_factory.mktemp("committed") / "studio")
    root = workspace.root
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "A Tester")
    git(root, "config", "user.email", "tester@localhost")
    (root / ".gitignore").write_text("/models/\n/var/\n/work/\n")
    (root / "dvc.yaml").write_text(GRAPH)
    dvc(workspace, "init", "-q")
    for number in range(1, VERSIONS + 1):
        shutil.rmtree(workspace.package("ink"))
        write_package(workspace, "ink", number - 1, {"photos": [], "ink": [f"picture {number - 1}"]})
        dvc(workspace, "commit", "-q", "--force", "package")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", f"version {number}")
        git(root, "tag", f"ink/v{number}")
    git(root, "tag", "release/v1")
    return workspace


def dvc(workspace: Workspace, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=workspace.root, check=True, capture_output=True)


@pytest.mark.slow
def test_nothing_left_but_git_and_dvc(committed: Workspace, tmp_path: Path) -> None:
    studio = copied(committed, tmp_path / "studio")
    packages = {number: known.package for (_, number), known in record.read(studio).versions.items()}
    forget_connections()
    shutil.rmtree(studio.var)
    said = rebuilt(studio)
    assert [line for line in said if line.startswith("ink version")] == [
        f"ink version {number}: from DVC" for number in (1, 2, 3)
    ]
    assert "ink: nothing tells which is champion; `atelier promote ink VERSION --reason ...`" in said
    assert registry.models(studio) == {"ink": {}}, "a tag of another kind became a model"
    assert {n: registry.version_of(studio, "ink", n).package for n in (1, 2, 3)} == packages
    assert registry.version_of(studio, "ink", 2).tags["git_commit"] == git(studio.root, "rev-parse", "ink/v2")
    assert registry.promote(studio, "ink", 2, "I remember", by="ana")
    assert registry.rebuild(studio) == []


@pytest.mark.slow
def test_files_that_are_gone_come_back_from_dvc(committed: Workspace, tmp_path: Path) -> None:
    studio = copied(committed, tmp_path / "studio")
    registry.promote(studio, "ink", 2, "good", by="ana")
    known = record.read(studio).versions["ink", 2]
    shutil.rmtree(known.folder(studio))
    with pytest.raises(registry.RegistryError, match="missing"):
        registry.champion(studio, "ink")
    assert registry.rebuild(studio) == ["ink version 2: its files were gone, and are back"]
    champion = registry.champion(studio, "ink")
    assert champion is not None
    assert champion.package == known.package
    assert champion.tags["promoted_by"] == "ana"
    assert checksums.changes(studio, record.read(studio).versions["ink", 2]) == []
    assert registry.rebuild(studio) == []


@pytest.mark.slow
def test_what_is_nowhere_to_be_had_is_named_and_the_others_are_rebuilt(committed: Workspace, tmp_path: Path) -> None:
    studio = copied(committed, tmp_path / "studio")
    registry.promote(studio, "ink", 3, "good", by="ana")
    shutil.rmtree(record.read(studio).versions["ink", 3].folder(studio))
    shutil.rmtree(studio.package("ink"))
    shutil.rmtree(studio.root / ".dvc" / "cache")
    with pytest.raises(registry.RegistryError, match=r"not rebuilt: .*neither the artifact store nor DVC has"):
        registry.rebuild(studio)
    assert journal.operations(studio)[-1].action == "promote"
    assert store.opened(studio).get_model_version("ink", "1")
