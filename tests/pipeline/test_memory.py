"""Out of memory: the batch that would fit is found with few tries and said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.memory import largest_batch, out_of_memory, step_fits
from pipeline.methods.base import Batch, Losses
from pipeline.train import main
from pipeline.trainer import Trainer
from tests.pipeline.training import smoke_params, tiny_workspace

CPU = torch.device("cpu")


@given(most=st.integers(0, 300), start=st.integers(1, 300), limit=st.integers(1, 300))
def test_the_largest_that_fits_is_found_with_few_tries(most: int, start: int, limit: int) -> None:
    tried: list[int] = []

    def fits(batch: int) -> bool:
        tried.append(batch)
        return batch <= most

    assert largest_batch(fits, start, limit) == min(most, limit - 1)
    assert len(tried) == len(set(tried)) <= 20
    assert all(1 <= batch < limit for batch in tried)


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> int:
    """A device that holds steps of at most 5 images."""
    real = Trainer.step

    def step(trainer: Trainer, batch: Batch, number: int, draw: torch.Generator) -> Losses:
        if len(batch.photos) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(trainer, batch, number, draw)

    monkeypatch.setattr(Trainer, "step", step)
    return 5


def test_a_step_is_really_taken_to_see_whether_it_fits(holds: int) -> None:
    fits = step_fits(smoke_params(), "cut", CPU)
    assert fits(holds)
    assert not fits(holds + 1)


def test_a_training_that_runs_out_of_memory_says_what_would_fit(tmp_path: Path, holds: int) -> None:
    workspace = tiny_workspace(tmp_path, train={"batch": 8})
    with pytest.raises(ValueError, match=rf"train\.batch 8.*{holds} would fit: set train\.batch to {holds}"):
        main("dots", workspace)


def test_where_nothing_fits_the_sentence_names_what_else_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.memory.step_fits", lambda *_: lambda _: False)
    assert "lower train.crop" in out_of_memory(smoke_params(), "cut", CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_is_found_on_a_gpu_fits_and_a_quarter_more_does_not() -> None:
    gpu = torch.device("cuda")
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2e9 / torch.cuda.mem_get_info()[1]))
    try:
        fits = step_fits(smoke_params(train={"crop": 32}, cut={"generator": {"channels": 64}}), "cut", gpu)
        found = largest_batch(fits, 8)
        assert 0 < found < 4096
        assert fits(found)
        assert not fits(found + found // 4 + 1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
