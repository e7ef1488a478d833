"""Training, measured: the fast path beside a plain reference, in one run on one machine.

    python -m benchmarks.train                                    on a CPU, 128 px, presets/demo.yaml
    python -m benchmarks.train --device cuda                      on a GPU, 256 px, presets/gpu.yaml
    python -m benchmarks.train --quality 4                        and how soon it is as good as the reference in 4 min

Both train the same networks with the same losses and settings, the reference (benchmarks/reference/) as public
implementations do, an image at a time. Each has a process of its own; they train in turns, block by block, so that a
machine whose speed drifts is as slow for one as for the other. Writes the section of its device in
benchmarks/results/train.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import pictures
from benchmarks.contenders import Apart, Block, Case, Contender, Fast, Profile, Reference, Runner, without_end
from benchmarks.roofline import Layer, Peaks
from pipeline.metrics import bootstrap
from pipeline.metrics.content import Content
from pipeline.metrics.references import References, Settings
from pipeline.metrics.style import Style
from pipeline.params import Params, merge, parse, read_tree
from scripts.test_full import commit

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "train.md"
KINDS: dict[str, Callable[[Case], Contender]] = {"fast": Fast, "reference": Reference}
SIDES = {"cpu": 128, "cuda": 256}
PRESETS = {"cpu": "demo", "cuda": "gpu"}
TARGETS = {("cpu", 128): 1.6, ("cuda", 256): 6.0}
_WARM, _ROUNDS = 3, 6
_CHECKS = 20  # how often the fast path's pictures are judged within the budget
_SPEED_PICTURES, _QUALITY_PICTURES = (24, 12), (80, 48)  # photographs and artworks


@dataclass(frozen=True)
class Lane:
    """What was seen of one contender."""

    warmup: Block
    blocks: list[Block]
    memory: int
    flops_per_image: float
    precision: str
    profile: Profile

    @property
    def speeds(self) -> list[float]:
        """Images a second, by block."""
        return [block.images / block.seconds for block in self.blocks]

    @property
    def waiting(self) -> float:
        """Share of the time in which the loop did nothing but get its batch."""
        return sum(block.waited for block in self.blocks) / sum(block.seconds for block in self.blocks)

    def share_of_peak(self, peaks: Peaks) -> float:
        """FLOP/s of convolutions and matrix products, as a share of the measured peak of their precision."""
        return statistics.median(self.speeds) * self.flops_per_image / peaks.matrix[self.precision]


@dataclass(frozen=True)
class Race:
    """Both, side by side."""

    lanes: Mapping[str, Lane]
    peaks: Peaks
    layers: Sequence[Layer]  # the fast path's; empty where it was not asked for
    load: float  # the machine's, in the five minutes before: above 0.5 others were at work

    @property
    def ratios(self) -> list[float]:
        """Speed of the fast path over the reference's, round by round."""
        return [a / b for a, b in zip(self.lanes["fast"].speeds, self.lanes["reference"].speeds, strict=True)]


@dataclass(frozen=True)
class Quality:
    """Held-out figures after a minute of training."""

    minutes: float
    style: float  # style/patch_swd, lower is better
    structure: float  # content/structure: what is left of the photograph


@dataclass(frozen=True)
class Chase:
    """The reference at the end of its budget, and the fast path on its way there."""

    reference: Quality
    fast: Sequence[Quality]

    @property
    def reached(self) -> Quality | None:
        """The first state of the fast path that is no further from held-out paintings than the reference."""
        return next((each for each in self.fast if each.style <= self.reference.style), None)


