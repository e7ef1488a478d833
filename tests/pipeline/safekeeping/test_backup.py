"""Backup and restore: whole or not at all, refused where something would be lost, the same state behind it."""

from __future__ import annotations

import gc
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline import databases, registry
from pipeline.registry import store
from pipeline.safekeeping import backup as saving
from pipeline.safekeeping import restore as restoring
from pipeline.safekeeping.contents import LIST, read_contents
from pipeline.workspace import Workspace
from tests.pipeline.packages import write_package
from tests.pipeline.registry.conftest import copied
from tests.pipeline.registry.killing import in_a_process, killed, steps_of

ROOT = Path(__file__).parents[3]


def forget_connections() -> None:
    """Close what this process has open, as a new one would find it."""
    for engine in [each for each in gc.get_objects() if type(each) is Engine]:
        engine.dispose()


@pytest.fixture
def studio(three_versions: Workspace, tmp_path: Path) -> Workspace:
    """A studio with a champion, a Prefect database, a lock file, locks and logs."""
    workspace = copied(three_versions, tmp_path / "studio")
    registry.promote(workspace, "ink", 2, "good", by="ana")
    (workspace.var / "prefect").mkdir()
    with opened(workspace.var / "prefect" / "prefect.db") as database:
        database.execute("create table flow_run (id)")
        database.execute("insert into flow_run values (7)")
    (workspace.var / "prefect" / "storage").mkdir()
    (workspace.var / "logs").mkdir()
    (workspace.var / "logs" / "build-ink.log").write_text("long\n")
    (workspace.var / "verdicts").mkdir()
    (workspace.var / "verdicts" / "ink.json").write_text("{}\n")
    (workspace.root / "dvc.lock").write_text("schema: '2.0'\n")
    (workspace.root / "params.yaml").write_text("seed: 20\n")
    (workspace.root / "data" / "styles").mkdir(parents=True)
    (workspace.root / "data" / "styles" / "ink.dvc").write_text("outs: []\n")
    forget_connections()
    return workspace


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database, and close it: what is open is not restored over."""
    with closing(sqlite3.connect(path)) as database, database:
        yield database


def aliases(workspace: Workspace) -> dict[str, int]:
    with opened(workspace.var / "mlflow.db") as database:
        return dict(database.execute("select alias, version from registered_model_aliases"))


def test_what_is_backed_up_is_restored(studio: Workspace, tmp_path: Path) -> None:
    made = saving.backup(studio, tmp_path / "safe")
    assert made.folder == tmp_path / "safe"
    contents = read_contents(made.folder)
    assert {
        *("var/mlflow.db", "var/promotions.jsonl", "var/prefect/prefect.db", "var/verdicts/ink.json"),
        *("workspace/dvc.lock", "workspace/params.yaml", "workspace/data/styles/ink.dvc"),
    } <= set(contents.files)
    assert any(name.endswith("generator.safetensors") for name in contents.files)
    left_out = [name for name in contents.files if name.startswith("var/logs") or name.endswith("-registry.lock")]
    assert left_out == []
    before = {path: path.read_bytes() for path in sorted((studio.var / "verdicts").iterdir())}
    champion = registry.champion(studio, "ink")
    forget_connections()
    shutil.rmtree(studio.var)
    (studio.root / "dvc.lock").unlink()
    done = restoring.restore(studio, made.folder)
    assert (done.before, done.moved) == (None, 0)
    assert sorted(path.name for path in studio.root.glob("var*")) == ["var"]
    assert registry.champion(studio, "ink") == champion
    assert {path: path.read_bytes() for path in before} == before
    assert (studio.root / "dvc.lock").read_text() == "schema: '2.0'\n"
    with opened(studio.var / "prefect" / "prefect.db") as database:
        assert database.execute("select id from flow_run").fetchall() == [(7,)]
    assert registry.promote(studio, "ink", 1, "and on it goes", by="ana")


def test_a_state_that_is_there_is_not_overwritten_unless_forced_and_is_kept_then(
    studio: Workspace, tmp_path: Path
) -> None:
    made = saving.backup(studio, tmp_path / "safe")
    registry.promote(studio, "ink", 3, "better", by="ana")
    (studio.root / "params.yaml").write_text("seed: 21\n")
    forget_connections()
    with pytest.raises(ValueError, match=r"holds a registry already; with --force .* is kept as var\.before-"):
        restoring.restore(studio, made.folder)
    assert aliases(studio)["champion"] == 3
    done = restoring.restore(studio, made.folder, force=True)
    assert aliases(studio)["champion"] == 2
    assert done.before is not None
    with opened(done.before / "mlflow.db") as database:
        assert ("champion", 3) in database.execute("select alias, version from registered_model_aliases").fetchall()
    assert (studio.root / "params.yaml").read_text() == "seed: 20\n"
    assert (done.before / "replaced" / "params.yaml").read_text() == "seed: 21\n"
    assert not (done.before / "restore.tmp").exists()
    assert not (studio.var / "restore.tmp").exists()


def test_inputs_that_differ_are_not_overwritten_unless_forced(studio: Workspace, tmp_path: Path) -> None:
    made = saving.backup(studio, tmp_path / "safe")
    shutil.rmtree(studio.var)
    (studio.root / "dvc.lock").write_text("schema: '3.0'\n")
    with pytest.raises(ValueError, match=r"dvc\.lock differ from the backup's"):
        restoring.restore(studio, made.folder)
    assert not (studio.var / "mlflow.db").exists()
    done = restoring.restore(studio, made.folder, force=True)
    assert done.before is not None
    assert (done.before / "replaced" / "dvc.lock").read_text() == "schema: '3.0'\n"


def test_a_studio_can_be_restored_at_another_place(studio: Workspace, tmp_path: Path) -> None:
    made = saving.backup(studio, tmp_path / "safe")
    forget_connections()
    shutil.rmtree(studio.root)
    there = Workspace(tmp_path / "other machine")
    there.root.mkdir()
    done = restoring.restore(there, made.folder)
    assert done.moved > 0
    champion = registry.champion(there, "ink")
    assert champion is not None
    assert champion.directory.is_relative_to(there.root)
    assert store.model_folder(store.opened(there), "ink", 1).is_dir()


def test_a_backup_that_is_not_whole_is_refused(studio: Workspace, tmp_path: Path) -> None:
    made = saving.backup(studio, tmp_path / "safe")
    journal = made.folder / "var" / "promotions.jsonl"
    good = journal.read_bytes()
    for spoil, says in (
        (lambda: journal.write_bytes(good + b"{}\n"), r"var/promotions\.jsonl was changed"),
        (lambda: journal.unlink(), r"var/promotions\.jsonl is missing"),
        (lambda: (made.folder / "var" / "more").touch(), "var/more was added"),
    ):
        spoil()
        with pytest.raises(ValueError, match=f"is not whole: {says}"):
            restoring.restore(studio, made.folder, force=True)
        journal.write_bytes(good)
        (made.folder / "var" / "more").unlink(missing_ok=True)
    listed = json.loads((made.folder / LIST).read_text())
    (made.folder / LIST).write_text(json.dumps({**listed, "format": 99}))
    with pytest.raises(ValueError, match="another format"):
        restoring.restore(studio, made.folder, force=True)
    with pytest.raises(ValueError, match="is no backup"):
        restoring.restore(studio, tmp_path, force=True)
    assert aliases(studio)["champion"] == 2


def test_a_backup_is_whole_or_not_there(studio: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(ValueError, match="holds something already"):
        saving.backup(studio, tmp_path / "full")
    with pytest.raises(ValueError, match="nothing to back up"):
        saving.backup(Workspace(tmp_path / "new"), tmp_path / "safe")
    with monkeypatch.context() as patch:
        patch.setattr(saving, "differences", lambda *_: ["var/mlflow.db was changed"])
        with pytest.raises(ValueError, match="is not whole"):
            saving.backup(studio, tmp_path / "safe")
    database = studio.var / "mlflow.db"
    database.write_bytes(database.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"mlflow\.db is cut off"):
        saving.backup(studio, tmp_path / "safe")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "studio"]


def test_without_packages_they_stay_where_they_are(studio: Workspace, tmp_path: Path) -> None:
    made = saving.backup(studio, tmp_path / "safe", packages=False)
    assert not [name for name in read_contents(made.folder).files if "mlartifacts" in name]
    registry.promote(studio, "ink", 3, "better", by="ana")
    forget_connections()
    restoring.restore(studio, made.folder, force=True)
    champion = registry.champion(studio, "ink")
    assert champion is not None
    assert champion.version == 2


def test_it_refuses_while_somebody_uses_the_database(studio: Workspace, tmp_path: Path) -> None:
    made = saving.backup(studio, tmp_path / "safe")
    forget_connections()
    script = "import sys, sqlite3; a = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(studio.var / "mlflow.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        user.stdout.readline()
        with pytest.raises(ValueError, match=rf"process {user.pid} has .*mlflow\.db open"):
            restoring.restore(studio, made.folder, force=True)
        assert user.stdin is not None
        user.stdin.close()
    restoring.restore(studio, made.folder, force=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.safekeeping import restore
from pipeline.workspace import Workspace
root, folder, last = sys.argv[1:]
steps = 0
def watch(event, arguments):
    global steps
    place = str(arguments[0]) if arguments else ""
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & writing
    changed = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "ctypes.call_function")
    if (opened or changed) and place.startswith(root) and not place.endswith(".lock"):
        steps += 1
        if steps == int(last):
            os.kill(os.getpid(), signal.SIGKILL)
exchange = restore.exchange
def around(*paths):
    (Path(root) / "before").write_text("")  # a step of its own, and one behind
    exchange(*paths)
    (Path(root) / "behind").write_text("")
restore.exchange = around
sys.addaudithook(watch)
restore.restore(Workspace(Path(root)), Path(folder), force=True)
print(steps)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_restore_that_is_killed_leaves_the_old_state_or_the_new_one(studio: Workspace, tmp_path: Path) -> None:
    made = saving.backup(studio, tmp_path / "safe")
    registry.promote(studio, "ink", 3, "better", by="ana")
    (studio.root / "params.yaml").write_text("seed: 21\n")
    forget_connections()
    kept = studio.root.rename(tmp_path / "kept")

    def run(step: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(studio.root), str(made.folder), str(step)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    shutil.copytree(kept, studio.root)
    whole = run(0)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    assert steps > 30
    points = sorted({1, 2, *range(1, steps, max(1, steps // 12)), *range(steps - 10, steps + 1)})
    met = set()
    for point in points:
        shutil.rmtree(studio.root)
        shutil.copytree(kept, studio.root)
        assert run(point).returncode == -signal.SIGKILL, f"step {point} of {steps} was not reached"
        assert databases.damage(studio.var / "mlflow.db") is None
        met.add(aliases(studio)["champion"])
        again = run(0)
        assert again.returncode == 0, again.stderr
        assert aliases(studio)["champion"] == 2
        assert (studio.root / "params.yaml").read_text() == "seed: 20\n"
        before = [path for path in studio.root.glob("var.before-*") if (path / "mlflow.db").is_file()]
        champions = set()
        for path in before:
            with opened(path / "mlflow.db") as database:
                champions |= {
                    row[0]
                    for row in database.execute("select version from registered_model_aliases where alias='champion'")
                }
        assert 3 in champions, f"killed at step {point}: the state before is lost"
    assert met == {2, 3}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_backup_that_is_killed_is_not_there_or_whole_and_the_next_one_clears_up(
    studio: Workspace, tmp_path: Path
) -> None:
    safe = tmp_path / "safe" / "one"
    safe.parent.mkdir()

    def work() -> None:
        saving.backup(studio, safe)

    def state() -> list[object]:
        there = saving.check(safe).files if safe.exists() else None
        champion = registry.champion(studio, "ink")
        return [there, champion.package if champion else None]

    for name in ("torch", "mlflow.pyfunc", "pipeline.inference", "sqlalchemy"):
        __import__(name)
    steps = steps_of(tmp_path, work)
    files, champion = in_a_process(state)
    assert steps > 30
    assert champion is not None
    met = set()
    for step in sorted({1, 2, 3, *range(4, steps, max(1, steps // 12)), *range(steps - 5, steps + 1)}):
        shutil.rmtree(safe, ignore_errors=True)
        assert killed(tmp_path, work, step), f"step {step} of {steps} was not reached"
        there, loads = in_a_process(state)
        assert there in (None, files), f"killed at step {step}: half a backup"
        assert loads == champion
        met.add(there is None)
        shutil.rmtree(safe, ignore_errors=True)
        in_a_process(work)
        assert in_a_process(state) == [files, champion]
        assert [path.name for path in safe.parent.iterdir()] == ["one"], f"killed at step {step}: something is left"
    assert True in met


def test_a_backup_taken_while_versions_are_registered_is_one_moments_state(studio: Workspace, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pipeline.workspace import Workspace; "
        "from pipeline.safekeeping.backup import backup; backup(Workspace(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    write_package(studio, "ink", seed=30)
    forget_connections()
    command = [sys.executable, "-c", script, str(studio.root), str(tmp_path / "safe")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as other:
        registry.register(studio, "ink")
        _, said = other.communicate()
        assert other.returncode == 0, said
    with opened(tmp_path / "safe" / "var" / "mlflow.db") as database:
        numbers = {row[0] for row in database.execute("select version from model_versions")}
    lines = (tmp_path / "safe" / "var" / "promotions.jsonl").read_text().splitlines()
    done = {json.loads(line).get("version") for line in lines if '"register"' in line and '"done"' in line}
    assert done == numbers
