"""What ingestion and preparation cost: against the floor, with the number of workers, and as a collection grows.

    python -m benchmarks.ingest --counts 100 1000 10000

Floor: reading each file, its SHA-256, and decoding it once with Pillow, in one process; with the perceptual hash of
imagehash besides, what a plain script for the same purpose would cost. Growth: a style of N
artworks ingested and prepared from nothing, then one more; `dvc add` and `dvc repro prepare@bench` are in both, as a
person meets them. Made pictures (strokes of smooth colour under noise, JPEG quality 90) of realistic entropy; files
of the first crops are hashed before and after the new image. Writes benchmarks/results/ingest.md.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import io
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import imagehash
import numpy as np
import psutil
from PIL import Image

from pipeline.ingest import ingest
from pipeline.params import Params, load_params
from pipeline.progress import Progress
from pipeline.workspace import Workspace
from scripts.test_full import commit
from tests.conftest import copy_checkout

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "ingest.md"
STYLE = "bench"


@dataclass(frozen=True)
class Growth:
    """Seconds of each part, for all images and then for one more."""

    count: int
    ingest_all: float
    prepare_all: float
    ingest_one: float
    prepare_one: float
    peak_mb: float  # of the ingesting process
    worker_mb: float  # of the largest worker

    @property
    def share(self) -> float:
        """One more image, as a share of all."""
        return (self.ingest_one + self.prepare_one) / (self.ingest_all + self.prepare_all)


def picture(seed: int, side: int) -> bytes:
    """Return a JPEG of 4:3 with strokes and noise; no two seeds look alike."""
    draw = np.random.default_rng(seed)
    size = (side, side * 3 // 4)
    coarse = Image.fromarray(draw.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(draw.integers(0, 256, (side // 16, side // 8, 3), dtype=np.uint8)).resize(size)
    mixed = np.asarray(coarse).astype(np.float32) * 0.8 + np.asarray(fine).astype(np.float32) * 0.2
    mixed += np.roll(grain(*size), draw.integers(0, side, 2), axis=(0, 1))
    stream = io.BytesIO()
    Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


@functools.cache
def grain(width: int, height: int) -> np.ndarray:
    """Return the noise of all pictures of a size, (height, width, 1), 4 levels strong."""
    return np.random.default_rng(0).normal(0, 4, (height, width, 1)).astype(np.float32)


def fill(folder: Path, seeds: range, side: int) -> Path:
    """Write pictures, two hundred and fifty to a subfolder."""
    bar = Progress("pictures", len(seeds))
    for done, seed in enumerate(seeds, 1):
        place = folder / f"{seed // 250:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{seed:06d}.jpg").write_bytes(picture(seed, side))
        bar.update(done)
    return folder


def floor(folder: Path, perceptual: bool) -> None:
    """Read, hash and decode every file once, with a perceptual hash or without."""
    for path in sorted(folder.rglob("*.jpg")):
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        image = Image.open(io.BytesIO(data))
        image.load()
        if perceptual:
            imagehash.phash(image)


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def against_floor(scratch: Path, side: int, count: int, repeats: int) -> dict[str, float]:
    """Return the floor (ms an image) and, as multiples of it, the plain script, one worker, and one worker a core.

    Medians over runs in turns.
    """
    source = fill(scratch / f"floor-{side}", range(count), side)
    base = load_params(ROOT / "params.yaml")
    floor(source, perceptual=True)
    ratios: dict[str, list[float]] = {"script": [], "one": [], "cores": []}
    per_image = []
    for _ in range(repeats):
        lowest = seconds(lambda: floor(source, perceptual=False))
        per_image.append(1000 * lowest / count)
        ratios["script"].append(seconds(lambda: floor(source, perceptual=True)) / lowest)
        for name, workers in (("one", 1), ("cores", 0)):
            params = replace(base, ingest=replace(base.ingest, workers=workers))
            workspace = empty(scratch / "floor-ws")
            started = time.perf_counter()
            ingest(workspace, source, STYLE, params, tracked=False)
            ratios[name].append((time.perf_counter() - started) / lowest)
            shutil.rmtree(workspace.root)
    shutil.rmtree(source)
    medians = {name: statistics.median(each) for name, each in ratios.items()}
    return {"floor_ms": statistics.median(per_image), **medians}


def empty(root: Path) -> Workspace:
    """Return a workspace of no more than the files that ingestion looks at."""
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml", "recipes.yaml"):
        shutil.copy(ROOT / name, root / name)
    return Workspace(root)


def grow(scratch: Path, count: int, side: int) -> Growth:
    """Measure a style of `count` images and one more in a workspace of its own.

    Raises:
        AssertionError: the crops of the first images changed with the new one.
    """
    source = fill(scratch / "artworks", range(count), side)
    more = fill(scratch / "more", range(count, count + 1), side)
    workspace = Workspace(copy_checkout(scratch / "studio"))
    shutil.copy(ROOT / "params.yaml", workspace.params_file)
    quietly(["dvc", "init", "-q", "-f"] if not (workspace.root / ".dvc").exists() else ["dvc", "version"], workspace)
    taken = {}
    for name, folder in (("all", source), ("one", more)):
        before = digests(workspace)
        taken[f"ingest {name}"], peak, worker = ingest_apart(workspace, folder)
        taken[f"prepare {name}"] = seconds(lambda: quietly(["dvc", "repro", f"prepare@{STYLE}"], workspace))
        after = digests(workspace)
        assert all(after[path] == digest for path, digest in before.items()), "existing crops changed"
        if name == "all":
            peaks = (peak, worker)
    for folder in (source, more, workspace.root):
        shutil.rmtree(folder)
    return Growth(
        count, taken["ingest all"], taken["prepare all"], taken["ingest one"], taken["prepare one"], *peaks
    )


def ingest_apart(workspace: Workspace, folder: Path) -> tuple[float, float, float]:
    """Ingest in a process of its own; return seconds, and the peak memory (MB) of that and of its largest worker.

    Peaks are sampled: what `getrusage` says of a child begins with its parent's.
    """
    code = (
        "import sys; from pathlib import Path; from pipeline.ingest import ingest;"
        "from pipeline.params import load_params; from pipeline.workspace import Workspace;"
        f"w = Workspace(Path(sys.argv[1])); ingest(w, Path(sys.argv[2]), '{STYLE}', load_params(w.params_file))"
    )
    started = time.perf_counter()
    command = [sys.executable, "-c", code, str(workspace.root), str(folder)]
    peak = worker = 0.0
    with subprocess.Popen(command, cwd=workspace.root, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, megabytes(process.pid))
            worker = max([worker, *(megabytes(child) for child in descendants(process.pid))])
            time.sleep(0.05)
        taken = time.perf_counter() - started
        assert process.stderr is not None
        said = process.stderr.read()
    if process.returncode:
        raise RuntimeError(said)
    return taken, peak, worker


def megabytes(pid: int) -> float:
    """Return the peak memory of a living process."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def descendants(pid: int) -> list[int]:
    """Return the forkserver and the workers of a process, by their command line, and not DVC."""
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(pid).children(recursive=True)
        return [child.pid for child in found if "multiprocessing.forkserver" in " ".join(child.cmdline())]
    return []


