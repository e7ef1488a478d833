"""Losses that are not finite: skipped, gone back from, given up at; and the same result however often stopped."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.checkpoints import load_newest, save_checkpoint
from pipeline.files import read_json
from pipeline.inference import generator_weights
from pipeline.methods.base import Batch, Losses
from pipeline.recovery import not_finite
from pipeline.train import StoppedError, main
from pipeline.trainer import Trainer
from pipeline.workspace import Workspace
from tests.pipeline.training import tiny_workspace

RUN = {"train": {"steps": 12, "checkpoint_every": 3, "log_every": 2, "sample_every": 12, "max_bad_steps": 2}}
FILES = ("networks.npz", "best.npz", "config.json", "course.json", "history.csv")
Plant = Callable[..., list[int]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Return what makes some steps' photographs NaN while the pace is above `pace`, and notes the steps made."""

    def poison(*steps: int, pace: float = 0.0, stop_at: int | None = None) -> list[int]:
        made: list[int] = []
        original = Trainer.step

        def step(self: Trainer, batch: Batch, number: int, draw: torch.Generator) -> Losses:
            made.append(number)
            if number in steps and self.pace > pace:
                batch = Batch(batch.photos * float("nan"), batch.paintings)
            if len(made) == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self, batch, number, draw)

        monkeypatch.setattr(Trainer, "step", step)
        return made

    return poison


def _workspace(root: Path) -> Workspace:
    root.mkdir()
    return tiny_workspace(root, **RUN)


def _events(workspace: Workspace, kind: str) -> list[dict[str, object]]:
    path = workspace.root / read_json(workspace.work / "logs" / "dots.json")["log"]
    return [event for line in path.read_text().splitlines() if (event := json.loads(line))["event"] == kind]


def test_a_bad_step_is_skipped_and_counted(tmp_path: Path, plant: Plant) -> None:
    made = plant(5)
    folder = main("dots", _workspace(tmp_path / "w"))
    assert made == list(range(12))
    course = read_json(folder / "course.json")
    assert (course["skipped_steps"], course["rollbacks"]) == (1, [])
    assert all(weight.isfinite().all() for weight in generator_weights(folder / "networks.npz").values())
    rows = (folder / "history.csv").read_text().splitlines()
    assert len(rows) == 7
    assert "nan" not in rows[3]  # of the skipped step: a hole


def test_bad_steps_in_a_row_lead_back_to_the_last_good_checkpoint_at_a_lower_rate(
    tmp_path: Path, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plant(8, 9, pace=0.5)
    workspace = _workspace(tmp_path / "w")
    course = read_json(main("dots", workspace) / "course.json")
    # The checkpoint of the grid at 9 was not written: the step before it was bad already.
    assert made == [*range(10), *range(6, 12)]
    assert [(one["at"], one["to"]) for one in course["rollbacks"]] == [(10, 6)]
    assert "not finite" in course["rollbacks"][0]["why"]
    assert "back from step 10 to 6" in capsys.readouterr().err
    assert [event["step"] for event in _events(workspace, "metrics")] == [2, 4, 6, 8, 10, 12]
    assert [event["step"] for event in _events(workspace, "rollback")] == [6]


def test_trouble_before_the_first_checkpoint_leads_back_to_the_start(tmp_path: Path, plant: Plant) -> None:
    made = plant(0, 1, pace=0.5)
    course = read_json(main("dots", _workspace(tmp_path / "w")) / "course.json")
    assert made == [0, 1, *range(12)]
    assert course["rollbacks"][0]["to"] == 0


def test_it_gives_up_after_so_many_rollbacks_and_keeps_everything(tmp_path: Path, plant: Plant) -> None:
    made = plant(8, 9)
    workspace = _workspace(tmp_path / "w")
    with pytest.raises(ValueError, match=r"stopped at step 10: 2 steps.*3 times.*after step 6.*train\.learning_rate"):
        main("dots", workspace)
    assert made == [*range(10), *range(6, 10), *range(6, 10), *range(6, 10)]
    assert not workspace.trained("dots").exists()
    (folder,) = (path for path in workspace.checkpoints("dots").iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.glob("*.ckpt")) == ["step-00000003.ckpt", "step-00000006.ckpt"]
    state = load_newest(folder, torch.device("cpu"))
    assert state is not None
    assert not_finite(state) is None
    assert state["trainer"]["pace"] == 0.5**3


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    try:
        plant.__wrapped__(patch)(8, 9, pace=0.5)  # type: ignore[attr-defined]
        folder = main("dots", _workspace(tmp_path_factory.mktemp("undisturbed") / "w"))
    finally:
        patch.undo()
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("stop_at", range(1, 16))
def test_stopped_after_any_step_it_ends_bit_for_bit_as_undisturbed(
    tmp_path: Path, plant: Plant, undisturbed: dict[str, bytes], stop_at: int
) -> None:
    """Sixteen steps are made, four of them twice: the stops fall before, into and behind the trouble."""
    workspace = _workspace(tmp_path / "w")
    plant(8, 9, pace=0.5, stop_at=stop_at)
    with pytest.raises(StoppedError):
        main("dots", workspace)
    folder = main("dots", workspace)
    assert {name: (folder / name).read_bytes() for name in FILES} == undisturbed


def test_nan_is_found_anywhere_in_a_state() -> None:
    state = {"a": {0: torch.ones(2), "n": 3}, "b": [1.0], "c": torch.zeros(1, dtype=torch.int64)}
    assert not_finite(state) is None
    assert not_finite(state | {"d": {"e": {1: torch.tensor([1.0, float("inf")])}}}) is not None


def test_the_checkpoint_to_go_back_to_is_spared(tmp_path: Path) -> None:
    for step in (3, 4, 5, 7):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2, spare=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-0000000{step}.ckpt" for step in (3, 5, 7)]
