"""The largest batch that a device holds, found by trying, for whoever ran out of memory."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from pipeline.methods import build_method
from pipeline.methods.base import Batch
from pipeline.params import Params
from pipeline.trainer import Trainer, step_randomness

MOST = 4096  # images a batch: the most that train.batch may be


def largest_batch(fits: Callable[[int], bool], start: int, limit: int = MOST + 1) -> int:
    """Return the largest batch below `limit` that `fits`, 0 when none does.

    Args:
        fits: whether a batch fits; if one does, so does every smaller one.
        start: the first to be tried: doubled while it fits, or halved until it does, then bisected.
        limit: the smallest batch of which it is known that it does not fit, or must not be.
    """
    good, bad, probe = 0, limit, min(start, limit - 1)
    while bad - good > 1:
        if fits(probe):
            good = probe
        else:
            bad = probe
        if good == 0:
            probe = max(1, bad // 2)
        elif bad == limit:
            probe = min(2 * good, limit - 1)
        else:
            probe = (good + bad) // 2
    return good


def step_fits(params: Params, method: str, device: torch.device) -> Callable[[int], bool]:
    """Return what tells whether `device` holds a step of `method` with all its losses, by taking one."""

    def fits(batch: int) -> bool:
        try:
            _take_step(params, method, device, batch)
        except torch.OutOfMemoryError:
            return False
        finally:
            _release(device)
        return True

    return fits


def out_of_memory(params: Params, method: str, device: torch.device) -> str:
    """Return a sentence for a training that ran out of memory: which batch would fit. It tries some."""
    _release(device)
    batch, crop = params.train.batch, params.train.crop
    found = largest_batch(step_fits(params, method, device), max(1, batch // 2), limit=batch)
    advice = (
        f"{found} would fit: set train.batch to {found} or less (`atelier calibrate` measures it)"
        if found
        else f"no smaller batch fits either: lower train.crop or {method}.generator.channels"
    )
    return f"the {device.type} device ran out of memory with train.batch {batch} and train.crop {crop}; {advice}"


def _take_step(params: Params, method: str, device: torch.device, batch: int) -> None:
    trainer = Trainer(build_method(method, params), params.train, device)
    trainer.method.warmed = True  # no warm-up: its steps need less
    side = params.train.crop
    images = torch.zeros(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    given = Batch(images if trainer.method.photographs else None, images)
    for step in range(2):  # the first step makes the moments, the second has to hold them from its beginning
        trainer.step(given, step, step_randomness(params.seed, step))
    trainer.health()  # waits for the device


def _release(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
