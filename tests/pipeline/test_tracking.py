"""The trainer's log reaches MLflow, each line once, whatever happens in between."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import tracking
from pipeline.files import read_json, write_json
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace
from tests.pipeline.pictures import encoded, texture


@pytest.fixture(scope="module")
def place(mlflow_store: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = empty_workspace(tmp_path_factory.mktemp("tracking"))
    mlflow_store(workspace.root)
    return workspace


class Trainer:
    """Writes a log as the trainer does."""

    def __init__(self, workspace: Workspace, recipe: str, key: str) -> None:
        self.path = workspace.checkpoints(recipe) / key / "log.jsonl"
        self.path.parent.mkdir(parents=True)
        self.path.touch()
        pointer = {"log": self.path.relative_to(workspace.root).as_posix(), "key": key}
        write_json(workspace.work / "logs" / f"{recipe}.json", pointer)

    def write(self, steps: Sequence[int], event: str = "metrics", extra: float = 0.0) -> None:
        with self.path.open("a") as stream:
            for step in steps:
                values = {"g_gan": step / 10, "note": "text", "lost": None}
                line = {"event": event, "step": step, "steps": 9, "time": time.time() + extra, "values": values}
                stream.write(json.dumps(line) + "\n")


def history(workspace: Workspace, recipe: str, key: str) -> list[tuple[int, float]]:
    store = tracking.client(workspace)
    run = tracking.run_of(workspace, recipe, key)
    return sorted((metric.step, metric.value) for metric in store.get_metric_history(run, "g_gan"))


def test_lines_are_fed_once_and_a_torn_one_waits(place: Workspace) -> None:
    trainer = Trainer(place, "ink", "k1")
    trainer.write([0], event="start")
    trainer.write([1, 2])
    with trainer.path.open("a") as stream:
        stream.write('{"event": "metrics", "step": 3, "ste')
    assert tracking.feed(place, "ink", {"train": {"steps": 9}}) == 2
    assert tracking.feed(place, "ink") == 0
    with trainer.path.open("a") as stream:
        stream.write('ps": 9, "time": 1.0, "values": {"g_gan": 0.3}}\n')
    assert tracking.feed(place, "ink") == 1
    assert history(place, "ink", "k1") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    run = tracking.client(place).get_run(tracking.run_of(place, "ink", "k1"))
    assert run.data.params == {"train.steps": "9"}


def test_what_was_fed_but_not_noted_is_not_doubled(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(place, "oil", "k1")
    trainer.write([1, 2])

    def killed(path: Path, value: Any) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracking, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        tracking.feed(place, "oil")
    monkeypatch.undo()
    trainer.write([3])
    tracking.feed(place, "oil")
    assert history(place, "oil", "k1") == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_a_resumed_training_repeats_steps_and_mlflow_does_not(place: Workspace) -> None:
    trainer = Trainer(place, "wash", "k1")
    trainer.write([1, 2, 3, 4])
    tracking.feed(place, "wash")
    kept = trainer.path.read_text().splitlines(keepends=True)[:2]
    trainer.path.write_text("".join(kept))  # as RunLog does: what came after the checkpoint is dropped
    trainer.write([3], extra=60)
    tracking.feed(place, "wash")
    trainer.write([4, 5], extra=60)
    tracking.feed(place, "wash")
    assert history(place, "wash", "k1") == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)]


def test_a_log_written_anew_that_is_longer_than_before_is_read_anew(place: Workspace) -> None:
    """A training went back, and was past the old end before MLflow was there again."""
    trainer = Trainer(place, "gouache", "k1")
    trainer.write([1])
    trainer.write([2] * 5, event="sample")
    tracking.feed(place, "gouache")
    kept = trainer.path.read_text().splitlines(keepends=True)[:1]
    trainer.path.write_text("".join(kept))
    trainer.write(range(2, 9), extra=60)
    tracking.feed(place, "gouache")
    assert history(place, "gouache", "k1") == [(step, step / 10) for step in range(1, 9)]


def test_reading_from_inside_a_line_begins_with_the_next(place: Workspace) -> None:
    trainer = Trainer(place, "tempera", "k1")
    trainer.write([1, 2])
    log = tracking.training_log(place, "tempera")
    assert log is not None
    first = trainer.path.read_bytes().index(b"\n") + 1
    for offset, steps in ((0, [1, 2]), (1, [2]), (first - 1, [2]), (first, [2]), (first + 1, [])):
        assert [event.step for event in log.events(offset)[0]] == steps


def test_each_training_has_one_run(place: Workspace) -> None:
    assert tracking.run_of(place, "mosaic", "k1") == tracking.run_of(place, "mosaic", "k1")
    assert tracking.run_of(place, "mosaic", "k1") != tracking.run_of(place, "mosaic", "k2")


def test_the_log_is_followed_while_it_grows(place: Workspace) -> None:
    tracking.run_of(place, "live", "k1")
    with tracking.following(place, "live", {}, every=0.05):
        trainer = Trainer(place, "live", "k1")
        trainer.write([1])
        deadline = time.monotonic() + 30
        fed = trainer.path.with_suffix(".fed.json")
        while not fed.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert read_json(fed)["step"] == 1
        trainer.write([2])
    assert history(place, "live", "k1") == [(1, 0.1), (2, 0.2)]


def test_a_dead_store_costs_the_training_nothing(
    place: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def dead(workspace: Workspace) -> None:
        raise ConnectionError("no store")

    monkeypatch.setattr(tracking, "client", dead)
    trainer = Trainer(place, "late", "k1")
    with tracking.following(place, "late", {}):
        trainer.write([1])
    assert "no store" in caplog.text
    monkeypatch.undo()
    assert tracking.feed(place, "late") == 1


def test_scores_report_and_gallery_join_the_run(place: Workspace) -> None:
    report = place.report("ink")
    (report / "gallery").mkdir(parents=True)
    write_json(report / "summary.json", {"style": {"patch_swd": 3.5}, "odd": None})
    (report / "report.html").write_text("<html></html>")
    (report / "gallery" / "1.jpg").write_bytes(b"jpg")
    (report / "sheets").mkdir()
    for name in ("overview", "worst"):
        (report / "sheets" / f"{name}.jpg").write_bytes(encoded(texture(1), "JPEG"))
    judged = report / "judged.html"
    judged.write_text("<html>Accepted</html>")
    run = tracking.run_of(place, "ink", "scored")
    for _ in range(2):
        tracking.log_evaluation(place, "ink", run, judged)
    store = tracking.client(place)
    assert store.get_run(run).data.metrics == {"evaluation/style.patch_swd": 3.5}
    assert len(store.get_metric_history(run, "evaluation/style.patch_swd")) == 1
    assert {item.path for item in store.list_artifacts(run, "report")} == {"report/report.html", "report/gallery"}
    assert Path(store.download_artifacts(run, "report/report.html")).read_text() == "<html>Accepted</html>"
    images = [Path(item.path).name for item in store.list_artifacts(run, "images") if item.path.endswith(".png")]
    assert sorted(re.split("[+%]", name)[0] for name in images) == ["overview", "worst"]


def test_no_log_is_no_error(place: Workspace) -> None:
    assert tracking.training_log(place, "nothing") is None
    assert tracking.feed(place, "nothing") == 0
