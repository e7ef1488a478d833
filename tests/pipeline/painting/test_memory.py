"""Peak memory of a large picture, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASE, PER_PIXEL = 1.6e9, 12  # bytes: what docs/using.md promises ('Pictures of any size')

_PROGRAM = """
import resource, sys
import torch
from PIL import Image
from pipeline.inference import Stylizer
from pipeline.networks.generators import ResnetGenerator
torch.set_num_threads(1)
width, height, scale = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
stylizer = Stylizer(ResnetGenerator(24, 4), {"view": 160, "multiple": 4}, "", torch.device("cpu"))
photo = Image.effect_noise((width, height), 60).convert("RGB")
assert stylizer(photo, scale=scale).size == (width, height)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def _peak(width: int, height: int, scale: float) -> int:
    command = [sys.executable, "-c", _PROGRAM, str(width), str(height), str(scale)]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_memory_is_bounded_at_100_megapixels() -> None:
    assert _peak(12_000, 8_334, 1.0) < BASE + PER_PIXEL * 100e6


@pytest.mark.slow
def test_memory_is_bounded_when_brushes_are_fine() -> None:
    """Painted at its own size, by tiles."""
    assert _peak(3000, 2000, 100.0) < BASE + PER_PIXEL * 6e6
