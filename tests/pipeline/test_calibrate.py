"""Calibration: arithmetic that can be undone, and a measurement through the trainer's own code."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import calibrate
from pipeline.calibrate import Measurement, measure
from pipeline.params import merge, parse, read_tree
from pipeline.presets import read_preset

ROOT = Path(__file__).parents[2]


@settings(deadline=None)
@given(
    full=st.floats(0.001, 10),
    warm=st.floats(0.001, 10),
    warmup=st.integers(0, 500),
    minutes=st.floats(0.1, 1000),
)
def test_the_steps_fit_and_one_more_does_not(full: float, warm: float, warmup: int, minutes: float) -> None:
    found = Measurement("cpu", full, warm, warmup)
    steps = found.steps_in(minutes)
    assert steps >= 1
    if steps not in (1, warmup + 1):  # the fewest there can be, even if they take longer
        assert found.minutes_for(steps) <= minutes * 1.0001
    assert found.minutes_for(steps + 1) >= minutes * 0.9999 - max(full, warm) / 60


def test_a_known_case() -> None:
    found = Measurement("cpu", seconds_per_step=0.5, warmup_seconds_per_step=0.2, warmup_steps=60)
    # 240 s, of which 95 % are for steps: 228 - 12 = 216 s after warm-up
    assert found.steps_in(4) == 60 + 432
    assert found.minutes_for(492) == pytest.approx(4.0)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take fewer measurements than a schedule deserves."""
    monkeypatch.setattr(calibrate, "_SECONDS", 0.5)


def test_real_steps_are_measured() -> None:
    params = parse(merge(read_tree(ROOT / "params.yaml"), read_preset(ROOT / "presets", "smoke")))
    ticks: list[int] = []
    found = measure(params, "cut", ticks.append)
    assert found.device == "CPU, 1 threads"
    assert 0 < found.seconds_per_step < 10
    assert found.warmup_steps == 2
    assert ticks[0] == 1
    assert len(ticks) >= 5


def test_what_is_timed_are_steps_with_all_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parse(merge(read_tree(ROOT / "params.yaml"), read_preset(ROOT / "presets", "smoke")))
    from pipeline.trainer import Trainer

    real, steps = Trainer.step, list[int]()

    def step(trainer: Trainer, batch: Any, number: int, draw: Any) -> Any:
        steps.append(number)
        return real(trainer, batch, number, draw)

    monkeypatch.setattr(Trainer, "step", step)
    ticks: list[int] = []
    measure(params, "cut", ticks.append)
    assert set(steps[-len(ticks) :]) == {params.cut.warmup_steps}
    assert steps[0] == 0


def test_more_work_takes_longer() -> None:
    base = merge(read_tree(ROOT / "params.yaml"), read_preset(ROOT / "presets", "smoke"))
    small = measure(parse(base), "cut")
    large = measure(parse(merge(base, {"train": {"batch": 8}, "cut": {"generator": {"channels": 24}}})), "cut")
    assert large.seconds_per_step > 1.5 * small.seconds_per_step


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown method 'vae'"):
        measure(parse(read_tree(ROOT / "params.yaml")), "vae")
