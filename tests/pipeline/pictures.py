"""Pictures and workspaces that the tests of ingestion and preparation are made of."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.params import Params, load_params
from pipeline.workspace import Workspace

ROOT = Path(__file__).parents[2]


def texture(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """Return a smooth coloured picture, unlike that of any other seed."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def fill(folder: Path, seeds: range, **size: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / f"{seed:04d}.png").write_bytes(encoded(texture(seed, **size)))
    return folder


def make_workspace(root: Path) -> Workspace:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dvc.yaml").write_text("{}\n")
    (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (root / "recipes.yaml").write_text("styles: []\nrecipes: {}\n")
    return Workspace(root)


def small_params(**ingest: Any) -> Params:
    """Return params.yaml with small images allowed and small crops made."""
    params = load_params(ROOT / "params.yaml")
    limits = {"min_side": 32, "min_photos": 4, "min_artworks": 4, "test_share": 0.3} | ingest
    prepare = dataclasses.replace(params.prepare, crop=32, crops_per_image=3, view=48)
    return dataclasses.replace(params, ingest=dataclasses.replace(params.ingest, **limits), prepare=prepare)
