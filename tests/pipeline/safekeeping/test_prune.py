"""What nothing names goes when its time is over; what an alias or a tag names never does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import registry
from pipeline.params import Prune
from pipeline.registry import record, store
from pipeline.registry.named import holdings
from pipeline.safekeeping import prune as pruning
from pipeline.tracking import client, trainings
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.pipeline.packages import write_package
from tests.pipeline.registry.conftest import copied

KEEP = Prune(versions=1, checkpoints_days=10, runs_days=10, logs_days=10, dvc_cache=False)
DAY = 86_400.0
LATER = 100 * DAY


@pytest.fixture(scope="module")
def six_versions(three_versions: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Six versions of `ink`: 1 is previous, 2 champion and anchor, 6 challenger; the git repository tags 3."""
    workspace = copied(three_versions, tmp_path_factory.mktemp("six") / "studio")
    registry.promote(workspace, "ink", 1, "first", by=registry.GATE)
    registry.promote(workspace, "ink", 2, "better", by="ana")
    for seed in (4, 5, 6):
        write_package(workspace, "ink", seed)
        registry.register(workspace, "ink")
    git(workspace.root, "init", "-q", "-b", "main")
    git(workspace.root, "config", "user.name", "A Tester")
    git(workspace.root, "config", "user.email", "tester@localhost")
    git(workspace.root, "add", "dvc.yaml")
    git(workspace.root, "commit", "-q", "-m", "A studio")
    git(workspace.root, "tag", "ink/v3")
    return workspace


@pytest.fixture
def studio(six_versions: Workspace, tmp_path: Path) -> Workspace:
    """A copy of that, of the test's own."""
    return copied(six_versions, tmp_path / "studio")


def make_old(path: Path, days: float) -> None:
    for each in (path, *path.rglob("*")):
        os.utime(each, (time.time() - days * DAY,) * 2)


def kinds(plan: pruning.Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in plan.items:
        found.setdefault(item.kind, []).append(item.what)
    return found


def test_versions_that_nothing_names_go_and_nothing_else(studio: Workspace) -> None:
    plan = pruning.plan(studio, replace(KEEP, runs_days=100_000))
    assert kinds(plan) == {"version": ["ink version 4", "ink version 5"]}
    assert plan.size > 1000
    assert plan.remarks == ("1 old version(s) stay because git tags name them; `git tag -d ink/v3` lets them go",)
    folders = {one.version: one.folder for one in holdings(studio).versions}
    pruning.carry_out(studio, plan.items)
    assert {number for number, folder in folders.items() if folder.exists()} == {1, 2, 3, 6}
    left = [int(one.version) for one in store.versions(store.opened(studio), "ink")]
    assert left == [1, 2, 3, 6]
    assert registry.aliases_of(studio, "ink") == {"previous": 1, "champion": 2, "anchor": 2, "challenger": 6}
    for number in left:
        assert registry.version_of(studio, "ink", number).package
    assert pruning.plan(studio, replace(KEEP, runs_days=100_000)).items == ()
    git(studio.root, "tag", "-d", "ink/v3")
    assert kinds(pruning.plan(studio, replace(KEEP, runs_days=100_000))) == {"version": ["ink version 3"]}


def test_the_newest_are_kept_although_nothing_names_them(studio: Workspace) -> None:
    assert "version" not in kinds(pruning.plan(studio, replace(KEEP, versions=3)))
    assert kinds(pruning.plan(studio, replace(KEEP, versions=2, runs_days=100_000)))["version"] == ["ink version 4"]


def test_a_plan_changes_nothing(studio: Workspace) -> None:
    def everything() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in sorted(studio.root.rglob("*")) if path.suffix != ".lock"}

    store.opened(studio)
    before = everything()
    pruning.plan(studio, KEEP, now=time.time() + LATER)
    assert everything() == before


@pytest.mark.slow
def test_runs_without_a_version_go_and_those_of_versions_stay(studio: Workspace) -> None:
    api = client(studio)
    experiment = api.get_experiment_by_name("style-atelier")
    assert experiment is not None
    stray = api.create_run(experiment.experiment_id, tags={"recipe": "ink", "key": "0" * 64}).info.run_id
    of_versions = {one.run for one in holdings(studio).versions}
    keep = replace(KEEP, versions=20)
    assert kinds(pruning.plan(studio, keep)) == {}, "it is young"
    plan = pruning.plan(studio, keep, now=time.time() + LATER)
    assert [item.name for item in plan.items if item.kind == "run"] == [stray]
    pruning.carry_out(studio, [item for item in plan.items if item.kind == "run"])
    assert {training.run for training in trainings(studio)} >= of_versions
    assert stray not in {training.run for training in trainings(studio)}
    with pytest.raises(Exception, match=r"not found"):
        api.get_run(stray)


