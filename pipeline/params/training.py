"""The section `train` of params.yaml: the loop, whatever the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.params.ranges import Between


@dataclass(frozen=True)
class Collapse:
    """When the watch of `pipeline.collapse` alarms, and what happens then."""

    action: Literal["warn", "rollback", "stop"]
    after: Annotated[int, Between(0, 10_000_000)]  # steps behind the warm-up before a watch counts
    patience: Annotated[int, Between(1, 1000)]  # watches in a row beyond a limit
    min_diversity: Annotated[float, Between(0, 10)]  # of the outputs' compositions; 1: as diverse as the photographs
    min_change: Annotated[float, Between(0, 1)]  # of a pixel on average; 1: from black to white
    min_light: Annotated[float, Between(-1, 1)]  # correlation of luminance with the photograph's
    max_accuracy: Annotated[float, Between(0.5, 1)]  # of the discriminator since the last watch; 1: never too much


@dataclass(frozen=True)
class Converged:
    """When training ends before its last step: at a watch of which nothing better came for a while."""

    window: Annotated[int, Between(0, 1000)]  # watches without an improvement; 0: train all steps
    tolerance: Annotated[float, Between(0, 1)]  # a better validation counts if it is lower by this share


@dataclass(frozen=True)
class Train:
    """The loop, whatever the method."""

    steps: Annotated[int, Between(1, 10_000_000)]  # the schedule, hence the result
    batch: Annotated[int, Between(1, 4096)]
    crop: Annotated[int, Between(16, 2048)]  # side of the random crop of a stored crop, px
    learning_rate: Annotated[float, Between(1e-7, 1.0)]
    beta1: Annotated[float, Between(0, 0.999)]
    beta2: Annotated[float, Between(0, 0.99999)]
    decay_from: Annotated[float, Between(0, 1)]  # share of the steps after which the rate falls linearly to 0
    ema: Annotated[float, Between(0, 0.99999)]  # decay of the averaged generator
    device: Literal["auto", "cpu", "cuda"]
    require_device: Literal["any", "cpu", "cuda"]  # refuse to train on another
    processes: Annotated[int, Between(1, 1024)]  # on this machine, one a GPU; each with `batch` images a step
    precision: Literal["auto", "fp32", "bf16"]  # what networks compute in; auto: bf16 on CUDA devices that have it
    compile: bool  # with torch.compile: the first steps take long, the others are faster on a GPU
    threads: Annotated[int, Between(1, 256)]  # CPU threads; part of what makes a CPU result reproducible
    max_minutes: Annotated[float, Between(0.01, 100_000)]  # stops with an error and keeps the checkpoint
    stall_minutes: Annotated[float, Between(0.01, 100_000)]  # without a step: the process starts itself again, once
    log_every: Annotated[int, Between(1, 100_000)]
    sample_every: Annotated[int, Between(1, 1_000_000)]
    watch_every: Annotated[int, Between(1, 1_000_000)]  # looks at a fixed panel, see `pipeline.collapse`
    collapse: Collapse
    converged: Converged
    package: Literal["last", "best"]  # networks: those of the last step, or of the best watch
    checkpoint_every: Annotated[int, Between(1, 1_000_000)]  # also where a rollback goes back to
    keep_checkpoints: Annotated[int, Between(1, 100)]
    max_bad_steps: Annotated[int, Between(1, 100_000)]  # in a row, with losses or gradients that are not finite
    rollback_rate: Annotated[float, Between(0.001, 1)]  # what a rollback multiplies the learning rate by
    max_rollbacks: Annotated[int, Between(0, 100)]  # then training stops, and keeps its checkpoint
