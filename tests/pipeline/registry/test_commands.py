"""What a person types about the registry, its backup and its housekeeping, in a workspace of tiny packages."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine

from pipeline import cli, registry
from pipeline.registry import journal
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.pipeline.registry.conftest import copied

ROOT = Path(__file__).parents[3]


@pytest.fixture
def studio(three_versions: Workspace, tmp_path: Path) -> Workspace:
    """A workspace of this checkout's own code, with three versions and a git repository."""
    workspace = copied(three_versions, tmp_path / "studio")
    (workspace.root / "pipeline").symlink_to(ROOT / "pipeline")
    (workspace.root / "flows").symlink_to(ROOT / "flows")
    for name in ("dvc.yaml", "params.yaml"):
        (workspace.root / name).write_text((ROOT / name).read_text())
    (workspace.root / "recipes.yaml").write_text("styles: []\nrecipes: {}\n")
    git(workspace.root, "init", "-q")
    registry.promote(workspace, "ink", 1, "first", by=registry.GATE)
    registry.promote(workspace, "ink", 3, "calmer", by="ana")
    return workspace


def typed(workspace: Workspace, *arguments: object) -> None:
    """Run a command line, as a process that has nothing open."""
    for engine in [each for each in gc.get_objects() if type(each) is Engine]:
        engine.dispose()
    with pytest.raises(SystemExit) as ended:
        cli.main(["-C", str(workspace.root), *map(str, arguments)])
    assert not ended.value.code, f"exit status {ended.value.code}"


def test_history_is_a_table_or_json(studio: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    typed(studio, "history", "ink")
    told = capsys.readouterr().out
    assert told.startswith("ink: anchor version 3, champion version 3, previous version 1\n")
    assert " promoted   " in told
    assert told.rstrip().splitlines()[-1].split(maxsplit=2)[2].split() == ["promoted", "3", "ana", "calmer"]
    typed(studio, "history", "ink", "--json")
    plain = json.loads(capsys.readouterr().out)
    assert plain["aliases"] == {"champion": 3, "anchor": 3, "previous": 1}
    assert [event["what"] for event in plain["events"]].count("registered") == 3
    with pytest.raises(SystemExit) as ended:
        cli.main(["-C", str(studio.root), "history", "oil"])
    assert ended.value.code == 2
    assert "nothing is known of a model named 'oil'" in capsys.readouterr().err


def test_a_version_is_deleted_but_not_one_that_an_alias_names(
    studio: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(studio, "registry", "delete", "ink", 2, "--reason", "space")
    assert "ink version 2 is deleted; its story stays (`atelier history ink`)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["-C", str(studio.root), "registry", "delete", "ink", "3", "--reason", "space"])
    assert "version 3 is the anchor and champion, and what an alias names is not deleted" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["-C", str(studio.root), "registry", "delete", "ink", "1"])
    assert "say why with --reason" in capsys.readouterr().err
    typed(studio, "registry", "rebuild")
    assert "the registry lacks nothing" in capsys.readouterr().out


def test_backup_and_restore(studio: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed(studio, "backup")
    assert "read again and whole" in capsys.readouterr().out
    made = list((studio.root / "backups").iterdir())
    assert len(made) == 1
    typed(studio, "backup", tmp_path / "safe", "--no-packages")
    registry.rollback(studio, "ink", "no", by="bob")
    with pytest.raises(SystemExit):
        cli.main(["-C", str(studio.root), "restore", str(made[0])])
    assert "with --force the backup takes its place" in capsys.readouterr().err
    typed(studio, "restore", made[0], "--force")
    told = capsys.readouterr().out
    assert "what was there before is kept: " in told
    assert registry.aliases_of(studio, "ink")["champion"] == 3


def test_prune_shows_first(studio: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    params = studio.root / "params.yaml"
    params.write_text(params.read_text().replace("  versions: 20 ", "  versions: 1 "))
    typed(studio, "prune")
    told = capsys.readouterr().out
    assert "versions that nothing names: 1, " in told
    assert "nothing was changed; `atelier prune --apply` lets it go" in told
    assert registry.version_of(studio, "ink", 2)
    typed(studio, "prune", "--apply")
    assert "let go" in capsys.readouterr().out
    assert journal.operations(studio)[-1].entry["by"] == "prune"
    with pytest.raises(registry.RegistryError, match="no version 2"):
        registry.version_of(studio, "ink", 2)


@pytest.mark.slow
def test_going_back_needs_no_server(studio: Workspace) -> None:
    """In a process of its own, though PREFECT_API_URL names a server that is down; it starts none."""
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline.cli", "rollback", "ink", "--reason", "smeared"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=studio.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ink version 1 is the champion again"
    print(f"rolled back in {time.monotonic() - began:.1f} s")
    assert not (studio.var / "prefect").exists()
    assert registry.aliases_of(studio, "ink")["champion"] == 1
    last = journal.operations(studio)[-1]
    assert (last.action, last.entry["reason"], last.phase) == ("rollback", "smeared", "done")


def atelier(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATELIER_HINTS": "off"}
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    return subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False)


BY_HAND = "import sys, mlflow; mlflow.MlflowClient(registry_uri=sys.argv[1]).delete_model_version('ink', '3')"


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["deleted by hand", "cut off"])
def test_pictures_are_painted_whatever_became_of_the_registry_and_a_command_mends_it(
    studio: Workspace, fault: str
) -> None:
    """Faults 13 and 14, with real processes."""
    package = registry.version_of(studio, "ink", 3).package
    photograph = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))
    photograph.save(studio.root / "photo.png")
    assert atelier(studio, "stylize", "photo.png", "before.png").returncode == 0
    database = studio.var / "mlflow.db"
    for engine in [each for each in gc.get_objects() if type(each) is Engine]:
        engine.dispose()
    if fault == "cut off":
        database.write_bytes(database.read_bytes()[: database.stat().st_size // 3])
    else:
        subprocess.run([sys.executable, "-c", BY_HAND, studio.tracking_uri], check=True, capture_output=True)
    done = atelier(studio, "stylize", "photo.png", "after.png")
    assert done.returncode == 0, done.stderr
    assert (studio.root / "after.png").read_bytes() == (studio.root / "before.png").read_bytes()
    if fault == "cut off":
        refused = atelier(studio, "promote", "ink", "1", "--reason", "r")
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
        assert "`atelier registry rebuild`" in refused.stderr
    mended = atelier(studio, "registry", "rebuild")
    assert mended.returncode == 0, mended.stderr
    assert "ink version 3" in mended.stdout or "ink: version 3" in mended.stdout
    again = atelier(studio, "registry", "rebuild")
    assert again.stdout.strip() == "the registry lacks nothing"
    champion = registry.champion(studio, "ink")
    assert champion is not None
    assert champion.package == package
    assert champion.version == (3 if fault == "cut off" else 4)
    assert atelier(studio, "rollback", "ink", "--reason", "r").stdout.strip() == "ink version 1 is the champion again"
