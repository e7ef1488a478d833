"""The doctor: each thing that can be wrong is found, with what to do."""

import fcntl
import os
import sqlite3
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pipeline import doctor
from pipeline.doctor import Check
from pipeline.registry import journal
from pipeline.removal.matches import find
from pipeline.removal.remove import remove
from pipeline.workspace import Workspace
from tests.pipeline.removal.studio import PARAMS, entry, store, studio

ROOT = Path(__file__).parents[2]
GOOD = {"fastapi": "0.150.0", "sqlalchemy": "2.0.58", "albumentations": "2.0.8"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "recipes.yaml").write_text("styles: []\nrecipes: {}\n")
    return Workspace(tmp_path)


def _only(checks: Iterator[Check]) -> Check:
    [check] = checks
    assert check.state == "ok" or check.remedy, "what is wrong comes with what to do"
    return check


def test_this_environment_is_as_locked() -> None:
    assert _only(doctor.check_versions(doctor._locked(Workspace(ROOT)), doctor._installed())).state == "ok"
    assert _only(doctor.check_pairs(doctor._installed())).state == "ok"


def test_what_lies_behind_on_the_path_is_not_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendored = tmp_path / "packaging-0.1.dist-info" / "METADATA"
    vendored.parent.mkdir()
    vendored.write_text("Metadata-Version: 2.1\nName: packaging\nVersion: 0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor._installed()["packaging"] == "0.1"
    sys.path.remove(str(tmp_path))
    sys.path.append(str(tmp_path))
    assert doctor._installed()["packaging"] != "0.1"


def test_versions_are_compared_with_the_lock() -> None:
    locked = {"a": "1", "b": "2", "c": "3"}
    assert _only(doctor.check_versions(locked, {"a": "1", "b": "2+cpu", "c": "3"})).state == "ok"
    other = _only(doctor.check_versions(locked, {"a": "1", "b": "9", "c": "3"}))
    assert (other.state, other.detail) == ("warn", "not as locked: b 9 (lock: 2)")
    absent = _only(doctor.check_versions(locked, {"a": "1", "b": "2"}))
    assert (absent.state, absent.detail) == ("fail", "not installed: c")
    assert _only(doctor.check_versions({}, {})).state == "warn"


@pytest.mark.parametrize(
    ("package", "version", "told"),
    [
        ("fastapi", "0.151.0", "Prefect server cannot start"),
        ("fastapi", "1.0", "Prefect server cannot start"),
        ("sqlalchemy", "2.1.9", "cron never schedules"),
        ("albumentations", "3.0.0", "licence"),
    ],
)
def test_pairs_that_break_in_silence_are_named(package: str, version: str, told: str) -> None:
    found = _only(doctor.check_pairs({**GOOD, package: version}))
    assert found.state == "fail"
    assert told in found.detail
    assert "pip install" in found.remedy


@pytest.mark.parametrize(
    ("torch", "vision", "needed", "told"),
    [
        ("2.15.0", "0.29.2", "==2.15.0", ""),
        ("2.15.0+cu132", "0.29.2", "==2.15.0", ""),
        ("2.14.0", "0.29.2", "==2.15.0", "needs torch==2.15.0"),
        ("2.15.0", "0.29.2", ">=2.14", ""),
        ("2.15.0", "0.29.2", "", ""),
        ("2.15.0+cpu", "0.29.2", "==2.15.0", "different builds"),
        ("2.15.0+cpu", "0.29.2+cpu", "==2.15.0", ""),
        ("", "0.29.2", "==2.15.0", ""),
    ],
)
def test_torch_and_torchvision_must_be_a_pair(torch: str, vision: str, needed: str, told: str) -> None:
    found = doctor.torch_mismatch({"torch": torch, "torchvision": vision}, needed)
    assert told in found
    assert bool(found) == bool(told)


def test_torchvision_says_which_torch_it_needs() -> None:
    assert doctor._torchvision_needs()
    assert doctor.torch_mismatch(doctor._installed(), doctor._torchvision_needs()) == ""


def test_a_wrong_parameter_is_a_failure(workspace: Workspace) -> None:
    assert _only(doctor.check_parameters(workspace)).state == "warn"  # right, but no style yet
    text = workspace.params_file.read_text()
    workspace.params_file.write_text(text.replace("batch: 4", "batch: 0"))
    found = _only(doctor.check_parameters(workspace))
    assert found.state == "fail"
    assert "train.batch" in found.detail


def test_cuda_asked_for_and_absent_is_a_failure(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert next(doctor.check_device(workspace)).state in ("ok", "warn")
    text = workspace.params_file.read_text()
    workspace.params_file.write_text(text.replace("require_device: any", "require_device: cuda"))
    assert _only(doctor.check_device(workspace)).state == "fail"


def test_weights_are_optional_but_a_wrong_path_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(workspace.root / "torch"))
    assert [check.state for check in doctor.check_weights(workspace)] == ["ok", "ok"]
    text = workspace.params_file.read_text()
    workspace.params_file.write_text(text.replace('vgg16: ""', 'vgg16: "/no/such.pth"'))
    vgg16, inception = doctor.check_weights(workspace)
    assert vgg16.state == "fail"
    assert "weights.vgg16 is '/no/such.pth'" in vgg16.detail
    assert inception.state == "ok"


def test_weights_in_the_cache_that_were_cut_short_are_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(workspace.root / "torch"))
    cached = workspace.root / "torch" / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half of it")
    vgg16, inception = doctor.check_weights(workspace)
    assert vgg16.state == "ok"
    assert inception.state == "fail"
    assert str(cached) in inception.detail


