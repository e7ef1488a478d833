"""The fast path and the reference, each in a process of its own, trained by the block."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.pictures import Collection, Pixels
from benchmarks.reference.cut import ReferenceCut
from benchmarks.reference.data import Unpaired, endless
from benchmarks.roofline import Layer, Peaks, Work, layers, record, synchronise
from pipeline.data import CropStore
from pipeline.methods import build_method
from pipeline.methods.base import Batch
from pipeline.params import Params
from pipeline.trainer import Trainer, scalars, step_randomness

Result = TypeVar("Result")
_PROFILED = 5  # steps


@dataclass(frozen=True)
class Case:
    """What both train on."""

    params: Params
    photos: Collection
    paintings: Collection
    device: str
    workers: int  # of the reference's DataLoader


@dataclass(frozen=True)
class Block:
    """Some steps in a row."""

    steps: int
    images: int
    seconds: float
    waited: float  # seconds in which the loop did nothing but get its batch


@dataclass(frozen=True)
class Cost:
    """An operator's share of the time of a profiled step, without that of operators it calls."""

    operator: str
    share: float
    calls: float  # a step


@dataclass(frozen=True)
class Profile:
    """Where the time of a step goes."""

    costs: list[Cost]
    busy: float | None  # share of the wall time in which a GPU was at work


class Contender(Protocol):
    """A trainer with its data."""

    batch: int

    def step(self, number: int) -> float:
        """Train one step; return the seconds until its batch was there."""
        ...

    def averaged(self) -> nn.Module:
        """Return the averaged generator."""
        ...


class Fast:
    """The pipeline's own path, with the losses read as seldom as its loop reads them."""

    def __init__(self, case: Case) -> None:
        """Load the crops and build the trainer."""
        self.params, device = case.params, torch.device(case.device)
        self.batch = case.params.train.batch
        self.stores = [CropStore.load(each.prepared, device) for each in (case.photos, case.paintings)]
        self.trainer = Trainer(build_method("cut", case.params), case.params.train, device)

    def step(self, number: int) -> float:
        """Train one step; see `Contender.step`."""
        settings = self.params.train
        started = time.perf_counter()
        draw = step_randomness(self.params.seed, number)
        batch = Batch(*(store.batch(settings.batch, settings.crop, draw) for store in self.stores))
        waited = time.perf_counter() - started
        losses = self.trainer.step(batch, number, draw)
        if (number + 1) % settings.log_every == 0:
            scalars(losses)
        return waited

    def averaged(self) -> nn.Module:
        """Return the averaged generator."""
        return self.trainer.averages["generator"].network


class Reference:
    """The plain trainer behind a DataLoader."""

    batch = 1

    def __init__(self, case: Case) -> None:
        """Start the DataLoader and build the trainer."""
        torch.backends.cudnn.benchmark = True  # as public implementations set it
        self.params, self.device = case.params, torch.device(case.device)
        self.batches = endless(
            Unpaired(case.photos.loose, case.paintings.loose, case.params.train.crop), case.workers
        )
        self.trainer = ReferenceCut(case.params, self.device)

    def step(self, number: int) -> float:
        """Train one step; see `Contender.step`."""
        started = time.perf_counter()
        photo, painting = (images.to(self.device) for images in next(self.batches))
        waited = time.perf_counter() - started
        self.trainer.step(photo, painting, number, step_randomness(self.params.seed, number))
        return waited

    def averaged(self) -> nn.Module:
        """Return the averaged generator."""
        return self.trainer.average.network


class Runner:
    """Trains a contender and answers questions about it."""

    def __init__(self, kind: Callable[[Case], Contender], case: Case, first: int) -> None:
        """Build the contender; its next step is number `first`."""
        torch.set_num_threads(case.params.train.threads)
        self.contender, self.device, self.number = kind(case), torch.device(case.device), first

    def block(self, steps: int) -> Block:
        """Train a number of steps; the clock stops when the device has finished them."""
        started = time.perf_counter()
        waited = sum(self._next() for _ in range(steps))
        synchronise(self.device)
        return Block(steps, steps * self.contender.batch, time.perf_counter() - started, waited)

    def peak_memory(self) -> int:
        """Return the most bytes so far: of the device's allocator, or of this process where there is no device."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        # Not `getrusage`: what that says of a process begins with its parent's peak.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    def work(self) -> Work:
        """Return what a step computes."""
        return record(self._next)

    def precision(self, work: Work) -> str:
        """Return the precision of a step's convolutions: fp32, tf32 or bf16."""
        if work.dtype is torch.bfloat16:
            return "bf16"
        return "tf32" if self.device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "fp32"

    def layers(self, peaks: Peaks) -> list[Layer]:
        """Return the convolutions of a step against the peaks."""
        work = self.work()
        return layers(work, peaks, self.precision(work), self.device)

    def profile(self) -> Profile:
        """Return where the time of a few steps goes."""
        cuda = self.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
        with profile(activities=activities) as profiler:
            block = self.block(_PROFILED)
        # A kernel's time stands at the operator that launched it, too: operators alone hold everything once.
        events = [event for event in profiler.key_averages() if event.device_type == DeviceType.CPU]
        times = {event.key: event.self_device_time_total if cuda else event.self_cpu_time_total for event in events}
        calls = {event.key: event.count / _PROFILED for event in events}
        total = sum(times.values()) or 1.0
        costs = [Cost(key, taken / total, calls[key]) for key, taken in times.items() if taken]
        busy = total / 1e6 / block.seconds if cuda else None
        return Profile(sorted(costs, key=lambda cost: -cost.share), busy)

    @torch.no_grad()
    def paint(self, photographs: Sequence[Pixels]) -> list[Pixels]:
        """Return the averaged generator's paintings, one by one."""
        generator = self.contender.averaged()
        return [_pixels(generator(_tensor(each).to(self.device))) for each in photographs]

    def _next(self) -> float:
        waited = self.contender.step(self.number)
        self.number += 1
        return waited


class Apart:
    """A `Runner` in a process of its own, which waits while it is not asked."""

    def __init__(self, kind: Callable[[Case], Contender], case: Case, first: int) -> None:
        """Start the process and build the runner in it."""
        self._pool = ProcessPoolExecutor(1, get_context("spawn"))
        self._pool.submit(_settle, kind, case, first).result()

    def ask(self, question: Callable[..., Result], *arguments: object) -> Result:
        """Return what a method of `Runner` answers there: `ask(Runner.block, 10)`."""
        return self._pool.submit(_answer, question, arguments).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


_settled: dict[str, Runner] = {}


def _settle(kind: Callable[[Case], Contender], case: Case, first: int) -> None:
    _settled["runner"] = Runner(kind, case, first)


def _answer(question: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return question(_settled["runner"], *arguments)


def without_end(params: Params) -> Params:
    """Return parameters whose learning rate does not fall within any benchmark."""
    return replace(params, train=replace(params.train, steps=10_000_000))


def _tensor(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def _pixels(image: Tensor) -> Pixels:
    scaled = (image[0].float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().byte().permute(1, 2, 0).cpu().numpy()
