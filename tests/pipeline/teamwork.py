"""What the members of a team do in tests; run as a module, it follows: `python -m tests.pipeline.teamwork JSON`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.data import CropStore
from pipeline.distributed import Team, team
from pipeline.methods import build_method
from pipeline.methods.base import Batch, Losses
from pipeline.trainer import Trainer, step_randomness
from tests.pipeline.training import ROOT, smoke_params

CPU = torch.device("cpu")
NAME = "tests.pipeline.teamwork"
WHOLE = {"texture": 0.0, "palette": 0.0, "contrast": 0.0, "chroma": 0.0}  # what looks at the whole batch at once
SPLIT = {"gan": 1.0, "nce": 1.0, "identity": 1.0, "structure": 1.0, "calm": 1.0, "smoothness": 1.0}


def new_trainer(weights: dict[str, float], one_of: Team, method: str = "cut") -> Trainer:
    own: dict[str, Any] = ({"weights": weights} if weights else {}) | ({"warmup_steps": 1} if method == "cut" else {})
    params = smoke_params(**{method: own}, train={"steps": 40, "batch": 2})
    return Trainer(build_method(method, params), params.train, CPU, one_of)


def take(trainer: Trainer, step: int, count: int = 2) -> Losses:
    """Take a step with this member's part of a batch."""
    draw = torch.Generator().manual_seed(5)
    crops = torch.randint(256, (6, 2, 40, 40, 3), dtype=torch.uint8, generator=draw)
    stores = (CropStore(part, torch.ones(3), CPU) for part in crops.chunk(2))
    stream, own = step_randomness(1, step), trainer.team
    batch = Batch(*(store.batch(count, 32, stream, own.rank, own.size) for store in stores))
    return trainer.step(batch, step, stream)


def arguments(weights: dict[str, float], **what: Any) -> list[str]:
    return [json.dumps({"weights": weights, **what})]


def follow(given: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    with team(2, CPU, NAME, [], ROOT) as own:
        if "pid" in given:
            Path(given["pid"]).write_text(str(os.getpid()))
        trainer = new_trainer(given["weights"], own, given.get("method", "cut"))
        if "poisoned_step" in given:
            real = trainer.method.step

            def poisoned(batch: Batch, step: int, draw: torch.Generator) -> Losses:
                losses = real(batch, step, draw)
                if step == given["poisoned_step"]:
                    losses["generator"] = {name: value * torch.nan for name, value in losses["generator"].items()}
                return losses

            trainer.method.step = poisoned  # type: ignore[method-assign]
        for order in own.orders(CPU):
            if isinstance(order, dict):
                trainer.load(order)
            elif order == given.get("dies_at"):
                sys.exit(9)
            else:
                take(trainer, order)


if __name__ == "__main__":
    follow(json.loads(sys.argv[1]))