def digests(workspace: Workspace) -> dict[str, str]:
    """Return the SHA-256 of every prepared crop file."""
    found = workspace.prepared(STYLE).glob("*/*.png")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def quietly(command: list[str], workspace: Workspace) -> None:
    """Run a module's command in the workspace.

    Raises:
        RuntimeError: it failed; the message is what it printed.
    """
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=workspace.root,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def report(floors: dict[int, dict[str, float]], growths: list[Growth], side: int, params: Params) -> str:
    """Return the result as Markdown."""
    lines = [
        "# Ingestion and preparation",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, {platform.machine()}, "
        f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}. "
        "`python -m benchmarks.ingest`",
        "",
        "## Against the floor",
        "",
        "Full ingest, as a multiple of reading, hashing (SHA-256) and decoding each file once with Pillow in one "
        "process. What it does besides: a copy, borders, perceptual hashes, the manifest, containment. Medians.",
        "",
        "| long side | floor, ms an image | with imagehash.phash | ingest, one worker | ingest, one worker a core |",
        "|---|---|---|---|---|",
        *(
            f"| {side} px | {found['floor_ms']:.1f} | {found['script']:.2f} | {found['one']:.2f} | "
            f"{found['cores']:.2f} |"
            for side, found in floors.items()
        ),
        "",
        "## As a style grows",
        "",
        f"Artworks of {side} x {side * 3 // 4} px, crops by params.yaml ({params.prepare.crops_per_image} of "
        f"{params.prepare.crop} px an image); seconds, `dvc add` and `dvc repro prepare@{STYLE}` included. The crop "
        "files of the first images were the same bytes before and after.",
        "",
        "| artworks | ingest all | prepare all | ingest one more | prepare one more | one more / all | peak, MB "
        "| worker, MB |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {g.count} | {g.ingest_all:.1f} | {g.prepare_all:.1f} | {g.ingest_one:.1f} | {g.prepare_one:.1f} | "
            f"{100 * g.share:.1f} % | {g.peak_mb:.0f} | {g.worker_mb:.0f} |"
            for g in growths
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--side", type=int, default=640, help="long side of the pictures of the growth, px")
    parser.add_argument("--floor-sides", type=int, nargs="*", default=[512, 1024, 2048])
    parser.add_argument("--scratch", type=Path, help="folder for some 4 MB an image")
    parser.add_argument("--dry", action="store_true", help="print only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        scratch = Path(folder)
        counts = {side: min(2000, 400_000 // side) for side in arguments.floor_sides}
        floors = {side: against_floor(scratch, side, count, repeats=3) for side, count in counts.items()}
        print(floors, flush=True)
        growths = []
        for count in arguments.counts:
            growths.append(grow(scratch, count, arguments.side))
            print(growths[-1], f"{100 * growths[-1].share:.2f} %", flush=True)
    text = report(floors, growths, arguments.side, load_params(ROOT / "params.yaml"))
    print(text)
    if not arguments.dry:
        RESULT.write_text(text)
        print(f"written to {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
