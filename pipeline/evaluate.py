"""Stage: score what ships. Package and held-out images in; metrics, plots, gallery, report and model card out.

It reads the package through `inference` like any user, and knows nothing of champions: comparing and judging belong
to the flow (`compare` here, `gate`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline import gallery, model_card, plots, report
from pipeline.data import read_index
from pipeline.entry import run_stage
from pipeline.files import digest_json, sha256_file, staged_directory, write_atomic, write_json
from pipeline.images import Limits, Refused, decode, square_view
from pipeline.inference import Stylizer
from pipeline.metrics.references import Pixels
from pipeline.params import Evaluate, Params
from pipeline.progress import Progress
from pipeline.recipes import Recipe, load_book, recipe_params
from pipeline.scoring import HeldOut, View, compare_models, score, summary
from pipeline.workspace import PHOTOS, Workspace, find_workspace


def main(recipe: str, workspace: Workspace) -> Path:
    """Write `reports/<recipe>/` and return it; what it took goes to `reports/<recipe>.cost.json`, outside.

    Every file follows from the stage's inputs, so none holds a time or a commit.

    Raises:
        ValueError: an unknown recipe, a package that is missing or damaged, or too few held-out images.
    """
    started = time.monotonic()
    entry = load_book(workspace).recipe(recipe)
    settings = recipe_params(workspace, entry).evaluate
    stylizer = Stylizer.load(workspace.package(recipe))
    held_out = stage_images(workspace, entry, settings)
    bar = Progress(f"evaluate {recipe}", len(held_out.photographs))
    scores = score(stylizer, held_out, settings, stylizer.config["palette"], bar.update)
    scored = time.monotonic()
    metrics = scores.to_dict() | {
        "recipe": recipe,
        "package": stylizer.digest,
        "data": data_digest(workspace, entry),
    }
    with staged_directory(workspace.report(recipe)) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "summary.json", summary(metrics))
        plots.write_plots(folder / "plots", metrics, scores)
        gallery.write_gallery(folder / "gallery", stylizer, scores, workspace.collection(PHOTOS), settings.gallery)
        write_atomic(folder / "model_card.md", model_card.write(metrics, stylizer.config, entry))
        write_atomic(folder / "report.html", report.render(folder, workspace.trained(recipe)))
    ended = time.monotonic()
    cost = {"scoring_seconds": round(scored - started, 2), "report_seconds": round(ended - scored, 2)}
    write_json(workspace.report(recipe).with_name(f"{recipe}.cost.json"), cost)
    return workspace.report(recipe)


def compare(workspace: Workspace, recipe: str, champion: Path) -> dict[str, Any]:
    """Return the champion's figures and the paired differences champion - model, as the gate reads them.

    Both packages are scored now, with this code on these images: figures of another day are not comparable.

    Args:
        workspace: where the recipe's package and images lie.
        recipe: the challenger.
        champion: folder of the other package.

    Raises:
        ValueError: as `main`.
    """
    entry = load_book(workspace).recipe(recipe)
    settings = recipe_params(workspace, entry).evaluate
    model, other = Stylizer.load(workspace.package(recipe)), Stylizer.load(champion)
    held_out = stage_images(workspace, entry, settings)
    bar = Progress(f"compare {recipe} with the champion", len(held_out.photographs))
    figures, differences = compare_models(model, other, held_out, settings, bar.update)
    return {
        "format": 1,
        "champion": other.digest,
        "model": model.digest,
        "metrics": figures,
        "differences": {"champion - model": differences},
    }


def score_folders(
    package: Path, photos: Path, artworks: Path, params: Params, training: Path | None = None
) -> dict[str, Any]:
    """Return the metrics.json of any package on the images of any two folders.

    Images are taken by the hash of their content, as the stage does, so the same images give the same figures.

    Args:
        package: folder of a model package.
        photos: photographs that it never saw.
        artworks: artworks of its style that it never saw.
        params: `evaluate` and the limits of `ingest` are used.
        training: artworks that it was trained on; without them memorisation is not measured.

    Raises:
        ValueError: the package is missing or damaged, or a folder holds fewer than two readable images.
    """
    stylizer = Stylizer.load(package)
    limits, view, most = Limits.of(params.ingest), stylizer.config["view"], params.evaluate.max_images
    held_out = HeldOut.of(
        _folder(photos, limits, view, most),
        _folder(artworks, limits, view, most),
        None if training is None else lambda: (one.pixels for one in _folder(training, limits, view, None)),
    )
    bar = Progress("evaluate", len(held_out.photographs))
    scores = score(stylizer, held_out, params.evaluate, stylizer.config["palette"], bar.update)
    return scores.to_dict() | {"recipe": stylizer.config.get("recipe"), "package": stylizer.digest}


def stage_images(workspace: Workspace, recipe: Recipe, settings: Evaluate) -> HeldOut:
    """Return the held-out images of a recipe: at most `max_images` of each kind, the first by hash.

    Raises:
        ValueError: a collection has not been prepared.
    """
    photos, paintings = workspace.prepared(PHOTOS), workspace.prepared(recipe.style)
    return HeldOut.of(_views(photos, settings.max_images), _views(paintings, settings.max_images), _crops(paintings))


def data_digest(workspace: Workspace, recipe: Recipe) -> str:
    """Return one digest of the prepared photographs and paintings: which images, in which split, prepared how."""
    return digest_json({name: read_index(workspace.prepared(name)) for name in (PHOTOS, recipe.style)})


def _views(prepared: Path, most: int) -> list[View]:
    return [View(entry["image"], _read(prepared / entry["file"])) for entry in read_index(prepared)["test"][:most]]


def _crops(prepared: Path) -> Callable[[], Iterable[Pixels]]:
    """Return a reader of all training crops of a collection, a strip at a time."""
    index = read_index(prepared)

    def read() -> Iterator[Pixels]:
        for entry in index["train"]:
            yield from _read(prepared / entry["file"]).reshape(-1, index["crop"], index["crop"], 3)

    return read


def _read(path: Path) -> Pixels:
    if not path.is_file():
        raise ValueError(f"{path} is in the index of its folder but missing; run `dvc repro` again")
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def _folder(folder: Path, limits: Limits, side: int, most: int | None) -> list[View]:
    """Return views of a folder's images by hash, each content once; what is no image or not accepted is left out."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    files = {sha256_file(path): path for path in sorted(folder.rglob("*")) if path.is_file()}
    views: list[View] = []
    for digest in sorted(files):
        if most is not None and len(views) >= most:
            break
        try:
            image = decode(files[digest], limits).image
        except Refused:
            continue
        views.append(View(digest, np.asarray(square_view(image, side))))
    if len(views) < 2:
        raise ValueError(f"{folder} holds {len(views)} readable images; scoring needs at least 2")
    return views


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluate",
        description="Score a recipe's package on held-out images. Example: python -m pipeline.evaluate vangogh",
    )
    parser.add_argument("recipe")
    parser.add_argument("--champion", type=Path, help="folder of another package: compare with it instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="with --champion: write the comparison here")
    arguments = parser.parse_args()
    if (arguments.champion is None) != (arguments.json is None):
        raise ValueError("--champion and --json belong together: the package to compare with, the file to write")
    workspace = find_workspace(Path.cwd())
    if arguments.champion is not None:
        write_json(arguments.json, compare(workspace, arguments.recipe, arguments.champion))
        print(f"comparison: {arguments.json}")
    else:
        print(f"report: {main(arguments.recipe, workspace) / 'report.html'}")


if __name__ == "__main__":
    run_stage(_command)
