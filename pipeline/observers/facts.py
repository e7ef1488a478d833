"""What stands beside a judge's weights: readable without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.files import read_json

WEIGHTS, FACTS = "judge.safetensors", "judge.json"


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Return the facts of the judge in a folder, or None where there is none.

    They are: style, version (SHA-256 of the weights), channels, steps, trained_on (collection -> sha256s of images),
    held_out (collection -> its mean rates).

    Raises:
        ValueError: the file is not JSON.
    """
    path = folder / FACTS
    facts: dict[str, Any] | None = read_json(path) if path.is_file() else None
    return facts
