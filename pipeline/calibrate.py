"""How long one training step takes here, measured through the trainer's own code, and the steps that fit a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.params import Params

_IMAGES = 16  # synthetic images a collection: drawing a batch costs the same whatever their number
_WARM, _LEAST, _MOST = 2, 5, 60  # steps before the clock counts, and how many are timed
_SECONDS = 15.0  # enough for a steady median
_RESERVE = 0.95  # share of the time for steps; loading, samples and checkpoints take the rest


@dataclass(frozen=True)
class Measurement:
    """What was measured: seconds a step once all losses are at work, and before (`warmup`), on `device`."""

    device: str
    seconds_per_step: float
    warmup_seconds_per_step: float
    warmup_steps: int
    largest_batch: int | None = None
    """The most images a step that a GPU holds; None on a CPU."""

    def steps_in(self, minutes: float) -> int:
        """Return how many steps fit into `minutes`, warm-up included; at least 1."""
        budget = 60 * minutes * _RESERVE
        warmup = self.warmup_steps * self.warmup_seconds_per_step
        if budget <= warmup:
            return max(1, int(budget / self.warmup_seconds_per_step))
        return self.warmup_steps + max(1, int((budget - warmup) / self.seconds_per_step))

    def minutes_for(self, steps: int) -> float:
        """Return the minutes that `steps` steps take."""
        warmup = min(steps, self.warmup_steps)
        seconds = warmup * self.warmup_seconds_per_step + (steps - warmup) * self.seconds_per_step
        return seconds / _RESERVE / 60


def measure(params: Params, method: str, progress: Callable[[int], None] | None = None) -> Measurement:
    """Return the time of real steps of `method` with the current parameters on synthetic images.

    Args:
        params: parameters of the recipe.
        method: name of the method.
        progress: called with the number of timed steps after each.

    Raises:
        ValueError: the device asked for is not there, does not hold the batch, or the method is unknown.
    """
    import torch  # seconds to import, and no other command's business

    from pipeline.data import CropStore
    from pipeline.memory import largest_batch, out_of_memory, step_fits
    from pipeline.methods import build_method
    from pipeline.methods.base import Batch
    from pipeline.train import choose_device
    from pipeline.trainer import Trainer, scalars, step_randomness

    settings = params.train
    device = choose_device(settings)
    torch.set_num_threads(settings.threads)
    largest = None
    if device.type == "cuda":
        fits = step_fits(params, method, device)
        if not fits(settings.batch):
            raise ValueError(out_of_memory(params, method, device))
        largest = largest_batch(fits, 2 * settings.batch)
    trainer = Trainer(build_method(method, params), settings, device)
    shape = (_IMAGES, 1, params.prepare.crop, params.prepare.crop, 3)
    noise = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(params.seed))
    store = CropStore(noise, torch.ones(_IMAGES), device)

    def timed(step: int) -> float:
        started = time.perf_counter()
        draw = step_randomness(params.seed, step)
        photos = store.batch(settings.batch, settings.crop, draw) if trainer.method.photographs else None
        batch = Batch(photos, store.batch(settings.batch, settings.crop, draw))
        scalars(trainer.step(batch, step, draw))  # reading the losses waits for a GPU to finish
        return time.perf_counter() - started

    warmup = trainer.method.warmup_steps
    before = [timed(0) for _ in range(_WARM + 2)][_WARM:] if warmup else [0.0]
    for _ in range(_WARM):
        timed(warmup)
    times: list[float] = []
    while len(times) < _LEAST or (len(times) < _MOST and sum(times) < _SECONDS):
        times.append(timed(warmup))
        if progress:
            progress(len(times))
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {settings.threads} threads"
    return Measurement(name, statistics.median(times), statistics.median(before), warmup, largest)
