"""What `atelier serve` does on loopback: paintings a second, and how long 1, 4 and 16 clients wait for theirs.

    python -m benchmarks.serve --package models/monet

Starts the real command on a package, has clients ask one picture after the other, and writes
benchmarks/results/serve.md. Any answer but a painting ends it in an error.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from pipeline.files import write_atomic
from pipeline.sample_data import photo_bytes
from scripts.test_full import commit

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "serve.md"
CLIENTS = (1, 4, 16)
_WARM_UP = 3  # pictures before the clock starts


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--side", type=int, default=512, help="of the pictures, px")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each number of clients")
    given = parser.parse_args()
    photos = [photo_bytes(number, side=given.side) for number in range(8)]
    rows, memory, busy = [], [], os.getloadavg()[0]
    with serving(given.package) as address:
        paint(address, photos, 1, count=_WARM_UP)
        for clients in CLIENTS:
            before = figure(address, "process_cpu_seconds_total")
            took, seconds = load(address, photos, clients, given.seconds)
            worked = figure(address, "process_cpu_seconds_total") - before
            rows.append(row(clients, took, seconds, worked))
            memory.append(figure(address, "process_resident_memory_bytes"))
            print(rows[-1], flush=True)
    write_atomic(RESULT, report(rows, memory, busy, given.side, given.package))
    print(f"written to {RESULT.relative_to(ROOT)}")


def load(address: str, photos: list[bytes], clients: int, seconds: float) -> tuple[list[float], float]:
    """Return how long each answer took, in seconds, and how long all of it took."""
    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as askers:
        asked = [askers.submit(paint, address, photos, number, until=begun + seconds) for number in range(clients)]
        took = [one for each in asked for one in each.result()]
    return took, time.monotonic() - begun


def paint(
    address: str, photos: list[bytes], first: int, *, count: int | None = None, until: float = float("inf")
) -> list[float]:
    """Ask for one painting after the other, `count` of them or `until` a time; return how long each took.

    Raises:
        RuntimeError: an answer was no painting.
    """
    took: list[float] = []
    with httpx.Client(base_url=address, timeout=300) as client:
        while len(took) != count and time.monotonic() < until:
            begun = time.monotonic()
            answer = client.post("/api/stylize", content=photos[(first + len(took)) % len(photos)])
            if answer.status_code != 200:
                raise RuntimeError(f"status {answer.status_code}: {answer.text}")
            took.append(time.monotonic() - begun)
    return took


def row(clients: int, took: list[float], seconds: float, worked: float) -> str:
    """Return a row of the table: clients, paintings, a second, median and 99th percentile in ms, processor in ms."""
    median, last = statistics.median(took), quantile(took, 0.99)
    return (
        f"| {clients} | {len(took)} | {len(took) / seconds:.2f} | {1000 * median:.0f} | {1000 * last:.0f} | "
        f"{1000 * worked / len(took):.0f} | 0 |"
    )


def quantile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def report(rows: list[str], memory: list[float], busy: float, side: int, package: Path) -> str:
    """Return the page; `busy` is the machine's load before anything was measured."""
    lines = [
        "# `atelier serve` on loopback",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, Python {platform.python_version()}, "
        f"{len(os.sched_getaffinity(0))} cores, load before {busy:.1f}. JPEG photographs of "
        f"{side} x {side} px in, JPEG paintings out, of package `{package.name}`, settings of params.yaml; "
        "`python -m benchmarks.serve`. Processor: the server's own, without decoders and clients.",
        "",
        "| clients | paintings | a second | p50, ms | p99, ms | processor, ms a painting | errors |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Memory of the server after each: {', '.join(f'{one / 1e6:.0f} MB' for one in memory)}.",
        "",
    ]
    return "\n".join(lines)


def figure(address: str, name: str) -> float:
    """Return one of the server's figures; decoding is done by other processes, and is not in them."""
    text = httpx.get(f"{address}/metrics", timeout=60).text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found.group(1))


@contextmanager
def serving(package: Path) -> Iterator[str]:
    """Run the command; yield its address."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--package", str(package.resolve()), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.match(r"painting: (http://[^/]+)/", line):
                break
        else:
            raise RuntimeError("the server did not start; what it said stands above")
        yield found.group(1)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


if __name__ == "__main__":
    main()