def test_old_checkpoints_go_but_the_last_and_those_of_a_version_that_is_in_use(studio: Workspace) -> None:
    runs = {training.run: training.key for training in trainings(studio, "ink")}
    of_champion = next(runs[one.run] for one in holdings(studio).versions if "champion" in one.aliases)
    place = studio.checkpoints("ink")
    for name in (of_champion, "last", "old", "young"):
        (place / name).mkdir(parents=True)
        (place / name / "step-1.pt").write_bytes(b"x" * 1000)
        if name != "young":
            make_old(place / name, 20)
    log = studio.work / "logs" / "ink" / "last.jsonl"
    log.parent.mkdir(parents=True)
    log.touch()
    log.parent.with_suffix(".json").write_text(f'{{"log": "{log.relative_to(studio.root)}", "key": "last"}}')
    plan = pruning.plan(studio, replace(KEEP, versions=20))
    assert [(item.kind, item.path, item.size) for item in plan.items] == [("checkpoint", place / "old", 1000)]
    pruning.carry_out(studio, plan.items)
    assert sorted(path.name for path in place.iterdir()) == sorted([of_champion, "last", "young"])


def test_old_logs_and_packages_of_no_version_go(studio: Workspace) -> None:
    logs, results = studio.var / "logs", studio.var / "prefect" / "storage"
    for folder in (logs, results):
        folder.mkdir(parents=True)
        for name, days in (("old", 20), ("young", 1)):
            (folder / name).write_text("a line\n")
            os.utime(folder / name, (time.time() - days * DAY,) * 2)
    old = ["var/logs/old", "var/prefect/storage/old"]
    stray = studio.artifacts / "models" / "m-0"
    (stray / "artifacts").mkdir(parents=True)
    (stray / "artifacts" / "MLmodel").write_text("cut short\n")
    keep = replace(KEEP, versions=20)
    assert kinds(pruning.plan(studio, keep)) == {"log": old}
    make_old(stray, 3)
    plan = pruning.plan(studio, keep)
    assert kinds(plan) == {"package": ["m-0, of no version"], "log": old}
    pruning.carry_out(studio, plan.items)
    assert [path.name for folder in (logs, results) for path in folder.iterdir()] == ["young", "young"]
    assert not stray.exists()
    assert len(list((studio.artifacts / "models").iterdir())) == len(record.read(studio).versions)


def test_nothing_goes_while_nobody_can_say_what_is_named(studio: Workspace) -> None:
    (studio.var / "mlflow.db").write_bytes(b"")
    with pytest.raises(registry.RegistryLostError):
        pruning.plan(studio, KEEP)


@pytest.mark.slow
def test_dvcs_cache_keeps_what_workspace_branches_and_tags_need(studio: Workspace) -> None:
    def dvc(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=studio.root, check=True, capture_output=True)

    def commit(text: str, *tag: str) -> Path:
        data = studio.root / "data.txt"
        data.unlink(missing_ok=True)
        data.write_text(text)
        dvc("add", "data.txt")
        git(studio.root, "add", "-A", "data.txt.dvc", ".gitignore", ".dvc")
        git(studio.root, "commit", "-q", "-m", text)
        for name in tag:
            git(studio.root, "tag", name)
        digest = (studio.root / "data.txt.dvc").read_text().split("md5: ")[1].split()[0]
        return studio.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]

    dvc("init", "-q")
    tagged = commit("what version 4 was made from", "ink/v4")
    dropped = commit("what nothing needs")
    git(studio.root, "checkout", "-q", "-b", "try")
    branch = commit("what a branch needs")
    git(studio.root, "checkout", "-q", "main")
    current = commit("what is here")
    assert all(path.is_file() for path in (tagged, dropped, branch, current))
    keep = replace(KEEP, versions=20, dvc_cache=True)
    plan = pruning.plan(studio, keep)
    assert plan.items == ()
    assert "no git tag says what ink version 1 (previous), ink version 2 (anchor)" in plan.remarks[0]
    for number in (1, 2, 6):
        git(studio.root, "tag", f"ink/v{number}")
    plan = pruning.plan(studio, keep)
    assert [(item.kind, item.size) for item in plan.items] == [("cache", len("what nothing needs"))]
    assert dropped.is_file()
    pruning.carry_out(studio, plan.items)
    assert [path.is_file() for path in (tagged, dropped, branch, current)] == [True, False, True, True]
