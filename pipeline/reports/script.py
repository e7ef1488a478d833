"""The program that the model card prints: a package in twenty lines, with onnxruntime, numpy and Pillow alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.inference import references_file
from pipeline.painting.working import LARGEST

NEEDS = ("onnxruntime", "numpy", "Pillow")

_STYLIZE = """\
import json, sys
from pathlib import Path
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

package, source, target = map(Path, sys.argv[1:])  # python paint.py PACKAGE photo.jpg painting.png
config = json.loads((package / "config.json").read_text())
photo = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
short, view, step = min(photo.size), config["view"], config["multiple"]
scale = min(max(short, view), LARGEST * view) / short  # strokes keep their share of the picture
size = [max(4, round(side * scale / step)) * step for side in photo.size]
pixels = np.asarray(photo.resize(size, Image.Resampling.LANCZOS), np.float32) / 127.5 - 1
onnxruntime.set_default_logger_severity(3)
session = onnxruntime.InferenceSession(package / "generator.onnx", providers=["CPUExecutionProvider"])
given = {"photo": pixels.transpose(2, 0, 1)[None]}
REFERRING(made,) = session.run(["painting"], given)
levels = np.clip((made[0].transpose(1, 2, 0) + 1) * 127.5, 0, 255).round().astype(np.uint8)
Image.fromarray(levels).resize(photo.size, Image.Resampling.LANCZOS).save(target)
"""

# A model that paints after references brings some of each style, in a strip of squares; this takes the first one.
_REFERRING = """\
strip = np.asarray(Image.open(package / "STRIP"), np.float32).transpose(2, 0, 1) / 127.5 - 1
given |= {"reference": strip[None, :, :, : strip.shape[1]]}
given |= {name: np.ones(1, np.float32) for name in ("weights", "strength")}
"""


def script(config: Mapping[str, Any]) -> str:
    """Return a program that repaints one picture with a package of this config.

    It is what it can be in twenty lines: the finest detail is `atelier stylize`'s to bring back.
    """
    more = _REFERRING.replace("STRIP", references_file(config["style"])) if config.get("reference") else ""
    return _STYLIZE.replace("LARGEST", f"{LARGEST:g}").replace("REFERRING", more)


def section(config: Mapping[str, Any]) -> list[str]:
    """Return the lines of a card's section on it."""
    return [
        "## Without this project",
        "",
        f"In any environment with {', '.join(NEEDS)} (`pip install {' '.join(NEEDS).lower()}`):",
        "",
        "```python",
        *script(config).splitlines(),
        "```",
        "",
        "`atelier stylize` also brings the photograph's edges and fine detail back at full size, paints pictures of "
        "any size within bounded memory, and keeps metadata, profile and transparency.",
        "",
    ]
