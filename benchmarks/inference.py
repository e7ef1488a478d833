"""What painting costs: a network by itself in three ways of running it, and whole pictures up to 100 megapixels.

    python -m benchmarks.inference --package models/monet [--photo photo.jpg] [--write]

Ways: plain eager torch as it comes; torch with channels-last memory, which `Stylizer` takes; onnxruntime on the
package's graph. Each size is measured in turns of the three, so that what else runs on the machine hits all of them,
and the fastest turn counts. Whole pictures go through `Stylizer`, each in a process of its own for its peak memory.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.export import session
from pipeline.files import write_atomic
from pipeline.images import to_tensor
from pipeline.inference import Stylizer, load_network, read_config
from pipeline.painting import tiles
from pipeline.painting.statistics import measure, with_statistics

OUT = Path(__file__).parent / "results" / "inference.md"
SIDES = ((256, 256), (512, 512), (1024, 1024), (3840, 2160))
PICTURES = (
    (1.0, (1200, 833)),
    (4.0, (2400, 1667)),
    (8.3, (3840, 2160)),
    (25.0, (6124, 4082)),
    (100.0, (12_248, 8165)),
)


def _time(run: Callable[[], Any]) -> float:
    """Return seconds of the processor, by all threads: those of the clock say who else was on the machine."""
    started = time.process_time()
    run()
    return time.process_time() - started


def networks(package: Path, threads: int, turns: int) -> list[str]:
    """Return rows: ms of each way at each size, and how much faster than plain torch."""
    torch.set_num_threads(threads)
    config = read_config(package)
    plain = load_network(package, config).eval().requires_grad_(False)
    ours = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    graph = session(package / "generator.onnx", threads)
    rows = []
    for width, height in SIDES:
        photo = torch.rand(1, 3, height, width) * 2 - 1
        last, array = photo.to(memory_format=torch.channels_last), photo.numpy()
        ways: dict[str, Callable[[], Any]] = {
            "plain": lambda photo=photo: plain(photo),
            "channels-last": lambda last=last: ours(last),
            "onnxruntime": lambda array=array: graph.run(["painting"], {"photo": array}),
        }
        best = dict.fromkeys(ways, float("inf"))
        with torch.inference_mode():
            for _ in range(turns if width < 1000 else 1 + (turns > 1 and width < 3000)):
                for name, run in ways.items():
                    best[name] = min(best[name], _time(run))
        megapixels = width * height / 1e6
        cells = [f"{1e3 * best[name]:.0f} ms, {megapixels / best[name]:.2f} MP/s" for name in ways]
        ratios = [f"{best['plain'] / best[name]:.2f}" for name in ("channels-last", "onnxruntime")]
        rows.append(f"| {width} x {height} | {' | '.join([*cells, *ratios])} |")
        print(rows[-1], flush=True)
    return rows


def proxies(package: Path, photo: Image.Image) -> list[str]:
    """Return rows: how far paintings by a proxy's statistics are from one by the whole picture's, in levels."""
    network = Stylizer.load(package).network
    width, height = (side // 4 * 4 for side in photo.size)
    whole = to_tensor(photo.crop((0, 0, width, height)))[None]
    rows = []
    with torch.inference_mode():
        wanted = with_statistics(network, measure(network, whole))(whole)
        for share in (2, 4, 8, 16):
            small = tiles.proxy(photo, 4, torch.device("cpu"), pixels=width * height // share)
            off = (with_statistics(network, measure(network, small))(whole) - wanted).abs() * 127.5
            rows.append(f"| 1/{share} | {off.square().mean().sqrt():.2f} | {off.quantile(0.99):.1f} |")
        part = whole[..., : width // 3]
        off = (with_statistics(network, measure(network, part))(whole) - wanted).abs() * 127.5
    rows.append(
        f"| the left third alone | {off.square().mean().sqrt():.2f} | {off.flatten()[::7].quantile(0.99):.1f} |"
    )
    return rows


def one_picture(package: Path, photo: Path, width: int, height: int, scale: float, threads: int) -> None:
    """Paint one picture of a size and print its time and this process's peak memory as JSON."""
    torch.set_num_threads(threads)
    stylizer = Stylizer.load(package)
    stylizer(Image.effect_noise((64, 64), 60).convert("RGB"))  # what is set up once is no picture's cost
    with Image.open(photo) as opened:
        picture = opened.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    seconds = _time(lambda: stylizer(picture, scale=scale))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def pictures(package: Path, photo: Path, threads: int) -> list[str]:
    """Return rows: seconds, s per megapixel and peak memory of whole pictures."""
    rows = []
    fine = [(8.3, (3840, 2160), 100.0)]
    for megapixels, (width, height), scale in [*((m, s, 1.0) for m, s in PICTURES), *fine]:
        command = [sys.executable, "-m", "benchmarks.inference", "--package", str(package), "--photo", str(photo)]
        command += ["--threads", str(threads), "--one", str(width), str(height), str(scale)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append(
            f"| {width} x {height} | {scale:g} | {found['seconds']:.1f} s | {found['seconds'] / megapixels:.2f} s | "
            f"{found['peak'] / 1e9:.2f} GB |"
        )
        print(rows[-1], flush=True)
    return rows


def _page(package: Path, threads: int, parts: dict[str, list[str]]) -> str:
    config = read_config(package)
    made = f"{config['network']['arguments']}"
    return "\n".join(
        [
            "# What painting costs",
            "",
            f"{datetime.date.today()}, {platform.machine()} with {os.cpu_count()} hardware threads, {threads} used; "
            "seconds of the processor; "
            f"torch {torch.__version__}. The demo's network ({made}), `view` {config['view']} px. Made by `python -m "
            "benchmarks.inference`.",
            "",
            "## The network by itself",
            "",
            "| size | plain torch | channels-last (ours) | onnxruntime | ours / plain | onnxruntime / plain |",
            "|---|---|---|---|---|---|",
            *parts["networks"],
            "",
            "## Statistics of a proxy, and of the whole picture",
            "",
            "How far a painting by a reduced picture's instance-norm statistics is from one by the whole picture's, "
            "in levels of 255:",
            "",
            "| pixels of the proxy | RMS | 99th percentile |",
            "|---|---|---|",
            *parts["proxies"],
            "",
            "## Whole pictures",
            "",
            "From an image in memory to its painting in memory, each in a process of its own:",
            "",
            "| size | scale | time | time a megapixel | peak memory |",
            "|---|---|---|---|---|",
            *parts["pictures"],
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="package folder")
    parser.add_argument("--photo", type=Path, help="what pictures are made of; noise without")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write {OUT.name}")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    photo = given.photo
    if photo is None:
        photo = Path("work/benchmark.png")
        photo.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((1200, 800), Image.Resampling.BICUBIC).save(photo)
    if given.one:
        width, height, scale = given.one
        one_picture(given.package, photo, int(width), int(height), float(scale), given.threads)
        return
    with Image.open(photo) as opened:
        picture = opened.convert("RGB")
    parts = {
        "networks": networks(given.package, given.threads, given.turns),
        "proxies": proxies(given.package, picture),
        "pictures": pictures(given.package, photo, given.threads),
    }
    page = _page(given.package, given.threads, parts)
    print(page)
    if given.write:
        write_atomic(OUT, page)


if __name__ == "__main__":
    main()