def test_dvc_and_git_that_are_not_set_up(workspace: Workspace) -> None:
    assert _only(doctor.check_dvc(workspace)).state == "fail"
    assert _only(doctor.check_git(workspace)).state == "fail"


def test_a_prefect_server_that_does_not_answer(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert _only(doctor.check_prefect(workspace)).state == "ok"
    server = HTTPServer(("127.0.0.1", 0), _Health)
    url = f"http://127.0.0.1:{server.server_port}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    thread = Thread(target=server.handle_request, daemon=True)
    thread.start()
    assert _only(doctor.check_prefect(workspace)).state == "ok"
    thread.join()
    server.server_close()
    found = _only(doctor.check_prefect(workspace))
    assert found.state == "fail"
    assert "prefect server start" in found.remedy


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_a_damaged_registry_is_found(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert _only(doctor.check_mlflow(workspace)).state == "ok"
    workspace.var.mkdir()
    path = workspace.var / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute("create table t (x)")
    assert _only(doctor.check_mlflow(workspace)).state == "ok"
    path.write_bytes(b"no database at all, but long enough to have a header" * 9)
    found = _only(doctor.check_mlflow(workspace))
    assert found.state == "fail"
    assert "`atelier registry rebuild`" in found.remedy
    assert list(doctor.check_registry(workspace)) == []  # it was said


def test_a_registry_that_was_lost_is_told_without_asking_it(workspace: Workspace) -> None:
    assert list(doctor.check_registry(workspace)) == []
    fields = {"package": "p" * 64, "model": "models/m-1/artifacts", "files": {}, "tags": {}}
    writing = journal.begin(workspace, "register", "monet", **fields)
    writing.note(journal.DONE, version=1, after={"aliases": {"challenger": 1}, "tags": {}})
    found = _only(doctor.check_registry(workspace))
    assert (found.state, "mlflow.db is missing" in found.detail) == ("fail", True)
    assert "`atelier restore DIR`" in found.remedy
    assert not (workspace.var / "mlflow.db").exists()


def test_databases_and_locks_on_a_network_file_system_are_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _only(doctor.check_file_system(workspace)).state == "ok"
    for kind, state in (("nfs4", "fail"), ("cifs", "fail"), ("fuse.sshfs", "fail"), ("btrfs", "ok")):
        monkeypatch.setattr(doctor, "kind_of", lambda _path, kind=kind: (kind, Path("/mnt/share")))
        found = _only(doctor.check_file_system(workspace))
        assert (found.state, kind in found.detail) == (state, True)
        assert "/mnt/share" in found.detail


def test_a_lock_that_is_held_is_told_with_its_holder(workspace: Workspace) -> None:
    path = workspace.var / "locks" / "x.lock"
    path.parent.mkdir(parents=True)
    path.write_text(str(os.getpid()))
    assert _only(doctor.check_locks(workspace)).state == "ok"
    with path.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        found = _only(doctor.check_locks(workspace))
    assert found.state == "warn"
    assert str(os.getpid()) in found.detail


def test_a_removal_that_was_cut_short_is_a_failure(tmp_path: Path) -> None:
    workspace = studio(tmp_path)
    matches = find(workspace, "shared")
    remove(workspace, matches, "r", PARAMS, tracked=False)
    assert list(doctor.check_removals(workspace)) == []
    store(workspace, "monet", [entry("shared"), entry("lily")])
    found = _only(doctor.check_removals(workspace))
    assert found.state == "fail"
    assert f"remove {matches[0].sha256[:12]} ... --style monet" in found.remedy


def test_a_check_that_breaks_is_a_failure_and_not_the_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_workspace: Workspace) -> Iterator[Check]:
        raise RuntimeError("no answer")
        yield

    for name in ("check_dvc", "check_device", "check_git"):
        monkeypatch.setattr(doctor, name, broken)
    found = list(doctor.diagnose(workspace))
    assert [check.state for check in found if "RuntimeError: no answer" in check.detail] == ["fail"] * 3
    assert found[-1].name == "locks"
