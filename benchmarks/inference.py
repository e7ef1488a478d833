"""What painting costs: a network by itself in four ways of running it, and whole pictures up to 100 megapixels.

    python -m benchmarks.inference --package models/monet [--photo photo.jpg] [--only pictures]

Ways: plain eager torch as it comes; what `Stylizer` runs; onnxruntime on the package's graph, and on that in half
precision. Each has a process of its own, with its own peak memory, and they take turns at each size, so that what
else runs on the machine hits all of them; the fastest turn counts, fewer are taken of large sizes. Whole pictures go
through `Stylizer`, each in a process of its own.

The page is written after every row. `--only` measures some parts anew and leaves the others' rows as they stand;
`--sides 3840` goes on with sizes of that width, beside the rows that are there.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.export import session
from pipeline.exporting import export
from pipeline.files import write_atomic
from pipeline.images import to_tensor
from pipeline.inference import Stylizer, load_network, read_config
from pipeline.painting import tiles
from pipeline.painting.statistics import measure, with_statistics
from scripts.test_full import commit

RESULT = Path(__file__).parent / "results" / "inference.md"
SIDES = ((256, 256), (512, 512), (1024, 1024), (3840, 2160))
PICTURES = (
    ((1200, 833), 1.0),
    ((2400, 1667), 1.0),
    ((3840, 2160), 1.0),
    ((6124, 4082), 1.0),
    ((12_248, 8165), 1.0),
    ((1920, 1080), 100.0),
    ((3840, 2160), 100.0),
    ((12_248, 8165), 100.0),
)
SHARES = (2, 4, 8, 16)
_TURNS, _PIXELS = 6, 4 << 20  # turns of a size at most, and about how many pixels all of them have together
_HEADS = {
    "networks": (
        "## The network by itself",
        "Ratios are to plain torch. Peak memory is that of the process, libraries and weights included. `Stylizer` "
        "runs up to half a megapixel like this, and more by tiles (below).",
        "| size | way | ms | megapixels a second | ratio | peak memory |",
    ),
    "proxies": (
        "## Statistics of a proxy, and of the whole picture",
        "How far a painting by a reduced picture's instance-norm statistics is from one by the whole picture's, in "
        "levels of 255:",
        "| pixels of the proxy | RMS | 99th percentile |",
    ),
    "pictures": (
        "## Whole pictures",
        "From an image in memory to its painting in memory, each in a process of its own. At a scale of 100 pictures "
        "are painted at their own size: all of them goes through the network, by tiles.",
        "| size | scale | time | time a megapixel | peak memory |",
    ),
}


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="package folder")
    parser.add_argument("--photo", type=Path, help="what pictures are made of; noise without")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=tuple(_HEADS), nargs="+", default=tuple(_HEADS))
    parser.add_argument("--sides", type=int, nargs="+", help="widths, of the parts that have sizes; without: all")
    given = parser.parse_args()

    def wanted(width: int) -> bool:
        return given.sides is None or width in given.sides

    with tempfile.TemporaryDirectory() as scratch:
        package, photo = given.package, given.photo or _noise(Path(scratch))
        measured: Mapping[str, Callable[[], Iterator[str]]] = {
            "networks": lambda: networks([s for s in SIDES if wanted(s[0])], package, given.threads, Path(scratch)),
            "proxies": lambda: proxies(package, photo),
            "pictures": lambda: pictures([p for p in PICTURES if wanted(p[0][0])], package, photo, given.threads),
        }
        page = Page(RESULT, _told(package, given.threads))
        for part in given.only:
            page.begin(part, anew=given.sides is None)
            for row in measured[part]():
                page.add(part, row)
                print(row, flush=True)
    print(f"written to {RESULT}")


class Page:
    """The result, written whenever a row is added; parts that are not begun anew stay as they were."""

    def __init__(self, path: Path, told: str) -> None:
        """Take up the page at `path`, if there is one; `told` says how new parts are measured."""
        self.path, self.told = path, told
        before = path.read_text() if path.is_file() else ""
        self.parts = {name: _part(before, head) for name, (head, _, _) in _HEADS.items()}

    def begin(self, part: str, anew: bool = True) -> None:
        """Forget a part's rows, or go on with them."""
        told, rows = self.parts[part]
        self.parts[part] = (self.told, []) if anew else (f"{told} Continued: {self.told}".strip(), rows)

    def add(self, part: str, row: str) -> None:
        """Add a row to a part that has begun, and write the page."""
        self.parts[part][1].append(row)
        lines = ["# What painting costs", "", "Made by `python -m benchmarks.inference`; seconds of the processor."]
        for name, (head, told, columns) in _HEADS.items():
            when, rows = self.parts[name]
            lines += ["", head, "", when or "Not measured.", "", told, "", columns, "|---" * (columns.count("|") - 1)]
            lines[-1] += "|"
            lines += rows
        write_atomic(self.path, "\n".join([*lines, ""]))


def _part(page: str, head: str) -> tuple[str, list[str]]:
    """Return how and when a part of a page was measured, and its rows."""
    found = re.search(rf"^{re.escape(head)}\n\n(.*?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if not found:
        return "", []
    table = [line for line in found.group(2).splitlines() if line.startswith("|")]
    return found.group(1), table[2:]


def _told(package: Path, threads: int) -> str:
    config = read_config(package)
    network = ", ".join(f"{key} {value}" for key, value in sorted(config["network"]["arguments"].items()))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}; {platform.machine()}, {os.cpu_count()} hardware "
        f"threads, {threads} used, load before {os.getloadavg()[0]:.1f}; torch {torch.__version__}. "
        f"Network: {network}; `view` {config['view']} px."
    )


