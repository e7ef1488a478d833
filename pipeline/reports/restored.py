"""The pictures and the card of a model that restores pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.damage.held_out import Specimen
from pipeline.files import read_json, write_json
from pipeline.images import grid
from pipeline.metrics import DECISIVE, ORIGINAL, metric
from pipeline.metrics.references import Pixels
from pipeline.recipes import Recipe
from pipeline.reports.figures import short
from pipeline.reports.gallery import save
from pipeline.reports.model_card import measured
from pipeline.reports.samples import enlarged, write_plots
from pipeline.reports.sources import MODEL, in_order, source
from pipeline.restoring import RestorationScores

__all__ = ["lead", "write_card", "write_gallery", "write_plots", "write_sheets"]

_WORST, _COMPARED = 4, 6
_DOES: Mapping[str, str] = {
    "inpaint": "Fills holes in pictures: a picture and a mask in, the same picture with its holes filled out. What "
    "the mask does not name comes back to the bit",
    "restore": "Cleans pictures that have suffered as a whole: scratches, stains, fading, noise. A picture in, one "
    "of the same size out",
    "super_resolution": "Enlarges pictures and takes blur, noise and compression away",
}
_SAID: Mapping[str, str] = {
    "fine": "fine holes, up to 2.5 % of the side across",
    "medium": "medium holes, up to 8 % of the side across",
    "large": "large holes, up to 25 % of the side across",
    "light": "light wear",
    "heavy": "heavy wear",
    "clean": "reduced, and nothing else",
    "worn": "reduced, blurred, noisy and compressed",
}


def write_gallery(folder: Path, scores: RestorationScores, count: int) -> None:
    """Write what is left, restored and original of `count` artworks, the controls, the worst, and `index.json`.

    Artworks come in the order of their hash, and grades of damage in turn, so nobody picked them.
    """
    folder.mkdir(parents=True)
    workshop, decisive = scores.workshop, DECISIVE[scores.restores][0]
    grades = workshop.wear.grades
    places = [(index, grades[index % len(grades)]) for index in range(len(workshop.artworks))]
    shown = places[:count]
    error = {(i, grade): scores.each[grade]["restored/l1"][i] for grade in grades for i, _ in places}
    worst = sorted(error, key=error.__getitem__, reverse=True)[:_WORST]

    def written(index: int, grade: str, name: str, pixels: Pixels) -> str:
        file = f"{index:02d}-{grade}-{name}.jpg"
        save(folder / file, enlarged(pixels))
        return file

    def entry(index: int, grade: str) -> dict[str, Any]:
        original = workshop.artworks[index]
        size = enlarged(original.pixels).size
        figure = scores.each[grade][decisive][index]
        told = f"{metric(decisive).title.lower()} {short(figure)} ({metric(decisive).unit})"
        facts = {"image": original.name, "title": original.name[:12], "grade": _SAID[grade], "told": told}
        return facts | {"width": size[0], "height": size[1]}

    def work(index: int, grade: str) -> dict[str, Any]:
        original = workshop.artworks[index].pixels
        pictures = {
            "damaged": as_given(workshop.specimens[grade][index], original),
            "restored": scores.outputs[MODEL][grade][index],
            "original": original,
        }
        return entry(index, grade) | {name: written(index, grade, name, of) for name, of in pictures.items()}

    def comparison(index: int, grade: str) -> dict[str, Any]:
        original = workshop.artworks[index].pixels
        pictures = {name: made[grade][index] for name, made in scores.outputs.items()}
        pictures |= {"damaged": as_given(workshop.specimens[grade][index], original), ORIGINAL: original}
        files = {name: written(index, grade, name, pictures[name]) for name in in_order(pictures)}
        return entry(index, grade) | {"files": files, "order": list(files)}  # JSON's objects have no order

    index = {
        "works": [work(*place) for place in shown],
        "compared": [comparison(*place) for place in shown[:_COMPARED]],
        "worst": [work(*place) for place in worst],
    }
    write_json(folder / "index.json", index)


def as_given(left: Specimen, original: Pixels) -> Pixels:
    """Return what is left in the size of the original: a reduced picture in plain large pixels."""
    size = (original.shape[1], original.shape[0])
    return np.asarray(left.picture.resize(size, Image.Resampling.NEAREST))


def write_sheets(folder: Path, gallery: Path) -> None:
    """Write what DVC, MLflow and Prefect show of a report: damaged, restored and original; controls; the worst."""
    index: Mapping[str, Any] = read_json(gallery / "index.json")
    folder.mkdir(parents=True, exist_ok=True)
    kinds = ("damaged", "restored", "original")
    rows = {
        "overview": [[work[kind] for kind in kinds] for work in index["works"]],
        "worst": [[work[kind] for kind in kinds] for work in index["worst"]],
        "controls": [[work["files"][name] for name in work["order"]] for work in index["compared"]],
    }
    for name, names in rows.items():
        save(folder / f"{name}.jpg", grid([[_read(gallery / file) for file in row] for row in names]))


def write_card(metrics: Mapping[str, Any], config: Mapping[str, Any], recipe: Recipe) -> str:
    """Return the model card of a scored package."""
    task = config["restores"]
    lines = [
        f"# {recipe.name}",
        "",
        f"{_DOES[task]}{_size(config)}. It has learnt from the collection `{recipe.style}`.",
        "",
        "## How it was made",
        "",
        f"- Method `{config['method']}`, task `{task}`, {config['steps']} steps, seed {config['seed']}.",
        f"- Which networks were packaged: {config['packaged']['why']}.",
        "- Trained on damage that was drawn on crops of the style's artworks; no photographs, no pretrained weights.",
        f"- Package `{metrics['package']}`.",
        f"- Data `{metrics['data']}`.",
        "",
        "## What was measured",
        "",
        f"On {metrics['counts']['paintings']} artworks that it never saw, each damaged from fixed seeds at the "
        f"grades {', '.join(_SAID[grade] for grade in metrics['grades'])}; in brackets 95 % bootstrap intervals over "
        "artworks.",
        "",
        *measured(metrics),
        "",
        "## What it is for, and what not",
        "",
        "- For pictures to look at: what was lost is invented, in the manner of the artworks it has seen. It is no "
        "evidence of what was there, and no conservator's reconstruction.",
        "- It knows the damage that was drawn for it. Other damage, and pictures of another kind, come out worse.",
        "- The rights in the artworks are those of their owners; training does not change them.",
        "",
    ]
    return "\n".join(lines)


def lead(metrics: Mapping[str, Any]) -> str:
    """Return what was found in one sentence, without a verdict."""
    seen = f"On {metrics['counts']['paintings']} artworks that it never saw"
    parts = []
    for name in DECISIVE[metrics["restores"]]:
        own = metrics["metrics"].get(name, {}).get("value")
        others = {
            source(control).title: found[name]["value"]
            for control, found in metrics["controls"].items()
            if control != ORIGINAL and found.get(name, {}).get("value") is not None
        }
        if own is not None and others:
            sign = 1 if metric(name).direction == "lower" else -1
            best = min(others, key=lambda control: sign * others[control])
            parts.append(f"{metric(name).title.lower()} {short(own)}, beside {short(others[best])} of {best}")
    if not parts:
        return f"{seen}, the model was scored; its figures are below."
    return f"{seen}: {'; '.join(parts)}, the best without training."


def _size(config: Mapping[str, Any]) -> str:
    return f", {config['scale']} times as large in width and height" if config["scale"] > 1 else ""


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
