"""Production is scored on today's held-out images: the same on the same data, and noted when the data changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import drift, tracking
from pipeline.workspace import Workspace
from tests.flows.studio import command, drop
from tests.flows.upping import atelier

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def studio(new_workspace: Callable[[], Path]) -> Workspace:
    root = new_workspace()
    drop(root, "photos", 0, 12)
    drop(root, "ink", 0, 8)
    assert command(root, "flows", "retrain").returncode == 0
    return Workspace(root)


def lines(workspace: Workspace) -> list[dict[str, Any]]:
    path = drift.record_file(workspace, "ink")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.fixture
def evaluate(studio: Workspace, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.evaluate_champion import evaluate_champion

    monkeypatch.chdir(studio.root)

    def call(*recipes: str) -> Any:
        with temporary_settings({PREFECT_API_URL: prefect_server}):
            return evaluate_champion(list(recipes) or None, return_state=True)

    return call


def test_without_a_champion_there_is_nothing_to_score(studio: Workspace, evaluate: Callable[..., Any]) -> None:
    state = evaluate()
    assert (state.is_completed(), state.result()) == (True, [])
    assert lines(studio) == []


def test_on_the_same_data_it_is_what_it_was_and_its_run_says_so(
    studio: Workspace, evaluate: Callable[..., Any]
) -> None:
    done = atelier(studio.root, "promote", "ink", "1", "--reason", "there is no other")
    assert done.returncode == 0, done.stderr
    state = evaluate("ink")
    assert state.is_completed(), state
    [found] = state.result()
    assert not found["data_changed"]
    assert found["moved"] == []
    assert "ink version 1 is what it was at its registration" in found["sentence"]
    [line] = lines(studio)
    [training] = tracking.trainings(studio, "ink")
    figures = tracking.client(studio).get_run(training.run).data.metrics
    # The figures are those of the evaluation at registration to the digit, since nothing changed.
    assert figures["drift/style/patch_swd"] == figures["evaluation/style/patch_swd"]
    assert line["metrics"]["style/patch_swd"]["value"] == figures["drift/style/patch_swd"]


def test_on_other_data_it_says_so(studio: Workspace, evaluate: Callable[..., Any], tmp_path: Path) -> None:
    drop(studio.root, "ink", 100, 20)
    assert atelier(studio.root, "ingest", "inbox/ink", "--style", "ink").returncode == 0
    [found] = evaluate().result()
    assert found["data_changed"]
    assert "which changed since" in found["sentence"]
    first, second = lines(studio)
    assert second["counts"]["paintings"] > first["counts"]["paintings"]


def test_one_that_cannot_be_scored_fails_the_run(studio: Workspace, evaluate: Callable[..., Any]) -> None:
    package = next((studio.var / "mlartifacts").rglob("generator.safetensors"))
    whole = package.read_bytes()
    package.write_bytes(whole[:-8] + bytes(8))
    try:
        state = evaluate()
    finally:
        package.write_bytes(whole)
    assert state.is_failed()
    assert state.message == "not scored: ink"
    assert len(lines(studio)) == 2
