"""The pictures and the card of a model that makes images out of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.files import write_json
from pipeline.generation import Sampler
from pipeline.images import grid
from pipeline.metrics.references import Pixels
from pipeline.recipes import Recipe
from pipeline.reports.figures import percent, short
from pipeline.reports.gallery import save
from pipeline.reports.model_card import measured
from pipeline.reports.plots import write_bars
from pipeline.reports.sources import MODEL, in_order
from pipeline.sampling import SampleScores

_SHOWN = 128  # px: smaller images are shown so large, in whole multiples
_COLUMNS = 8
_WAYS, _STEPS = 4, 8  # interpolations, and images of each
_SEEDS = 4  # of which the codes are shown


def write_gallery(folder: Path, sampler: Sampler, scores: SampleScores, count: int) -> None:
    """Write the images of the first seeds, ways between them, the controls' images, and `index.json`.

    Args:
        folder: to be filled.
        sampler: the model.
        scores: its scores.
        count: images of the model to show.
    """
    folder.mkdir(parents=True)
    rows = {"samples": _rows(scores.outputs[MODEL][:count])}
    rows["between"] = [
        [np.asarray(image) for image in sampler.between(2 * way, 2 * way + 1, _STEPS)] for way in range(_WAYS)
    ]
    rows |= {f"control-{name}": _rows(scores.outputs[name][:_COLUMNS]) for name in scores.outputs}
    rows |= {f"code-{name}": _traversal(sampler, name) for name in sampler.network.codes.names}
    for name, images in rows.items():
        save(folder / f"{name}.jpg", _grid(images))
    nearest = []
    for number, near in enumerate(scores.nearest, 1):
        files = {"output": scores.outputs[MODEL][near.seed], "training": near.pixels}
        names = {kind: f"near-{number}-{kind}.jpg" for kind in files}
        for kind, pixels in files.items():
            save(folder / names[kind], enlarged(pixels))
        nearest.append(names | {"title": f"seed {near.seed}", "ratio": round(near.ratio, 3)})
    controls = {name: f"control-{name}.jpg" for name in in_order(scores.outputs)}
    index = {"samples": "samples.jpg", "between": "between.jpg", "controls": controls, "nearest": nearest}
    codes = [
        {"name": name, "file": f"code-{name}.jpg", "what": _what(sampler, name)}
        for name in sampler.network.codes.names
    ]
    write_json(folder / "index.json", index | {"codes": codes})


def _traversal(sampler: Sampler, name: str) -> list[list[Pixels]]:
    """Return a row a seed: its image with every value of a code, and all else as it is."""
    values = sampler.network.codes.values(name, _STEPS)
    return [
        [np.asarray(image) for value in values for image in sampler([seed], code={name: value})]
        for seed in range(_SEEDS)
    ]


def _what(sampler: Sampler, name: str) -> str:
    values = sampler.network.codes.values(name, _STEPS)
    if name.startswith("k"):
        return f"{len(values)} categories, from {name}=0 to {name}={len(values) - 1}"
    return f"from {name}={values[0]:g} to {name}={values[-1]:g}"


def write_sheets(folder: Path, gallery: Path) -> None:
    """Copy what DVC, MLflow and Prefect show of a report: images, and ways between them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in (("samples", "overview"), ("between", "between")):
        (folder / f"{target}.jpg").write_bytes((gallery / f"{name}.jpg").read_bytes())


def write_plots(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write one bar chart a metric, for `dvc plots`."""
    sources = {MODEL: metrics["metrics"], **metrics["controls"]}
    for name in metrics["metrics"]:
        rows = [(found[name]["value"], one) for one, found in sources.items() if name in found]
        write_bars(folder / f"{name.replace('/', '_')}.csv", rows)


def write_card(metrics: Mapping[str, Any], config: Mapping[str, Any], recipe: Recipe) -> str:
    """Return the model card of a scored package."""
    lines = [
        f"# {recipe.name}",
        "",
        f"Makes images of {config['side']} px out of noise, after the collection `{recipe.style}`: a seed in, an "
        "image out. It repaints no photograph.",
        "",
        "## How it was made",
        "",
        f"- Method `{config['method']}`, {config['steps']} steps, seed {config['seed']}.",
        f"- Which networks were packaged: {config['packaged']['why']}.",
        f"- Trained on crops of the style's artworks alone, each reduced to {config['side']} px; no photographs, no "
        "pretrained weights.",
        *_codes(config),
        f"- Package `{metrics['package']}`.",
        f"- Data `{metrics['data']}`.",
        "",
        "## What was measured",
        "",
        f"Of {metrics['counts']['images']} images, against {metrics['counts']['paintings']} paintings that it never "
        f"saw, in the same size; in brackets 95 % bootstrap intervals over both.",
        "",
        *measured(metrics),
        "",
        "## What it is for, and what not",
        "",
        "- For studies and ideas: small images in the hand's colours and forms, not works of the artist.",
        "- What is closest to a training image is shown in the report; look there before you publish an image.",
        "- The rights in the artworks are those of their owners; training does not change them.",
        "",
    ]
    return "\n".join(lines)


def _codes(config: Mapping[str, Any]) -> list[str]:
    names = config.get("codes", {}).get("names", ())
    if not names:
        return []
    told = ", ".join(f"`{name}`" for name in names)
    return [f"- Its codes {told} are set with `atelier generate --code`; their meaning it found itself."]


def lead(metrics: Mapping[str, Any]) -> str:
    """Return what was found in one sentence, without a verdict."""
    name = "style/patch_swd"
    own = metrics["metrics"][name]["value"]
    values = {control: found[name]["value"] for control, found in metrics["controls"].items() if name in found}
    goal = values.pop("paintings", None)
    known = {control: value for control, value in values.items() if value is not None}
    counts, diverse = metrics["counts"], metrics["metrics"].get("diversity/spread", {}).get("value")
    seen = f"Beside {counts['paintings']} paintings that it never saw"
    if own is None or goal is None or not known:
        return f"{seen}, {counts['images']} images were scored; the figures are below."
    beaten = sum(own < value for value in known.values())
    told = f"{seen}, {counts['images']} images lie at a distance of {short(own)} in brushwork and colour (paintings "
    told += f"{short(goal)}), nearer than {beaten} of {len(known)} controls"
    return f"{told}; they are {percent(diverse)} as diverse as the paintings."


def enlarged(pixels: Pixels) -> Image.Image:
    """Return an image as it is shown: a small one in a whole multiple of its size, every pixel a square."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    times = max(1, _SHOWN // image.width)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def _rows(images: Sequence[Pixels]) -> list[list[Pixels]]:
    return [list(images[start : start + _COLUMNS]) for start in range(0, len(images), _COLUMNS)]


def _grid(rows: Sequence[Sequence[Pixels]]) -> Image.Image:
    return grid([[enlarged(pixels) for pixels in row] for row in rows], gap=4)
