"""Batches: the same bytes as plain slicing gives, wherever the crops live."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline import data
from pipeline.data import CropStore, Home, choose_home
from tests.pipeline.training import prepare_by_hand, smoke_params

CPU = torch.device("cpu")
CROPS = torch.randint(256, (5, 3, 24, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(7))
WEIGHTS = torch.tensor([1.0, 0.0, 3.0, 1.0, 0.5], dtype=torch.float64)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def sliced(crops: Tensor, weights: Tensor, count: int, side: int, draw: torch.Generator) -> Tensor:
    """The plain way: image by image, with slices."""
    images = torch.multinomial(weights, count, replacement=True, generator=draw)
    which = torch.randint(crops.shape[1], (count,), generator=draw)
    tops, lefts = torch.randint(crops.shape[2] - side + 1, (2, count), generator=draw)
    flips = torch.rand(count, generator=draw) < 0.5
    parts = []
    for image, crop, top, left, flip in zip(images, which, tops, lefts, flips, strict=True):
        part = crops[image, crop, top : top + side, left : left + side]
        parts.append(part.flip(1) if flip else part)
    return torch.stack(parts).permute(0, 3, 1, 2).float() / 127.5 - 1


def stream(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("side", [8, 23, 24])
@pytest.mark.parametrize("home", ["device", "host"])
def test_a_batch_is_what_slicing_gives_to_the_bit_and_channels_last(home: Home, side: int) -> None:
    store = CropStore(CROPS, WEIGHTS, CPU, home)
    for seed in range(4):
        batch = store.batch(6, side, stream(seed))
        assert torch.equal(batch, sliced(CROPS, WEIGHTS, 6, side, stream(seed)))
        assert batch.is_contiguous(memory_format=torch.channels_last)


@needs_cuda
@pytest.mark.gpu
@pytest.mark.parametrize("home", ["device", "host"])
def test_on_a_gpu_it_is_the_same_and_nothing_waits(home: Home) -> None:
    store = CropStore(CROPS, WEIGHTS, torch.device("cuda"), home)
    store.batch(6, 16, stream())
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = store.batch(6, 16, stream())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(batch.cpu(), sliced(CROPS, WEIGHTS, 6, 16, stream()))


def test_processes_share_one_batch_and_leave_the_stream_where_one_process_would() -> None:
    store = CropStore(CROPS, WEIGHTS, CPU)
    streams = [stream(), stream(), stream()]
    parts = [store.batch(2, 16, draw, rank, 3) for rank, draw in enumerate(streams)]
    whole = stream()
    assert torch.equal(torch.cat(parts), store.batch(6, 16, whole))
    assert {float(torch.rand(1, generator=draw)) for draw in streams} == {float(torch.rand(1, generator=whole))}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared" / "dots"
    prepare_by_hand(folder, "paintings", smoke_params(), seed=4)
    return folder


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "free_device_memory", lambda _: 0)
    monkeypatch.setattr(data, "free_host_memory", lambda: 0)


def test_the_home_is_the_first_that_leaves_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "free_device_memory", lambda _: 400)
    monkeypatch.setattr(data, "free_host_memory", lambda: 400)
    gpu = torch.device("cuda")
    assert [choose_home(needed, gpu) for needed in (100, 101, 200, 201)] == ["device", "host", "host", "file"]
    assert [choose_home(needed, CPU) for needed in (200, 201)] == ["device", "file"]


@pytest.mark.usefixtures("no_memory")
def test_what_no_memory_holds_is_read_from_a_file_that_is_made_once(prepared: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    inside = CropStore.load(prepared, CPU)
    streamed = CropStore.load(prepared, CPU, cache)
    assert torch.equal(streamed.batch(8, 20, stream()), inside.batch(8, 20, stream()))
    assert streamed.home == "file"
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    CropStore.load(prepared, CPU, cache)
    assert file.stat().st_mtime_ns == written


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("change", ["another crop", "cut short"])
def test_a_file_that_does_not_hold_the_collection_is_made_anew(prepared: Path, tmp_path: Path, change: str) -> None:
    cache = tmp_path / "cache"
    CropStore.load(prepared, CPU, cache)
    (file,) = cache.iterdir()
    if change == "cut short":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        first, second = sorted((prepared / "train").iterdir())[:2]
        first.write_bytes(second.read_bytes())
    batch = CropStore.load(prepared, CPU, cache).batch(8, 20, stream())
    assert torch.equal(batch, CropStore.load(prepared, CPU).batch(8, 20, stream()))
    assert len(list(cache.iterdir())) == 1


@pytest.mark.usefixtures("no_memory")
def test_a_damaged_crop_leaves_no_half_made_file(prepared: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    last = sorted((prepared / "train").iterdir())[-1]
    good = last.read_bytes()
    (tmp_path / "small").mkdir()
    prepare_by_hand(tmp_path / "small" / "x", "paintings", smoke_params(prepare={"crops_per_image": 1}), seed=4)
    last.write_bytes(next((tmp_path / "small" / "x" / "train").iterdir()).read_bytes())
    with pytest.raises(ValueError, match="prepare it again"):
        CropStore.load(prepared, CPU, cache)
    assert not list(cache.iterdir())
    last.write_bytes(good)
    assert CropStore.load(prepared, CPU, cache).home == "file"
