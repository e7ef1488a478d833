"""The instrument: what it counts, records and writes. Never a time."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import pictures
from benchmarks.contenders import Case, Fast, Reference, Runner
from benchmarks.roofline import Peaks, layers, record
from benchmarks.train import KINDS, Chase, Quality, case_params, chase, race, section, with_section
from pipeline.data import CropStore
from tests.pipeline.training import smoke_params

CPU = torch.device("cpu")
PEAKS = Peaks(matrix={"fp32": 1e9}, bandwidth=1e8)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    params = smoke_params()
    made = pictures.make(tmp_path_factory.mktemp("pictures"), "ink", 10, 10, params.prepare)
    return Case(params, *made, device="cpu", workers=0)


def test_a_convolution_is_recorded_with_its_cost_forward_and_backward() -> None:
    layer = torch.nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
    image = torch.randn(2, 8, 10, 12)
    work = record(lambda: layer(image).sum().backward())
    forward = 2 * (2 * 16 * 5 * 6) * (8 * 3 * 3)  # a multiplication and an addition for each number and weight
    assert work.flops == 2 * forward  # backward: the weight's gradient alone
    costs = {str(convolution): convolution.cost() for convolution in work.convolutions}
    numbers = image.numel() + layer.weight.numel() + 2 * 16 * 5 * 6
    assert costs == {
        "8→16 3×3 /2 at 2×10×12, forward, contiguous": (forward, 4 * numbers),
        "8→16 3×3 /2 at 2×10×12, backward, contiguous": (forward, 4 * (numbers + layer.weight.numel())),
    }
    assert work.dtype is torch.float32


def test_a_convolution_whose_input_has_another_memory_order_than_its_weight_is_told() -> None:
    layer = torch.nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    image = torch.randn(1, 4, 8, 8)
    (mixed,) = record(lambda: layer(image)).convolutions
    (joined,) = record(lambda: layer(image.contiguous(memory_format=torch.channels_last))).convolutions
    assert str(mixed) == "4→4 3×3 at 1×8×8, forward, mixed"
    assert str(joined) == "4→4 3×3 at 1×8×8, forward"


def test_a_depthwise_convolution_counts_one_channel_at_a_time() -> None:
    blur = torch.nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
    ((convolution, count),) = record(lambda: blur(torch.randn(1, 6, 9, 9))).convolutions.items()
    assert count == 1
    assert str(convolution).startswith("6→6 3×3 depthwise")
    assert convolution.cost()[0] == 2 * 6 * 9 * 9 * 9


def test_the_roofline_is_the_scarcer_resource() -> None:
    assert PEAKS.least_seconds(2e9, 1e8, "fp32") == 2.0
    assert PEAKS.least_seconds(1e9, 3e8, "fp32") == 3.0
    work = record(lambda: torch.nn.Conv2d(16, 16, 3)(torch.randn(1, 16, 16, 16)))
    for peaks, limit in ((replace(PEAKS, bandwidth=1e15), "compute"), (replace(PEAKS, bandwidth=1.0), "memory")):
        (layer,) = layers(work, peaks, "fp32", CPU)
        assert layer.limit == limit
        assert layer.share == pytest.approx(peaks.least_seconds(layer.flops, layer.moved, "fp32") / layer.seconds)


def test_peaks_are_measured() -> None:
    peaks = Peaks.measure(CPU, side=64)
    assert set(peaks.matrix) == {"fp32"}
    assert peaks.matrix["fp32"] > 0
    assert peaks.bandwidth > 0


def test_both_forms_of_a_collection_hold_the_same_crops_and_no_held_out_picture(case: Case) -> None:
    settings = case.params.prepare
    for collection in (case.photos, case.paintings):
        store = CropStore.load(collection.prepared, CPU)
        crops = store.crops.reshape(-1, settings.crop, settings.crop, 3).numpy()
        loose = [np.asarray(Image.open(path)) for path in sorted(collection.loose.iterdir())]
        assert len(loose) == len(crops) == 8 * settings.crops_per_image
        assert np.array_equal(np.stack(loose), crops)
        test = {path.stem for path in (collection.prepared / "test").iterdir()}
        assert len(test) == len(collection.held_out()) == 2
        assert not test & {path.stem.rpartition("-")[0] for path in collection.loose.iterdir()}


def test_blocks_count_steps_and_images_and_the_reference_computes_more_an_image(case: Case) -> None:
    first = case.params.cut.warmup_steps
    flops = {}
    for name, kind in KINDS.items():
        runner = Runner(kind, case, first)
        block = runner.block(2)
        batch = 1 if kind is Reference else case.params.train.batch
        assert (block.steps, block.images) == (2, 2 * batch)
        assert 0 < block.waited < block.seconds
        work = runner.work()
        assert runner.number == first + 3
        assert runner.precision(work) == "fp32"
        assert runner.peak_memory() > 1e7
        flops[name] = work.flops / batch
    assert flops["reference"] > flops["fast"]  # features again, outputs judged twice


def test_a_painting_of_an_untrained_runner_is_a_picture_of_the_photographs_size(case: Case) -> None:
    photographs = case.photos.held_out()
    outputs = Runner(Fast, case, 0).paint(photographs)
    assert [output.shape for output in outputs] == [photograph.shape for photograph in photographs]
    assert all(output.dtype == np.uint8 for output in outputs)
    assert not np.array_equal(outputs[0], outputs[1])


def test_quality_is_reached_by_the_first_state_as_near_as_the_reference() -> None:
    fast = [Quality(1, 0.5, 0.9), Quality(2, 0.3, 0.9), Quality(3, 0.2, 0.9)]
    assert Chase(Quality(3, 0.35, 0.9), fast).reached == fast[1]
    assert Chase(Quality(3, 0.1, 0.9), fast).reached is None


def test_a_section_replaces_its_own_and_says_what_was_not_run() -> None:
    once = with_section("", "cpu", "## cpu\n\nfirst\n")
    assert "first" in once
    assert "Not run: no such device was at hand. `python -m benchmarks.train --device cuda` runs it." in once
    both = with_section(once, "cuda", "## cuda\n\nsecond\n\n| a |\n")
    again = with_section(both, "cpu", "## cpu\n\nthird\n")
    assert "first" not in again
    assert "Not run" not in again
    assert again.index("third") < again.index("second")
    assert with_section(again, "cpu", "## cpu\n\nthird\n") == again


@pytest.mark.parametrize(("device", "side"), [("cpu", 128), ("cuda", 256)])
def test_a_device_is_measured_with_its_preset(device: str, side: int) -> None:
    params = case_params(device, side)
    assert (params.train.crop, params.train.device, params.prepare.view) == (side, device, side)
    assert params.prepare.crop > side


@pytest.mark.slow
def test_a_race_and_a_chase_are_told_in_full(case: Case) -> None:
    raced = race(case, seconds=0.3, roofline=True)
    assert {len(lane.blocks) for lane in raced.lanes.values()} == {len(raced.ratios)}
    assert all(math.isfinite(ratio) and ratio > 0 for ratio in raced.ratios)
    chased = chase(case, {"fast": 8.0, "reference": 16.0}, minutes=1 / 60, checks=2)
    assert [each.minutes for each in chased.fast] == sorted(each.minutes for each in chased.fast)
    text = section(case, raced, chased, "ink")
    for said in ("images a second", "matrix peak", "waiting for data", "peak memory", "Time to quality", "roofline"):
        assert said in text
    assert "There is no target for this size" in text
    assert with_section("", "cpu", text).count("\n## ") == 2


def test_without_a_gpu_the_gpu_part_refuses_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import train

    if torch.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.setattr(train, "RESULT", Path("/nonexistent/train.md"))
    with pytest.raises(SystemExit, match="no CUDA device is visible; nothing was measured"):
        train.main(["--device", "cuda"])
