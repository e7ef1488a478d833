"""What can happen to a training, and that nothing is lost: it ends in the bytes of one that nothing happened to."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline import tracking
from pipeline.checkpoints import drop_other_keys, load_newest, save_checkpoint
from pipeline.files import read_json, sweep
from pipeline.methods.base import Batch, Losses
from pipeline.train import StoppedError, main
from pipeline.trainer import Trainer
from pipeline.workspace import Workspace
from tests.pipeline.kill_training import FILES
from tests.pipeline.training import ROOT, prepare_by_hand, smoke_params, tiny_workspace

RUN = {"train": {"steps": 6, "checkpoint_every": 2, "log_every": 2, "sample_every": 6}}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def _workspace(root: Path, **overlays: object) -> Workspace:
    root.mkdir(parents=True)
    return tiny_workspace(root, **{**RUN, **overlays})


def _checkpoints(workspace: Workspace) -> list[Path]:
    return sorted(workspace.checkpoints("dots").rglob("step-*.ckpt"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    torch.set_num_threads(1)
    return _bytes(main("dots", _workspace(tmp_path_factory.mktemp("undisturbed") / "w")))


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what sends SIGTERM in the middle of a step, once; then the training ends with StoppedError."""

    def arrange(number: int) -> None:
        original, asked = Trainer.step, []

        def step(self: Trainer, batch: Batch, at: int, draw: torch.Generator) -> Losses:
            if at == number and not asked:
                asked.append(at)
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self, batch, at, draw)

        monkeypatch.setattr(Trainer, "step", step)

    return arrange


def _stopped(workspace: Workspace) -> Workspace:
    with pytest.raises(StoppedError):
        main("dots", workspace)
    return workspace


@pytest.mark.slow
def test_killed_before_any_file_operation_of_a_save_it_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    _workspace(tmp_path / "template")
    command = [sys.executable, "-m", "tests.pipeline.kill_training", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=550)
    attempts = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(one["killed"] and one["same"] and not one["left"] for one in attempts), attempts
    saving = [one for one in attempts if ".ckpt" in one["operation"]]
    assert len(saving) >= 12
    for one in saving:  # never further back than the checkpoint before the one that was being written
        step = int(one["operation"].partition("step-")[2][:8])
        if "os.remove" not in one["operation"]:
            assert one["newest"] in ((step - 2, step) if step else (None, 0)), one


def test_sigterm_in_the_middle_of_a_step_finishes_it_first(
    tmp_path: Path, stop_at: Callable[[int], None], undisturbed: dict[str, bytes]
) -> None:
    stop_at(4)
    workspace = _stopped(_workspace(tmp_path / "w"))
    assert _checkpoints(workspace)[-1].name == "step-00000005.ckpt"
    assert _bytes(main("dots", workspace)) == undisturbed


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_fills_up_in_a_save_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes], call: str
) -> None:
    workspace = _workspace(tmp_path / "w")
    full, fsync, opened = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), os.fsync, Path.open

    def synced(handle: int) -> None:
        if "step-00000004.ckpt" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise full
        fsync(handle)

    def open_(self: Path, *arguments: object, **named: object) -> object:
        stream = opened(self, *arguments, **named)  # type: ignore[call-overload]
        if "step-00000004.ckpt" in self.name:
            stream.write(b"the first few bytes still fit")
            stream.close()
            raise full
        return stream

    monkeypatch.setattr(*((os, "fsync", synced) if call == "fsync" else (Path, "open", open_)))
    with pytest.raises(ValueError, match=r"step-00000004\.ckpt.*No space left.*free some space") as caught:
        main("dots", workspace)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert [path.name for path in _checkpoints(workspace)] == ["step-00000000.ckpt", "step-00000002.ckpt"]
    assert _bytes(main("dots", workspace)) == undisturbed
    assert not list(workspace.root.rglob("*.tmp"))


@pytest.mark.parametrize("damaged", [1, 2])
@pytest.mark.parametrize("how", ["flipped", "cut", "empty"])
def test_damaged_checkpoints_give_way_to_the_one_before_or_to_the_start(
    tmp_path: Path,
    stop_at: Callable[[int], None],
    undisturbed: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
    how: str,
    damaged: int,
) -> None:
    stop_at(4)
    workspace = _stopped(_workspace(tmp_path / "w"))
    for path in _checkpoints(workspace)[-damaged:]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes({"flipped": bytes(data), "cut": bytes(data[:1000]), "empty": b""}[how])
    assert _bytes(main("dots", workspace)) == undisturbed
    errors = capsys.readouterr().err
    assert errors.count("is damaged") == damaged
    assert ("resuming dots after step 4" in errors) == (damaged == 1)