def networks(sides: Sequence[tuple[int, int]], package: Path, threads: int, scratch: Path) -> Iterator[str]:
    """Yield rows: ms of each way at each size, and how much faster than plain torch."""
    half = export(package, scratch / "half.onnx", "onnx", half=True)
    ways = {
        "plain torch": (_plain, package),
        "ours": (_ours, package),
        "onnxruntime": (_graph, package / "generator.onnx"),
        "onnxruntime, half": (_graph, half),
    }
    with ExitStack() as stack:
        pools = {name: stack.enter_context(_process()) for name in ways}
        for name, (build, path) in ways.items():
            pools[name].submit(_get_ready, build, path, threads).result()
        for width, height in sides:
            turns = max(1, min(_TURNS, round(_PIXELS / (width * height))))
            found: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
            for _ in range(turns):
                for name, pool in pools.items():
                    found[name].append(pool.submit(_turn, width, height).result())
            best = {name: min(seconds for seconds, _ in took) for name, took in found.items()}
            for name, seconds in best.items():
                peak = max(memory for _, memory in found[name])
                yield (
                    f"| {width} x {height} | {name} | {1e3 * seconds:.0f} | {width * height / 1e6 / seconds:.2f} | "
                    f"{best['plain torch'] / seconds:.2f} | {peak / 1e9:.2f} GB |"
                )


def _process() -> ProcessPoolExecutor:
    """Return a pool of one process, started afresh: what this one has imported and allocated is not in it."""
    return ProcessPoolExecutor(1, get_context("spawn"))


_Way = Callable[[torch.Tensor], Any]
_run: _Way  # what a process of `networks` does with a picture, once it is ready


def _get_ready(build: Callable[[Path, int], _Way], path: Path, threads: int) -> None:
    global _run
    torch.set_num_threads(threads)
    _run = build(path, threads)


def _turn(width: int, height: int) -> tuple[float, int]:
    picture = torch.linspace(-1, 1, 3 * width * height).view(1, 3, height, width)
    with torch.inference_mode():
        return _measured(lambda: _run(picture))


def _measured(run: Callable[[], Any]) -> tuple[float, int]:
    """Return seconds of the processor, by all threads, and this process's peak memory meanwhile, in bytes.

    Seconds of the clock say who else was on the machine.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started = time.process_time()
    run()
    seconds = time.process_time() - started
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return seconds, 1024 * int(peak.group(1))


def _plain(package: Path, _: int) -> _Way:
    return load_network(package, read_config(package)).eval().requires_grad_(False)


def _ours(package: Path, _: int) -> _Way:
    return Stylizer.load(package).paint_tensor


def _graph(path: Path, threads: int) -> _Way:
    graph = session(path, threads)
    return lambda picture: graph.run(["painting"], {"photo": picture.numpy()})


def proxies(package: Path, photo: Path) -> Iterator[str]:
    """Yield rows: how far paintings by a proxy's statistics are from one by the whole picture's, in levels."""
    network = Stylizer.load(package).network
    with Image.open(photo) as opened:
        picture = opened.convert("RGB")
    width, height = (side // 4 * 4 for side in picture.size)
    whole = to_tensor(picture.crop((0, 0, width, height)))[None]
    with torch.inference_mode():
        wanted = with_statistics(network, measure(network, whole))(whole)

        def off(other: torch.Tensor) -> str:
            differing = (with_statistics(network, measure(network, other))(whole) - wanted).abs() * 127.5
            percentile = np.quantile(differing.numpy(), 0.99)
            return f"{differing.square().mean().sqrt():.2f} | {percentile:.1f}"

        for share in SHARES:
            small = tiles.proxy(picture, 4, torch.device("cpu"), pixels=width * height // share)
            yield f"| 1/{share} | {off(small)} |"
        yield f"| the left third alone | {off(whole[..., : width // 3])} |"


def pictures(
    sizes: Sequence[tuple[tuple[int, int], float]], package: Path, photo: Path, threads: int
) -> Iterator[str]:
    """Yield rows: seconds, s per megapixel and peak memory of whole pictures."""
    for (width, height), scale in sizes:
        with _process() as pool:
            seconds, peak = pool.submit(_one_picture, package, photo, (width, height), scale, threads).result()
        yield (
            f"| {width} x {height} | {scale:g} | {seconds:.1f} s | {seconds / (width * height / 1e6):.2f} s | "
            f"{peak / 1e9:.2f} GB |"
        )


def _one_picture(package: Path, photo: Path, size: tuple[int, int], scale: float, threads: int) -> tuple[float, int]:
    """Paint one picture of a size; return seconds and peak memory."""
    torch.set_num_threads(threads)
    stylizer = Stylizer.load(package)
    stylizer(Image.effect_noise((64, 64), 60).convert("RGB"))  # what is set up once is no picture's cost
    with Image.open(photo) as opened:
        picture = opened.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return _measured(lambda: stylizer(picture, scale=scale))


def _noise(folder: Path) -> Path:
    """Return a picture of blurred noise."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path = folder / "noise.png"
    Image.fromarray(noise).resize((1200, 800), Image.Resampling.BICUBIC).save(path)
    return path


if __name__ == "__main__":
    main()
