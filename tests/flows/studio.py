"""A studio's side of the tests: pictures dropped into an inbox, commands run in a workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

TINTS = {"photos": (40, 60, 200), "ink": (220, 60, 40), "oil": (60, 200, 80)}


def drop(workspace: Path, collection: str, first: int, count: int) -> None:
    """Put `count` different small pictures of a collection's tint into its inbox folder."""
    folder = workspace / "inbox" / collection
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        random = np.random.default_rng([number, len(collection), *TINTS[collection]])
        coarse = 0.6 * random.integers(0, 256, (6, 6, 3)) + 0.4 * np.array(TINTS[collection])
        picture = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
        picture.save(folder / f"{collection}-{number}.png")


def command(workspace: Path, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments` in a workspace, with its own code, and return what it said."""
    inherited = {name: value for name, value in os.environ.items() if name != "PREFECT_HOME"}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=workspace,
        env={**inherited, "PYTHONPATH": str(workspace), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
