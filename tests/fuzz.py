"""`make fuzz`: thousands of damaged images through the real ingest. Each must end accepted, refused or left.

Whole images of every format are mutated (bits, runs, lengths, splices, cuts) and dropped into an inbox in batches;
workers are contained as in production, with less time and memory. The result is written to
benchmarks/results/fuzz.txt: a file lost, a count that does not add up or an ingest that ends in an error fails.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.ingest import IngestResult, ingest_inbox
from pipeline.params import Params
from pipeline.progress import Progress
from pipeline.workspace import Workspace
from scripts.test_full import commit
from tests.pipeline.pictures import ROOT, encoded, make_workspace, small_params, texture

RESULT = ROOT / "benchmarks" / "results" / "fuzz.txt"
BATCH = 250


def originals() -> list[bytes]:
    """Return whole images of every format and of most of its kinds."""
    rgb = texture(1, 72, 64)
    grey, palette, rgba = rgb.convert("L"), rgb.quantize(32), rgb.convert("RGBA")
    rgba.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [
        encoded(rgb, "JPEG", exif=exif),
        encoded(rgb, "JPEG", progressive=True, quality=95),
        encoded(rgb.convert("CMYK"), "JPEG"),
        encoded(rgb, "MPO", save_all=True, append_images=[texture(2, 72, 64)]),
        *(encoded(each, "PNG") for each in (rgb, grey, palette, rgba, deep)),
        *(encoded(rgba, "WEBP", lossless=lossless) for lossless in (False, True)),
        *(encoded(rgb, "TIFF", compression=kind) for kind in ("raw", "tiff_lzw", "tiff_deflate", "jpeg")),
        encoded(rgb.convert("LAB"), "TIFF"),
        encoded(rgb, "BMP"),
        encoded(palette, "GIF"),
        encoded(palette, "GIF", save_all=True, append_images=[palette.transpose(Image.Transpose.ROTATE_180)]),
        encoded(rgb, "AVIF"),
    ]
    return made


def mutated(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Return a damaged copy: one to eight changes, most of them near the header, where decoders make decisions."""
    content = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
        at = min(int(draw.expovariate(6) * len(content)), max(0, len(content) - 1))
        kind = draw.randrange(8)
        if kind == 0 and content:
            content[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            content[at : at + 1] = draw.randbytes(1)
        elif kind == 2:  # a length, an offset or a count
            content[at : at + 4] = draw.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
        elif kind == 3:
            del content[at : at + draw.randrange(1, 64)]
        elif kind == 4:
            content[at:at] = content[at : at + draw.randrange(1, 64)] * draw.randrange(1, 4)
        elif kind == 5:
            content[at:at] = draw.randbytes(draw.randrange(1, 64))
        elif kind == 6:
            other = draw.choice(others)
            start = draw.randrange(len(other))
            content[at : at + 256] = other[start : start + 256]
        else:
            del content[draw.randrange(max(1, len(content))) :]
    return bytes(content)


def batch(workspace: Workspace, params: Params, contents: list[bytes]) -> IngestResult:
    """Ingest the contents as files of an inbox, and check that nothing was lost and every file was counted.

    Raises:
        AssertionError: the ingest lost or forgot a file.
    """
    folder = workspace.inbox / "style"
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"{number:04d}.jpg").write_bytes(content)
    result = ingest_inbox(workspace, params, tracked=False)["style"]
    counted = result.accepted + result.duplicates + result.refused + result.left
    assert counted == len(contents), f"{len(contents)} files went in and {counted} came out"
    data = workspace.root / "data"
    kept = {path.stem for path in data.rglob("*") if path.is_file() and len(path.stem) == 64}
    lost = [content for content in contents if hashlib.sha256(content).hexdigest() not in kept]
    assert not lost, f"{len(lost)} files are neither in the collection nor in quarantine"
    return result


def fuzz(count: int, seed: int) -> Counter[str]:
    """Return how many of `count` mutated images ended how."""
    draw, whole = random.Random(seed), originals()
    params = small_params(quiet_seconds=0.0, decode_seconds=10.0, decoder_memory_mb=512)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder) / "studio")
        bar = Progress("fuzz", count)
        for start in range(0, count, BATCH):
            contents = [mutated(draw.choice(whole), whole, draw) for _ in range(min(BATCH, count - start))]
            result = batch(workspace, params, contents)
            outcomes.update({"accepted": result.accepted, "duplicate": result.duplicates, "left": result.left})
            outcomes.update({f"refused {reason}": number for reason, number in result.reasons.items()})
            bar.update(start + len(contents))
    return outcomes


def main() -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    outcomes = fuzz(arguments.count, arguments.seed)
    lines = [
        f"date    {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"commit  {commit()}",
        f"python  {platform.python_version()}, Pillow {version('pillow')}",
        f"result  {arguments.count} mutated images (seed {arguments.seed}): all accounted for, none lost, "
        f"in {time.monotonic() - started:.0f} s",
        *(f"{number:7} {name}" for name, number in outcomes.most_common() if number),
    ]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print(RESULT.read_text() + f"written to {RESULT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
