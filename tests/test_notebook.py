"""The notebook: it is stored without outputs, and (slow) its cells run in order in a fresh process, to a painting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import copy_checkout

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "first_style.ipynb"
SMALL = 'PRESET, STEPS, PHOTOS, ARTWORKS, SIDE = "smoke", 6, 24, 14, 64'


def _cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def test_it_is_stored_as_nobody_has_run_it_and_its_parameters_can_be_told() -> None:
    cells = _cells()
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert next(cell["metadata"].get("tags") for cell in cells) == ["parameters"]
    for cell in cells:
        compile("".join(cell["source"]), str(NOTEBOOK), "exec")  # plain Python: no magic, no shell
    # The five lines that README and docs promise.
    [five] = ["".join(cell["source"]) for cell in cells if "Stylizer.load" in "".join(cell["source"])]
    assert len([line for line in five.splitlines() if line]) == 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_cells_run_in_order_to_a_painting(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    copy_checkout(checkout)
    sources = ["".join(cell["source"]) for cell in _cells()]
    program = "\n".join([SMALL, *sources[1:]])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout / "notebooks",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "generator.safetensors" in done.stdout
    made = checkout / "work" / "first-style"
    pair = np.asarray(Image.open(made / "first_style.png").convert("RGB"), int)
    photo, painting = pair[:, :64], pair[:, 64 + 12 :]
    assert photo.shape == painting.shape
    assert np.abs(photo - painting).mean() > 1
    assert (made / "strength.png").is_file()
    assert (made / "scale.png").is_file()
