"""MLflow's store, and how a training run gets into it: from the trainer's local log, each line once.

The trainer never waits for MLflow. A flow follows the log while it grows, in a thread of its own, and whatever
did not arrive then is fed after the training, or by the next run.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import fsync_directory, read_json, sha256_bytes, write_json
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT = "style-atelier"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
_TAIL = 4096  # bytes
_BATCH = 500  # metrics in one call; MLflow takes at most 1000
_LOGGER = logging.getLogger(__name__)


class StoreError(ValueError):
    """MLflow's database cannot be used now: another process holds it, or the disk is full or cannot be read."""


@contextmanager
def answering(workspace: Workspace) -> Iterator[None]:
    """Turn what MLflow and its database say of a store that does not answer, in pages, into one sentence.

    Raises:
        StoreError: instead of whatever they raised in the block.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        said = str(getattr(error, "orig", None) or error).partition("[SQL")[0]
        raise StoreError(
            f"MLflow's database {workspace.var / 'mlflow.db'} does not answer ({' '.join(said.split())}); nothing is "
            f"lost: mend that, then run the same command again"
        ) from error


@dataclass(frozen=True)
class Event:
    """One line of the trainer's log."""

    event: str
    step: int
    steps: int
    time: float  # seconds since 1970
    values: Mapping[str, Any]


@dataclass(frozen=True)
class TrainingLog:
    """The log of a recipe's newest training."""

    path: Path
    key: str

    @property
    def fed(self) -> Path:
        """How much of it MLflow has: `{"run", "offset", "tail", "step"}`."""
        return self.path.with_suffix(".fed.json")

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Return the whole lines that begin at byte `offset` or behind it, and the offset behind the last of them.

        A training that goes back to a checkpoint writes its log anew from there, so `offset` may be inside a line.
        """
        with self.path.open("rb") as stream:
            if offset:
                stream.seek(offset - 1)
                stream.readline()
                offset = stream.tell()
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        return [Event(**json.loads(line)) for line in whole.splitlines()], offset + len(whole)


    def tail(self, offset: int) -> str:
        """Return a digest of what stands before byte `offset`; lines hold their time, so it changes with the log."""
        with self.path.open("rb") as stream:
            stream.seek(max(0, offset - _TAIL))
            return sha256_bytes(stream.read(min(offset, _TAIL)))


def training_log(workspace: Workspace, recipe: str) -> TrainingLog | None:
    """Return the log of the recipe's newest training, or None when there is none (it may have been deleted)."""
    pointer = workspace.work / "logs" / f"{recipe}.json"
    if not pointer.is_file():
        return None
    entry = read_json(pointer)
    log = TrainingLog(workspace.root / str(entry["log"]), str(entry["key"]))
    return log if log.path.is_file() else None


@dataclass(frozen=True)
class Training:
    """One training of a recipe, as its run has it; times in seconds since 1970, 0 where it did not end."""

    run: str
    recipe: str
    key: str
    began: float
    ended: float
    steps: int


def trainings(workspace: Workspace, recipe: str | None = None) -> list[Training]:
    """Return the trainings that MLflow has of a recipe, or of all, oldest first. There must be a database."""
    store = client(workspace)
    experiment = store.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    query, found, token = f"tags.recipe = '{recipe}'" if recipe else "", [], None
    while True:
        page = store.search_runs([experiment.experiment_id], query, page_token=token)
        found += [_training(run) for run in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda training: training.began)


def _training(run: Run) -> Training:
    return Training(
        run=str(run.info.run_id),
        recipe=str(run.data.tags.get("recipe", "")),
        key=str(run.data.tags.get("key", "")),
        began=run.info.start_time / 1000,
        ended=(run.info.end_time or 0) / 1000,
        steps=int(run.data.params.get("train.steps", 0)),
    )


