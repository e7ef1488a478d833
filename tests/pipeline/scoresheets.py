"""Metrics as the evaluate stage writes them, made of numbers: every metric there is, and every control."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pipeline.metrics import REGISTRY, Metric, of_task

Tree = dict[str, Any]
PAIRS = ("photograph", "lab_transfer", "lab_painterly")
# A good model beside controls that are what they must be. Metrics that are not named here get figures of their own.
FIGURES: dict[str, dict[str, float]] = {
    "model": {
        "style/patch_swd": 0.12,
        "style/texture_swd": 0.08,
        "style/palette": 6.0,
        "content/structure": 0.8,
        "content/edges": 0.85,
        "diversity/pairwise": 0.9,
        "distortion/mse": 0.05,
        "distortion/psnr": 14.0,
        "memorisation/nearest_train": 1.1,
        "judge/colour": 0.7,
        "judge/luminance": 0.6,
        "reference/closer": 0.7,
    },
    "photograph": {
        "style/patch_swd": 0.3,
        "style/texture_swd": 0.16,
        "style/palette": 20.0,
        "content/structure": 1.0,
        "content/edges": 1.0,
        "diversity/pairwise": 1.0,
        "distortion/mse": 0.0,
        "distortion/psnr": 100.0,
        "judge/colour": 0.05,
        "judge/luminance": 0.06,
        "reference/closer": 0.25,
    },
    "lab_transfer": {
        "style/patch_swd": 0.2,
        "style/texture_swd": 0.15,
        "style/palette": 5.0,
        "judge/colour": 0.5,
        "judge/luminance": 0.1,
    },
    "lab_painterly": {
        "style/patch_swd": 0.18,
        "style/texture_swd": 0.14,
        "style/palette": 5.5,
        "judge/colour": 0.52,
        "judge/luminance": 0.2,
    },
    "paintings": {
        "style/patch_swd": 0.1,
        "style/texture_swd": 0.05,
        "style/palette": 4.0,
        "judge/colour": 0.88,
        "judge/luminance": 0.85,
    },
}
JUDGE = ("judge/colour", "judge/luminance")


def figure(value: float, half: float = 0.02) -> Tree:
    return {"value": value, "low": value - half, "high": value + half}


def good() -> Tree:
    """Return a metrics.json that passes everything."""
    controls = {who: _figures(who) for who in (*PAIRS, "paintings")}
    return with_differences(
        {
            "format": 1,
            "counts": {"photographs": 30, "paintings": 20},
            "observers": {"features": "judge-1", "judge": "judge-1", "perceptual": None},
            "metrics": _figures("model"),
            "controls": controls,
            "checks": {"variety": 40.0, "contrast": 50.0, "change": 20.0, "copied": 0.0},
        }
    )


def with_differences(tree: Tree, half: float = 0.02) -> Tree:
    """Return a copy whose differences are those of its figures."""
    tree = copy.deepcopy(tree)
    ours = tree["metrics"]
    tree["differences"] = {
        f"{who} - model": {
            name: figure(theirs["value"] - ours[name]["value"], half)
            for name, theirs in tree["controls"][who].items()
            if name in ours
        }
        for who in PAIRS
        if who in tree["controls"]
    }
    return tree


def changed(tree: Tree, figures: Mapping[str, float], whose: str = "model") -> Tree:
    """Return a copy in which the model, or a control, has other figures, and the differences follow."""
    tree = copy.deepcopy(tree)
    place = tree["metrics"] if whose == "model" else tree["controls"][whose]
    place |= {name: figure(value) for name, value in figures.items()}
    return with_differences(tree)


def _figures(who: str) -> Tree:
    names = (*(one.name for one in of_task("stylize")), *(name for name in JUDGE if name not in REGISTRY))
    if who == "paintings":
        names = tuple(FIGURES[who])
    return {
        name: figure(FIGURES[who].get(name, _some(REGISTRY[name], who) if name in REGISTRY else 0.0))
        for name in names
    }


def _some(declared: Metric, who: str) -> float:
    """Return a figure that is possible and that nobody else has."""
    place = 0.4 + 0.05 * list(FIGURES).index(who)
    low, high = max(declared.low, -1.0), min(declared.high, max(declared.low, -1.0) + 2.0)
    return low + place * (high - low)
