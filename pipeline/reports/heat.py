"""What the discriminators took for real and for false, as pictures for a report: `pipeline.heat_map`, hung up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.discriminators import Discriminator, of_training
from pipeline.files import read_json, write_json
from pipeline.heat_map import heat_map, limit_of, overlay
from pipeline.images import grid
from pipeline.metrics.references import Pixels
from pipeline.params import Params
from pipeline.reports.charts import heat_legend
from pipeline.reports.figures import percent, short
from pipeline.reports.gallery import photograph_titles, save
from pipeline.reports.samples import enlarged
from pipeline.reports.sources import MODEL
from pipeline.restoring import RestorationScores
from pipeline.scoring import HeldOut, Stylize, View
from pipeline.workspace import PHOTOS, Workspace

FILE = "heat.json"
HOW = {
    "patches": "It judges overlapping patches; each answer lies where its patch has its middle.",
    "occlusion": "It gives a whole image one score, so windows of a quarter of the side were covered one after the "
    "other with the picture’s mean colour: blue is what the score falls without, orange what it rises without.",
}
_MADE, _REAL = 4, 2  # pictures that a discriminator is shown: the model's, and real ones
REALS = {"painting": "painted by hand", "photograph": "a photograph"}
_ABSENT = "runs/{} holds no discriminator: the model was trained by an earlier version, or elsewhere"


@dataclass(frozen=True)
class Exhibit:
    """A picture to be looked at."""

    title: str
    picture: Image.Image


def of_outputs(
    workspace: Workspace, style: str, images: HeldOut, outputs: Sequence[Pixels], back: Stylize | None
) -> dict[str, list[Exhibit]]:
    """Return what the discriminators of a model that repaints are shown, the first by hash: outputs, real paintings.

    Args:
        workspace: for the names that people gave the images.
        style: of the paintings.
        images: held out.
        outputs: of the model, in the order of the photographs.
        back: the way to photographs, if the model has learnt it: its judge is shown what becomes of paintings, and
            real photographs.
    """
    made = [View(view.name, output) for view, output in zip(images.photographs, outputs, strict=True)]
    photographs, painted = (_by_hash(views, workspace.collection(PHOTOS)) for views in (images.photographs, made))
    paintings = _by_hash(images.paintings, workspace.collection(style))
    shown = {"painting": _made(painted) + _real(paintings, "painting")}
    if back is not None:
        returned = [Exhibit(one.title, back(one.picture)) for one in paintings[:_MADE]]
        shown["photograph"] = _made(returned) + _real(photographs, "photograph")
    return shown


def of_samples(outputs: Sequence[Pixels], paintings: Sequence[Pixels]) -> dict[str, list[Exhibit]]:
    """Return what the discriminator of a model that makes images out of noise is shown: outputs, real paintings."""
    made = [
        Exhibit(f"Seed {seed}, by the model", Image.fromarray(output)) for seed, output in enumerate(outputs[:_MADE])
    ]
    real = [Exhibit("A held-out painting", Image.fromarray(painting)) for painting in paintings[:_REAL]]
    return {"painting": made + real}


def of_restorer(scores: RestorationScores) -> dict[str, list[Exhibit]]:
    """Return what the discriminator of a model that restores is shown: outputs by grade in turn, real paintings."""
    artworks, grades = scores.workshop.artworks, scores.workshop.wear.grades
    made = [
        Exhibit(f"{artwork.name[:12]}, {grade}, by the model", Image.fromarray(scores.outputs[MODEL][grade][index]))
        for index, (artwork, grade) in enumerate(zip(artworks, itertools.cycle(grades), strict=False))
    ]
    real = [Exhibit(f"{artwork.name[:12]}, as it was", Image.fromarray(artwork.pixels)) for artwork in artworks]
    return {"painting": made[:_MADE] + real[:_REAL]}


def write_heat_maps(folder: Path, trained: Path, params: Params, shown: Mapping[str, Sequence[Exhibit]]) -> None:
    """Write each picture and its map, one scale for each discriminator, and `heat.json`, which names them.

    Where there is no discriminator, or one that this version cannot build, `heat.json` says so and that is all.

    Args:
        folder: the report's gallery.
        trained: what the train stage left.
        params: the recipe's.
        shown: what a discriminator judges (`painting`, `photograph`) -> the pictures it is shown.
    """
    try:
        found = of_training(trained, params)
        missing = "" if found else _ABSENT.format(trained.name)
    except ValueError as error:
        found, missing = {}, str(error)
    groups = [_group(folder, one, shown[one.judges]) for one in found.values() if shown.get(one.judges)]
    write_json(folder / FILE, {"missing": missing, "groups": groups})


def write_sheet(path: Path, gallery: Path) -> None:
    """Write the pictures of `write_heat_maps` above their maps, a row of each a discriminator; none without one."""
    groups = read_json(gallery / FILE)["groups"]
    rows = [[one[kind] for one in group["shown"]] for group in groups for kind in ("picture", "map")]
    if rows:
        save(path, grid([[_opened(gallery / name) for name in row] for row in rows]))


def heat(folder: Path) -> dict[str, Any] | None:
    """Return what a template shows of `write_heat_maps`; None of a gallery from before there was such a thing."""
    if not (folder / FILE).is_file():
        return None
    found = read_json(folder / FILE)
    groups = [
        group
        | {
            "how": HOW[group["kind"]],
            "real": REALS[group["judges"]],
            "legend": heat_legend(group["limit"], f"heat-{number}", REALS[group["judges"]]),
            "shown": [one | {"said": _said(one, group["kind"])} for one in group["shown"]],
        }
        for number, group in enumerate(found["groups"])
    ]
    return {"missing": found["missing"], "groups": groups}


def _by_hash(views: Sequence[View], collection: Path) -> list[Exhibit]:
    titles = photograph_titles(collection)
    ordered = sorted(views, key=lambda view: view.name)
    return [Exhibit(titles.get(view.name, view.name[:12]), Image.fromarray(view.pixels)) for view in ordered]


def _made(exhibits: Sequence[Exhibit]) -> list[Exhibit]:
    return [Exhibit(f"{one.title}, by the model", one.picture) for one in exhibits[:_MADE]]


def _real(exhibits: Sequence[Exhibit], kind: str) -> list[Exhibit]:
    return [Exhibit(f"{one.title}, a held-out {kind}", one.picture) for one in exhibits[:_REAL]]


def _group(folder: Path, discriminator: Discriminator, shown: Sequence[Exhibit]) -> dict[str, Any]:
    maps = [heat_map(discriminator, exhibit.picture) for exhibit in shown]
    limit = limit_of(maps)
    entries = []
    for number, (exhibit, found) in enumerate(zip(shown, maps, strict=True), 1):
        picture = enlarged(np.asarray(exhibit.picture))  # for us to see, and not for the discriminator
        drawn = {"picture": picture, "map": overlay(picture, found, limit)}
        names = {kind: f"heat-{discriminator.name}-{number}-{kind}.jpg" for kind in drawn}
        for kind, image in drawn.items():
            save(folder / names[kind], image)
        size = {"width": picture.width, "height": picture.height}
        figures = {"score": round(found.score, 3), "share": round(found.share, 3)}
        entries.append({"title": exhibit.title} | names | size | figures)
    named = {"name": discriminator.name, "judges": discriminator.judges, "kind": maps[0].kind}
    return named | {"limit": float(f"{limit:.2g}"), "shown": entries}


def _said(one: Mapping[str, Any], kind: str) -> str:
    score = short(one["score"])
    if kind == "patches":
        return f"{percent(one['share'])} taken for real; score {score} on average"
    return f"score {score} of the whole"


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