def case_params(device: str, side: int, overlay: Mapping[str, object] | None = None) -> Params:
    """Return the device's preset for crops of `side` px, with PatchNCE even where the preset saves it: it is CUT."""
    default = read_tree(ROOT / "params.yaml")
    tree = merge(default, read_tree(ROOT / "presets" / f"{PRESETS[device]}.yaml"))
    sizes = {
        "train": {"crop": side, "device": device, "require_device": device},
        "prepare": {"crop": side * 8 // 7, "view": side},  # as much room for random crops as in params.yaml
        "cut": {"weights": {"nce": default["cut"]["weights"]["nce"]}},
    }
    return parse(merge(merge(tree, sizes), overlay or {}))


def race(case: Case, seconds: float, roofline: bool) -> Race:
    """Train both in turns for `seconds` each, all losses at work, and return what was seen."""
    params, load = without_end(case.params), os.getloadavg()[1]
    with _apart(replace(case, params=params), params.cut.warmup_steps) as running:
        warmups = {name: each.ask(Runner.block, _WARM) for name, each in running.items()}
        timed = {name: each.ask(Runner.block, _WARM) for name, each in running.items()}
        steps = {
            name: max(1, round(seconds / _ROUNDS * block.steps / block.seconds)) for name, block in timed.items()
        }
        blocks: dict[str, list[Block]] = {name: [] for name in running}
        for turn in range(_ROUNDS):
            for name in sorted(running, reverse=bool(turn % 2)):
                blocks[name].append(running[name].ask(Runner.block, steps[name]))
        torch.set_num_threads(params.train.threads)
        peaks = Peaks.measure(torch.device(case.device))
        lanes = {
            name: _lane(each, warmups[name], blocks[name], timed[name].images // timed[name].steps)
            for name, each in running.items()
        }
        found = running["fast"].ask(Runner.layers, peaks) if roofline else []
    return Race(lanes, peaks, found, load)


def chase(case: Case, speeds: Mapping[str, float], minutes: float, checks: int = _CHECKS) -> Chase:
    """Train the reference for `minutes` and the fast path for as long, judging its pictures on the way.

    Args:
        case: with held-out images.
        speeds: steps a second of both: the schedule of each ends with its budget.
        minutes: the budget of each; only training counts.
        checks: how often the fast path is judged.
    """
    judged = _judge(case)
    params = {name: _scheduled(case.params, max(checks, round(60 * minutes * speeds[name]))) for name in KINDS}

    def trained(name: str, parts: int) -> list[Quality]:
        steps = params[name].train.steps
        found, seconds = [], 0.0
        with _apart(replace(case, params=params[name]), 0, [name]) as running:
            for part in range(parts):
                count = (part + 1) * steps // parts - part * steps // parts
                seconds += running[name].ask(Runner.block, count).seconds
                outputs = running[name].ask(Runner.paint, case.photos.held_out())
                found.append(Quality(seconds / 60, *judged(outputs)))
        return found

    return Chase(trained("reference", 1)[-1], trained("fast", checks))


def _lane(runner: Apart, warmup: Block, blocks: list[Block], batch: int) -> Lane:
    memory = runner.ask(Runner.peak_memory)  # before profiler and recorder add their own
    work = runner.ask(Runner.work)
    return Lane(
        warmup,
        blocks,
        memory,
        work.flops / batch,
        runner.ask(Runner.precision, work),
        runner.ask(Runner.profile),
    )


def _judge(case: Case) -> Callable[[Sequence[pictures.Pixels]], tuple[float, float]]:
    evaluate = case.params.evaluate
    settings = Settings(evaluate.patches, evaluate.directions, evaluate.levels, bootstrap=0)
    references = References(tuple(case.photos.held_out()), tuple(case.paintings.held_out()))
    resamples = bootstrap.draw(len(references.photographs), len(references.paintings), 0)
    families = Style(references, settings), Content(references, settings)

    def judged(outputs: Sequence[pictures.Pixels]) -> tuple[float, float]:
        found = {name: value for family in families for name, value in family.measure(outputs, resamples).items()}
        return float(found["style/patch_swd"][0]), float(found["content/structure"][0])

    return judged


def _scheduled(params: Params, steps: int) -> Params:
    warmup = min(params.cut.warmup_steps, steps // 2)
    return replace(params, train=replace(params.train, steps=steps), cut=replace(params.cut, warmup_steps=warmup))


@contextlib.contextmanager
def _apart(case: Case, first: int, names: Sequence[str] = tuple(KINDS)) -> Iterator[dict[str, Apart]]:
    with contextlib.ExitStack() as stack:
        running = {}
        for name in names:
            running[name] = Apart(KINDS[name], case, first)
            stack.callback(running[name].close)
        yield running


def section(case: Case, race: Race, chase: Chase | None, style: str) -> str:
    """Return the result of one device as Markdown."""
    side = case.params.train.crop
    ratio = statistics.median(race.ratios)
    target = TARGETS.get((case.device, side))
    lines = [
        f"## {case.device}",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}; {_machine(case)}, load before {race.load:.1f}; "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}. {side}×{side} px, "
        f"`presets/{PRESETS[case.device]}.yaml` with PatchNCE, built-in style `{style}`, {_ROUNDS} blocks each "
        "in turns.",
        "",
        *_speeds(race),
        "",
        f"**{ratio:.2f} times** the reference's images a second, round by round {min(race.ratios):.2f} to "
        f"{max(race.ratios):.2f}. {_verdict(ratio, target)}",
        "",
        *_peaks(race.peaks),
        "",
        *(_chase(chase) if chase else []),
        *_profile(race.lanes["fast"].profile),
        *(_layers(race) if race.layers else []),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _speeds(race: Race) -> list[str]:
    def row(name: str, cell: Callable[[Lane], str]) -> str:
        return f"| {name} | {' | '.join(cell(race.lanes[kind]) for kind in KINDS)} |"

    return [
        f"| | {' | '.join(KINDS)} |",
        "|---|---|---|",
        row("images a second, median (range)", lambda lane: _spread(lane.speeds)),
        row("batch", lambda lane: str(lane.blocks[0].images // lane.blocks[0].steps)),
        row("ms a step", lambda lane: f"{1000 * statistics.median(b.seconds / b.steps for b in lane.blocks):.1f}"),
        row("GFLOP an image", lambda lane: f"{lane.flops_per_image / 1e9:.2f}"),
        row("precision of convolutions", lambda lane: lane.precision.upper()),
        row("share of the measured matrix peak", lambda lane: f"{lane.share_of_peak(race.peaks):.1%}"),
        row("device at work, share of the time", lambda lane: _percent(lane.profile.busy)),
        row("waiting for data, share of the time", lambda lane: f"{lane.waiting:.2%}"),
        row("peak memory of its process, MB", lambda lane: f"{lane.memory / 1e6:.0f}"),
        row(f"first {_WARM} steps, s", lambda lane: f"{lane.warmup.seconds:.1f}"),
    ]


def _verdict(ratio: float, target: float | None) -> str:
    if target is None:
        return "There is no target for this size."
    said = "reached" if ratio >= target else "missed: the profile below says where the time goes"
    return f"Target: {target} times, {said}."


def _peaks(peaks: Peaks) -> list[str]:
    matrix = ", ".join(f"{name.upper()} {flops / 1e12:.3g} TFLOP/s" for name, flops in peaks.matrix.items())
    return [
        f"Measured peaks: matrix product {matrix}; copy {peaks.bandwidth / 1e9:.3g} GB/s (read and written). FLOPs "
        "are those of convolutions and matrix products. Memory is that of the device's allocator on a GPU, and of "
        "the process alone (without the DataLoader's workers) on a CPU. TF32, where stated, is PyTorch's default for "
        "convolutions."
    ]


def _chase(chase: Chase) -> list[str]:
    reached = chase.reached
    said = (
        f"The fast path is as near after **{reached.minutes:.2f} min**, "
        f"{chase.reference.minutes / reached.minutes:.1f} times as soon (structure {reached.structure:.3f})."
        if reached
        else "The fast path did **not** come as near within the same budget."
    )
    return [
        f"Time to quality: after {chase.reference.minutes:.2f} min the reference has patch_swd "
        f"{chase.reference.style:.4f} to held-out paintings (structure {chase.reference.structure:.3f}). {said}",
        "",
        "| minutes | patch_swd ↓ | structure ↑ |",
        "|---|---|---|",
        *(f"| {each.minutes:.2f} | {each.style:.4f} | {each.structure:.3f} |" for each in chase.fast),
        "",
    ]


def _profile(profile: Profile, rows: int = 15) -> list[str]:
    shown = profile.costs[:rows]
    return [
        "Where a step of the fast path goes (torch.profiler; an operator's own time):",
        "",
        "| operator | share | calls a step |",
        "|---|---|---|",
        *(f"| `{cost.operator}` | {cost.share:.1%} | {cost.calls:.0f} |" for cost in shown),
        f"| all others | {1 - sum(cost.share for cost in shown):.1%} | |",
        "",
    ]


def _layers(race: Race, rows: int = 24) -> list[str]:
    step = statistics.median(block.seconds / block.steps for block in race.lanes["fast"].blocks)
    everything = sum(layer.count * layer.seconds for layer in race.layers)
    return [
        f"Its convolutions against the roofline, each kind timed alone; together {everything / step:.0%} of a step:",
        "",
        "| input→output, kernel, batch and size | times | ms each | share of a step | GFLOP | MB | limit | of the "
        "roofline |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {layer.name} | {layer.count} | {1000 * layer.seconds:.3f} | {layer.count * layer.seconds / step:.1%} "
            f"| {layer.flops / 1e9:.2f} | {layer.moved / 1e6:.1f} | {layer.limit} | {layer.share:.0%} |"
            for layer in race.layers[:rows]
        ),
        "",
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _machine(case: Case) -> str:
    host = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {case.params.train.threads} threads"
    return f"{torch.cuda.get_device_name()}; {host}" if case.device == "cuda" else host


def with_section(text: str, device: str, new: str) -> str:
    """Return the result file with the section of one device put in; another stays, or says that it was not run."""
    found = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    found[device] = new.partition("\n")[2]
    missing = "\nNot run: no such device was at hand. `python -m benchmarks.train --device {}` runs it.\n"
    parts = [f"## {name}\n{found.get(name, missing.format(name)).rstrip()}\n" for name in SIDES]
    return "\n".join(["# Training, fast path and reference\n\nMade by `python -m benchmarks.train`.\n", *parts])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=SIDES, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--side", type=int, help="of the crops, px (default: 128 on a CPU, 256 on a GPU)")
    parser.add_argument("--seconds", type=float, default=60, help="of measured training, of each (default: 60)")
    parser.add_argument("--precision", help="train.precision of the fast path (default: the preset's)")
    parser.add_argument("--compile", action="store_true", help="train.compile of the fast path")
    parser.add_argument("--quality", type=float, metavar="MINUTES", help="also time to quality, with this budget")
    parser.add_argument("--style", default="impasto", help="built-in style (default: impasto)")
    parser.add_argument("--workers", type=int, help="of the reference's DataLoader (default: a core, at most 4)")
    parser.add_argument("--roofline", action="store_true", help="convolutions one by one (always on a GPU)")
    parser.add_argument("--dry", action="store_true", help="print only")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: no CUDA device is visible; nothing was measured and nothing written")
    asked = {"precision": given.precision, "compile": given.compile or None}
    overlay = {"train": {key: value for key, value in asked.items() if value is not None}}
    params = case_params(given.device, given.side or SIDES[given.device], overlay)
    counts = _QUALITY_PICTURES if given.quality else _SPEED_PICTURES
    with tempfile.TemporaryDirectory() as scratch:
        photos, paintings = pictures.make(Path(scratch), given.style, *counts, params.prepare)
        workers = min(4, os.cpu_count() or 1) if given.workers is None else given.workers
        case = Case(params, photos, paintings, given.device, workers)
        raced = race(case, given.seconds, roofline=given.roofline or given.device == "cuda")
        print(f"ratio {statistics.median(raced.ratios):.2f}", flush=True)
        speeds = {
            name: statistics.median(b.steps / b.seconds for b in lane.blocks) for name, lane in raced.lanes.items()
        }
        chased = chase(case, speeds, given.quality) if given.quality else None
    text = section(case, raced, chased, given.style)
    print(text)
    if not given.dry:
        RESULT.write_text(with_section(RESULT.read_text() if RESULT.exists() else "", given.device, text))
        print(f"written to {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