def client(workspace: Workspace) -> MlflowClient:
    """Return a client of the workspace's own store, which is made when it is not there yet.

    MLflow's process-wide addresses are set too, because logging and loading models go by them: whatever server
    `MLFLOW_TRACKING_URI` names is not asked, so none that is down can stop anything.

    Raises:
        StoreError: the database does not answer.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    # Its advice on type hints, examples and migrations is not for the people who read our output.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It logs a traceback of whatever the database says, and raises that too; `answering` makes a sentence of it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    workspace.var.mkdir(parents=True, exist_ok=True)
    uri = workspace.tracking_uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with answering(workspace), store_lock(workspace, "first"):  # of several first writers all but one crash
        _make_database(workspace)
        store = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        if store.get_experiment_by_name(EXPERIMENT) is None:
            store.create_experiment(EXPERIMENT, artifact_location=workspace.artifacts.as_uri())
    return store


def _make_database(workspace: Workspace) -> None:
    """Make the database, if there is none, in one step; the caller holds a lock.

    MLflow makes its tables one by one, and where that was cut short it never goes on: nothing could be registered.
    """
    path = workspace.var / "mlflow.db"
    if path.is_file() and path.stat().st_size:
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for left in workspace.var.glob(f".{path.name}.*.tmp*"):  # of one that was killed
        left.unlink()
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    store: Any = SqlAlchemyStore(f"sqlite:///{draft}", workspace.artifacts.as_uri())  # type: ignore[no-untyped-call]
    store.create_experiment(EXPERIMENT, artifact_location=workspace.artifacts.as_uri())
    store.engine.dispose()
    with draft.open("rb") as stream:
        os.fsync(stream.fileno())
    draft.replace(path)
    fsync_directory(path.parent)


@contextmanager
def store_lock(workspace: Workspace, name: str) -> Iterator[None]:
    """Wait for, then hold, the lock `var/mlflow-<name>.lock`."""
    import fcntl

    path = workspace.var / f"mlflow-{name}.lock"
    while True:
        workspace.var.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            # A restore may have put another var/ in the place of the one whose lock was waited for.
            if path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                yield
                return


def run_of(workspace: Workspace, recipe: str, key: str, params: Mapping[str, Any] | None = None) -> str:
    """Return the id of the one run of (recipe, training key), made when there is none.

    Args:
        workspace: whose store.
        recipe: the recipe's name.
        key: the training key, or the package digest where no training log is left.
        params: nested values logged as parameters when the run is made.
    """
    store = client(workspace)
    experiment = store.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    with store_lock(workspace, "runs"):
        query = f"tags.recipe = '{recipe}' and tags.key = '{key}'"
        found = store.search_runs([experiment.experiment_id], query, max_results=1)
        if found:
            return str(found[0].info.run_id)
        tags = {"recipe": recipe, "key": key}
        run = store.create_run(experiment.experiment_id, run_name=f"{recipe} {key[:12]}", tags=tags)
    run_id = str(run.info.run_id)
    if params:
        from mlflow.entities import Param

        flat = [Param(name, str(value)[:6000]) for name, value in flatten(params).items()]
        for start in range(0, len(flat), 100):  # MLflow takes at most 100 in one call
            store.log_batch(run_id, params=flat[start : start + 100])
    return run_id


def experiment_of(workspace: Workspace, run_id: str) -> str:
    """Return the id of the experiment that a run belongs to."""
    return str(client(workspace).get_run(run_id).info.experiment_id)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted names: `{"a": {"b": 1}}` -> `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def feed(workspace: Workspace, recipe: str, params: Mapping[str, Any] | None = None) -> int:
    """Give MLflow what it does not have yet of the recipe's training log; return the number of lines.

    Interrupted anywhere, the next call goes on where this one stopped: what MLflow took but we had not noted is
    sent again, and MLflow keeps equal metrics once. A log that was written anew from somewhere belongs to a training
    that went back to a checkpoint and repeats steps; those that were fed already are left out.
    """
    log = training_log(workspace, recipe)
    if log is None:
        return 0
    state: dict[str, Any] = read_json(log.fed) if log.fed.is_file() else {"run": "", "offset": 0, "step": -1}
    if state.get("tail") != log.tail(state["offset"]):
        state["offset"] = 0
    events, offset = log.events(state["offset"])
    if not events:
        return 0
    run_id = run_of(workspace, recipe, log.key, params)
    if state["run"] != run_id:  # the store is new: it has nothing of what was fed to another
        state = {"run": run_id, "offset": 0, "step": -1}
        events, offset = log.events()
    new = [event for event in events if event.event == "metrics" and event.step > state["step"]]
    metrics = [metric for event in new for metric in _metrics(event)]
    store = client(workspace)
    for start in range(0, len(metrics), _BATCH):
        store.log_batch(run_id, metrics=metrics[start : start + _BATCH])
    last = max([state["step"], *(event.step for event in new)])
    write_json(log.fed, {"run": run_id, "offset": offset, "tail": log.tail(offset), "step": last})
    return len(new)


def _metrics(event: Event) -> list[Metric]:
    from mlflow.entities import Metric

    numbers = {
        name: value for name, value in event.values.items() if isinstance(value, int | float) and value == value
    }
    return [Metric(name, float(value), round(event.time * 1000), event.step) for name, value in numbers.items()]


@contextmanager
def following(workspace: Workspace, recipe: str, params: Mapping[str, Any], every: float = 5.0) -> Iterator[None]:
    """Feed MLflow from the recipe's log during the block, each `every` seconds, and once more behind it.

    MLflow being late or dead costs the block nothing: a failure is logged as a warning, and the log stays.
    """
    stop = threading.Event()

    def work() -> None:
        before = training_log(workspace, recipe)
        while not stop.wait(every):
            log = training_log(workspace, recipe)
            if log is not None and (log != before or log.fed.is_file()):
                _try_feed(workspace, recipe, params)

    thread = threading.Thread(target=work, name=f"mlflow feed of {recipe}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
        if not thread.is_alive():
            _try_feed(workspace, recipe, params)


def _try_feed(workspace: Workspace, recipe: str, params: Mapping[str, Any]) -> None:
    try:
        feed(workspace, recipe, params)
    except Exception as error:  # whatever is wrong with MLflow must not end a training
        _LOGGER.warning("MLflow did not take the training log of %s, it will be tried again: %s", recipe, error)


def log_evaluation(workspace: Workspace, recipe: str, run_id: str, report: Path | None = None) -> None:
    """Give the run the evaluation's summary as metrics, and report, gallery and sheets as artifacts, once each.

    Args:
        workspace: whose store.
        recipe: whose evaluation.
        run_id: the run.
        report: the page to log; without one, that of the evaluate stage, which knows no verdict.
    """
    folder = workspace.report(recipe)
    store = client(workspace)
    summary = folder / "summary.json"
    if summary.is_file():
        for name, value in flatten(read_json(summary)).items():
            if isinstance(value, int | float) and value == value:
                store.log_metric(run_id, f"evaluation/{name}", float(value), timestamp=0, step=0)
    if any(item.path == "report" for item in store.list_artifacts(run_id)):
        return
    _log_images(store, run_id, folder / "sheets")
    if (folder / "gallery").is_dir():
        store.log_artifacts(run_id, str(folder / "gallery"), "report/gallery")
    for name in ("metrics.json", "model_card.md"):
        if (folder / name).is_file():
            store.log_artifact(run_id, str(folder / name), "report")
    page = report or folder / "report.html"
    if page.is_file():
        store.log_text(run_id, page.read_text("utf-8"), "report/report.html")


def _log_images(store: MlflowClient, run_id: str, sheets: Path) -> None:
    """Log the sheets as MLflow's own images, which its UI shows beside the metrics and from run to run."""
    from PIL import Image

    for path in sorted(sheets.glob("*.jpg")):
        with Image.open(path) as image:
            store.log_image(run_id, image.convert("RGB"), key=path.stem, step=0, timestamp=0, synchronous=True)


def finish(workspace: Workspace, run_id: str, succeeded: bool) -> None:
    """Mark a run as finished or failed."""
    client(workspace).set_terminated(run_id, "FINISHED" if succeeded else "FAILED")
