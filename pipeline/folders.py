"""Scoring on the images of any folders, as the evaluate stage scores on a workspace's held-out ones.

The same image is taken as ingestion and preparation take it: a uniform border cut off, a held-out one as one square
view, a training one as crops. So the same images, parameters and judge give the same figures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.augment import Augmenter
from pipeline.files import sha256_file
from pipeline.held_out import observers_at_hand
from pipeline.images import Limits, Refused, at_least, cropped, decode, square_view
from pipeline.inference import Stylizer
from pipeline.intake.borders import usable_box
from pipeline.metrics.references import Pixels
from pipeline.params import Params, load_params
from pipeline.progress import Progress
from pipeline.recipes import load_book, recipe_params
from pipeline.referring import alone, learnt_through
from pipeline.scoring import HeldOut, View, score
from pipeline.workspace import Workspace


def params_for(workspace: Workspace, recipe: str | None) -> Params:
    """Return the parameters that a package's recipe has in a workspace; the workspace's own if it is not there.

    Raises:
        ValueError: a mistake in params.yaml or recipes.yaml.
    """
    book = load_book(workspace)
    known = book.recipes.get(recipe) if recipe else None
    return recipe_params(workspace, known) if known else load_params(workspace.params_file)


def score_folders(
    package: Path,
    photos: Path,
    artworks: Path,
    params: Params,
    training: Path | None = None,
    judge: Path | None = None,
) -> dict[str, Any]:
    """Return the metrics.json of any package on the images of any two folders.

    The same images, parameters and judge give the same figures as the stage; stability, which needs snapshots of the
    training, is left out.

    Args:
        package: folder of a model package.
        photos: photographs that it never saw.
        artworks: artworks of its style that it never saw.
        params: see `of_folders`.
        training: artworks that it was trained on; without them memorisation is not measured.
        judge: folder of the style's judge; without it no deception is measured.

    Raises:
        ValueError: the package is missing or damaged, or a folder holds fewer than two readable images.
    """
    stylizer = Stylizer.load(package)
    through = learnt_through(stylizer.config)
    images = of_folders(photos, artworks, stylizer.config["view"], params, training, judge, through)
    bar = Progress("evaluate", len(images.photographs))
    model = alone(stylizer, images.photographs)
    scores = score(model, images, params.evaluate, stylizer.config["palette"], bar.update)
    return scores.to_dict() | {"recipe": stylizer.config.get("recipe"), "package": stylizer.digest}


def of_folders(
    photos: Path,
    artworks: Path,
    side: int,
    params: Params,
    training: Path | None = None,
    judge: Path | None = None,
    through: Collection[str] = (),
) -> HeldOut:
    """Return the images of any two folders, by the hash of their content, as the stage takes them.

    Args:
        photos: photographs that the model never saw.
        artworks: artworks of its style that it never saw.
        side: of the views, px.
        params: `seed`, `prepare`, `evaluate`, `weights` and the limits of `ingest` are used.
        training: artworks that it was trained on; without them memorisation is not measured.
        judge: folder of the style's judge; without it no deception is measured.
        through: published networks that a model was trained through; none of them looks.

    Raises:
        ValueError: a folder holds fewer than two readable images; a collection's style has no judge; weights that are
            asked for by name are not at hand.
    """
    return HeldOut.of(
        _views(photos, side, params),
        _views(artworks, side, params),
        None if training is None else lambda: _crops(training, params),
        observers_at_hand(params, judge, through),
    )


def _views(folder: Path, side: int, params: Params) -> list[View]:
    views: list[View] = []
    for digest, image in _pictures(folder, params):
        views.append(View(digest, np.asarray(square_view(image, side))))
        if len(views) == params.evaluate.max_images:
            break
    if len(views) < 2:
        raise ValueError(f"{folder} holds {len(views)} readable images; scoring needs at least 2")
    return views


def _crops(folder: Path, params: Params) -> Iterator[Pixels]:
    """Yield what training sees of the images of a folder: the very crops, where they lay in the workspace as well."""
    settings = params.prepare
    augmenter = Augmenter(settings.augment.paintings, settings.crop, "prepare.augment.paintings")
    for digest, image in _pictures(folder, params):
        pixels = np.asarray(at_least(image, settings.crop))
        yield from augmenter.crops(pixels, seed=params.seed, sha256=digest, count=settings.crops_per_image)


def _pictures(folder: Path, params: Params) -> Iterator[tuple[str, Image.Image]]:
    """Yield hash and image of each content once, by hash; what is no image or not accepted is left out."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    limits = Limits.of(params.ingest)
    files = {sha256_file(path): path for path in sorted(folder.rglob("*")) if path.is_file()}
    for digest in sorted(files):
        try:
            image = decode(files[digest], limits).image
        except Refused:
            continue
        box = usable_box(image, limits.min_side) if params.prepare.crop_borders else None
        yield digest, cropped(image, box) if box else image
