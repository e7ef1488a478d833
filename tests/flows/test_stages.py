"""What `dvc repro` says is read as stages and states."""

from __future__ import annotations

import pytest

from flows.stages import Board, _why

NAMES = ("prepare_photos", "prepare@ink", "train@ink", "package@ink", "evaluate@ink")
# Captured from dvc 3.67.
BEGINNING = """\
'data/photos.dvc' didn't change, skipping
Stage 'prepare_photos' didn't change, skipping
'data/styles/ink.dvc' didn't change, skipping
Stage 'prepare@ink' is cached - skipping run, checking out outputs
Running stage 'train@ink':
> python -m pipeline.train ink
step 1
"""
END = """\
Updating lock file 'dvc.lock'
Running stage 'package@ink':
> python -m pipeline.package ink
Running stage 'evaluate@ink':
> python -m pipeline.evaluate ink
Use `dvc push` to send your updates to remote storage.
"""
FAILURE = """\
error: train.require_device is cuda, but there is none
ERROR: failed to reproduce 'train@ink': failed to run: python -m pipeline.train ink, exited with 2
"""


def board(text: str) -> Board:
    made = Board(dict.fromkeys(NAMES, "waiting"))
    for line in text.splitlines():
        made.read(line)
    return made


def test_states_follow_the_output() -> None:
    running = board(BEGINNING)
    assert list(running.stages.values()) == ["unchanged", "from cache", "running", "waiting", "waiting"]
    assert running.running == "train@ink"
    ended = board(BEGINNING + END)
    ended.close(succeeded=True)
    assert list(ended.stages.values()) == ["unchanged", "from cache", "done", "done", "done"]
    assert ended.ran == ["train@ink", "package@ink", "evaluate@ink"]
    assert [row["stage"] for row in ended.table()] == list(NAMES)


def test_a_failure_names_the_stage_and_gives_its_own_sentence() -> None:
    failed = board(BEGINNING + FAILURE)
    failed.close(succeeded=False)
    assert failed.stages["train@ink"] == "failed"
    assert _why(failed, FAILURE.splitlines(), 255) == (
        "train@ink failed: train.require_device is cuda, but there is none"
    )


@pytest.mark.parametrize("tail", [["Killed"], ["Killed", "ERROR: failed to reproduce 'train@ink': failed to run"]])
def test_a_failure_without_a_sentence_gives_the_last_word(tail: list[str]) -> None:
    failed = board(BEGINNING)
    failed.close(succeeded=False)
    assert _why(failed, tail, 255) == "train@ink failed (exit status 255): Killed"
