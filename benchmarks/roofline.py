"""What a device can do, what a step asks of it, and how near each convolution comes to the first.

Peaks are measured, not read from a data sheet: a large matrix product, and a large copy. The convolutions of a step
are recorded as it runs, forward and backward, with their real shapes, types and memory order, and run again alone.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import benchmark
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

aten = torch.ops.aten
_CONVOLUTIONS = {"forward": aten.convolution.default, "backward": aten.convolution_backward.default}
_TYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
_REPEATS = 5


@dataclass(frozen=True)
class Peaks:
    """The most that was seen: FLOP/s of a matrix product by precision, and bytes/s of a copy, both ways counted."""

    matrix: Mapping[str, float]
    bandwidth: float

    @classmethod
    def measure(cls, device: torch.device, side: int | None = None) -> Peaks:
        """Measure with square matrices of `side`, and a copy of as many bytes as four of them have numbers in fp32.

        Without a side: 8192 on a GPU, 2048 on a CPU.
        """
        side = side or (8192 if device.type == "cuda" else 2048)
        precisions = _TYPES if device.type == "cuda" else ("fp32",)
        source = torch.ones(4 * side * side, device=device)
        target = torch.empty_like(source)
        copied = 2 * source.numel() * source.element_size()
        return cls(
            matrix={name: 2 * side**3 / _multiplication(name, side, device) for name in precisions},
            bandwidth=copied / shortest(lambda: target.copy_(source), device),
        )

    def least_seconds(self, flops: float, moved: float, precision: str) -> float:
        """Return the time that work needs at these peaks (Williams et al. 2009): that of its scarcer resource."""
        return max(flops / self.matrix[precision], moved / self.bandwidth)


@dataclass(frozen=True)
class Operand:
    """A tensor that a convolution was given: all that decides how fast it is."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @property
    def channels_last(self) -> bool:
        """Whether a pixel's channels lie side by side in memory."""
        return self.stride[1] == 1

    def make(self, device: torch.device) -> Tensor:
        """Return noise of this kind."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=device).normal_()


@dataclass(frozen=True)
class Convolution:
    """One kind of convolution: direction, operands and settings."""

    direction: str  # forward | backward
    arguments: tuple[Any, ...]

    @property
    def dtype(self) -> torch.dtype:
        """The type of its input."""
        found: torch.dtype = self.arguments[0].dtype
        return found

    def __str__(self) -> str:
        """Name it by weight and input: `48→96 3×3 /2 at 4×64×64, forward`.

        `contiguous` if input and weight are so, `mixed` if only one of them is channels last: one is then copied.
        """
        operands = [each for each in self.arguments if isinstance(each, Operand)]
        image, weight = operands[-2:] if self.direction == "backward" else operands[:2]
        numbers = self.arguments[4 if self.direction == "backward" else 3 :]
        stride, groups = numbers[0][0], numbers[5]
        outputs, inputs, *kernel = weight.shape
        kind = f"{inputs * groups}→{outputs} {'×'.join(map(str, kernel))}"
        kind += (f" /{stride}" if stride > 1 else "") + (" depthwise" if groups > 1 else "")
        batch, _, *size = image.shape
        order = {2: "", 1: ", mixed", 0: ", contiguous"}[image.channels_last + weight.channels_last]
        return f"{kind} at {batch}×{'×'.join(map(str, size))}, {self.direction}{order}"

    def run(self, device: torch.device) -> Callable[[], Any]:
        """Return a call that computes it once, on noise."""
        given = [each.make(device) if isinstance(each, Operand) else each for each in self.arguments]
        function = _CONVOLUTIONS[self.direction]
        return lambda: function(*given)

    def cost(self) -> tuple[int, int]:
        """Return FLOPs and the bytes of everything that goes in and comes out."""
        meta = torch.device("meta")
        given = [each.make(meta) if isinstance(each, Operand) else each for each in self.arguments]
        function = _CONVOLUTIONS[self.direction]
        out = function(*given)
        flops: int = flop_registry[function.overloadpacket](*given, out_val=out)
        results = out if isinstance(out, tuple) else (out,)
        tensors = [each for each in (*given, *results) if isinstance(each, Tensor)]
        return flops, sum(each.numel() * each.element_size() for each in tensors)


@dataclass(frozen=True)
class Work:
    """What a step computes: FLOPs of convolutions and matrix products, and its convolutions with their number."""

    flops: int
    convolutions: Mapping[Convolution, int]

    @property
    def dtype(self) -> torch.dtype:
        """The type in which most of its convolutions are."""
        kinds: Counter[torch.dtype] = Counter()
        for convolution, count in self.convolutions.items():
            kinds[convolution.dtype] += count
        return kinds.most_common(1)[0][0]


def record(step: Callable[[], object]) -> Work:
    """Run a step, without compiled code, and return what it computed."""
    recorder = _Recorder()
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter, recorder:
        step()
    return Work(counter.get_total_flops(), dict(recorder.found))


@dataclass(frozen=True)
class Layer:
    """A kind of convolution against the roofline."""

    name: str
    count: int
    seconds: float  # of one
    flops: int
    moved: int
    share: float  # of what the peaks allow
    limit: str  # the resource that it needs longest: compute | memory


def layers(work: Work, peaks: Peaks, precision: str, device: torch.device) -> list[Layer]:
    """Return each kind of convolution of a step, timed alone, by the time that all of the kind take.

    Args:
        work: of a step.
        peaks: of the device.
        precision: of most convolutions; those of another type are losses', in fp32 or what the device makes of it.
        device: to run them on.
    """
    exact = "tf32" if "tf32" in peaks.matrix else "fp32"
    result = []
    for convolution, count in work.convolutions.items():
        own = precision if convolution.dtype is work.dtype else exact
        flops, moved = convolution.cost()
        timer = benchmark.Timer(
            "run()", globals={"run": convolution.run(device)}, num_threads=torch.get_num_threads()
        )
        seconds = timer.blocked_autorange(min_run_time=0.1).median
        share = peaks.least_seconds(flops, moved, own) / seconds
        limit = "compute" if flops / peaks.matrix[own] > moved / peaks.bandwidth else "memory"
        result.append(Layer(str(convolution), count, seconds, flops, moved, share, limit))
    return sorted(result, key=lambda layer: -layer.count * layer.seconds)


def shortest(action: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the quickest of a few runs, after one that does not count."""
    times = []
    for _ in range(1 + _REPEATS):
        synchronise(device)
        started = time.perf_counter()
        action()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])


def synchronise(device: torch.device) -> None:
    """Wait until a device has finished all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _multiplication(precision: str, side: int, device: torch.device) -> float:
    one, other = (torch.randn(side, side, device=device).to(_TYPES[precision]) for _ in range(2))
    with _matmul_tf32(precision == "tf32"):
        return shortest(lambda: one @ other, device)


@contextlib.contextmanager
def _matmul_tf32(allowed: bool) -> Any:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class _Recorder(TorchDispatchMode):
    """Notes every convolution that is computed, below autograd and autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Convolution] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for direction, convolution in _CONVOLUTIONS.items():
            if func is convolution:
                self.found[Convolution(direction, tuple(_kept(each) for each in args))] += 1
        return func(*args, **(kwargs or {}))


def _kept(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return Operand(tuple(argument.shape), argument.stride(), argument.dtype)
    return tuple(argument) if isinstance(argument, list) else argument