def test_data_that_grew_since_the_kill_are_trained_on_from_the_start_and_the_old_state_goes_last(
    tmp_path: Path, stop_at: Callable[[int], None], undisturbed: dict[str, bytes]
) -> None:
    stop_at(4)
    workspace = _stopped(_workspace(tmp_path / "w"))
    before = tmp_path / "before"
    shutil.copytree(workspace.prepared("dots"), before)
    shutil.rmtree(workspace.prepared("dots"))
    prepare_by_hand(workspace.prepared("dots"), "paintings", smoke_params(**RUN), seed=2, train=7)
    stop_at(4)
    _stopped(workspace)
    folders = {path.parent for path in _checkpoints(workspace)}
    assert len(folders) == 2  # what was trained on the old data is still there
    grown = _bytes(main("dots", workspace))
    assert grown != undisturbed
    assert len([path for path in workspace.checkpoints("dots").iterdir() if path.is_dir()]) == 1
    shutil.rmtree(workspace.prepared("dots"))
    shutil.copytree(before, workspace.prepared("dots"))
    assert _bytes(main("dots", workspace)) == undisturbed


def test_other_runs_state_goes_when_a_run_has_finished_and_the_lock_stays(tmp_path: Path) -> None:
    for key in ("old", "new"):
        save_checkpoint(tmp_path / key, 1, {"step": 1}, keep=2)
    (tmp_path / "lock").touch()
    drop_other_keys(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "new"]
    assert load_newest(tmp_path / "new", CPU) is not None


def test_what_a_killed_process_left_half_written_goes_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / "a.npz", tmp_path / "in" / "b.tmp", tmp_path / ".c", tmp_path / ".tmp"]
    gone = [tmp_path / ".a.npz.12.tmp", tmp_path / "in" / ".b.1.tmp", tmp_path / ".dots.77.tmp" / ".x.77.tmp"]
    for path in (*kept, *gone):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    sweep(tmp_path, "dots")
    assert [path.exists() for path in gone] == [True, True, False]
    sweep(tmp_path)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)


LONG = {"train": {"steps": 100_000, "checkpoint_every": 5, "sample_every": 100_000, "watch_every": 100_000}}


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _start(command: list[str], workspace: Workspace) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=workspace.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_of_two_trainers_at_once_the_second_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path / "w", **LONG)
    command = [sys.executable, "-m", "pipeline.train", "dots"]
    first = _start(command, workspace)
    try:
        _until(lambda: len(_checkpoints(workspace)) > 1, "no checkpoint")
        second = _start(command, workspace)
        out, _ = second.communicate(timeout=120)
        assert second.returncode == 2
        assert f"already running (process {first.pid})" in out
        newest = _checkpoints(workspace)[-1]
        _until(lambda: _checkpoints(workspace)[-1] > newest, "the first has stopped")
    finally:
        first.kill()
        first.communicate()


@pytest.mark.slow
def test_a_trainer_ends_with_the_dvc_that_started_it_and_the_next_goes_on(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path / "w", **LONG)
    stage = "stages: {train: {cmd: python -m pipeline.train dots, outs: [runs/dots]}}\n"
    (workspace.root / "dvc.yaml").write_text(stage)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=workspace.root, check=True)
    dvc = [sys.executable, "-m", "dvc", "repro", "train"]
    lock = workspace.checkpoints("dots") / "lock"
    first = _start(dvc, workspace)
    _until(lambda: len(_checkpoints(workspace)) > 1, "no checkpoint")
    trainer = int(lock.read_text())
    assert trainer != first.pid
    first.kill()
    first.communicate()
    _until(lambda: not _runs(trainer), "the trainer outlived dvc")
    newest = int(_checkpoints(workspace)[-1].stem.removeprefix("step-"))
    again = _start([sys.executable, "-m", "pipeline.train", "dots"], workspace)
    try:
        _until(lambda: int(_checkpoints(workspace)[-1].stem.removeprefix("step-")) > newest, "it does not go on")
    finally:
        again.terminate()
        out, _ = again.communicate()
    assert f"resuming dots after step {newest}" in out
    assert again.returncode == 128 + signal.SIGTERM


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("down", ["start", "middle", "end", "always"])
def test_mlflow_that_is_down_gets_every_metric_once_when_it_is_back(
    tmp_path: Path,
    stop_at: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    mlflow_store: Callable[[Path], None],
    down: str,
) -> None:
    """The training is stopped and goes on between the three times at which MLflow is fed."""
    workspace = _workspace(tmp_path / "w", train={**RUN["train"], "steps": 9, "log_every": 1})
    mlflow_store(workspace.root)
    client = tracking.client
    for when in ("start", "middle", "end"):
        if when == "end":
            main("dots", workspace)
        else:
            stop_at({"start": 3, "middle": 6}[when])
            _stopped(workspace)

        def dead(_: Workspace) -> None:
            raise ConnectionError("no store")

        monkeypatch.setattr(tracking, "client", dead if down in (when, "always") else client)
        with tracking.following(workspace, "dots", {}, every=60):
            pass  # it feeds once behind the block, and a failure is a warning
    monkeypatch.setattr(tracking, "client", client)
    tracking.feed(workspace, "dots")
    key = read_json(workspace.work / "logs" / "dots.json")["key"]
    store, run = client(workspace), tracking.run_of(workspace, "dots", key)
    with (workspace.trained("dots") / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for name in set(rows[-1]) - {"step"}:
        fed = sorted((metric.step, metric.value) for metric in store.get_metric_history(run, name))
        expected = [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-4)) for row in rows if row[name]]
        assert fed == expected, name
