"""Two packages on the same held-out images: paired differences with intervals, and their pictures side by side.

Both are scored now, with this code on these images: figures of another day are not comparable. A flow holds a
challenger against the champion with it, a person any two versions (`atelier compare`).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from pipeline import held_out
from pipeline.damage.held_out import Wear
from pipeline.entry import run_stage
from pipeline.files import sha256_file, staged_directory, write_atomic, write_json
from pipeline.folders import of_folders
from pipeline.generation import Sampler
from pipeline.inference import Stylizer, read_config, task_of
from pipeline.pages import HOUSE, template
from pipeline.params import Evaluate, Params, load_params
from pipeline.progress import Progress
from pipeline.recipes import Recipe, load_book, recipe_params
from pipeline.referring import alone, learnt_through, named
from pipeline.reports import report
from pipeline.reports.figures import paired_rows
from pipeline.reports.gallery import fitted, original, photograph_titles, save
from pipeline.reports.restored import as_given
from pipeline.reports.samples import enlarged
from pipeline.restoration import Restorer
from pipeline.restoring import Workshop, compare_restorers
from pipeline.sampling import Paintings, compare_samplers
from pipeline.scoring import HeldOut, View, compare_models
from pipeline.stylize import Package
from pipeline.workspace import PHOTOS, Workspace, find_workspace

SHOWN = 6  # photographs side by side
_SIDE = 640  # px of the longer side: three stand in a row


@dataclass(frozen=True)
class Side:
    """A package that is compared: its key in the figures, how to speak of it, and what it paints with."""

    key: str
    label: str
    stylizer: Stylizer


@dataclass(frozen=True)
class Sided:
    """A package that makes images out of noise, as one side of a comparison."""

    key: str
    label: str
    sampler: Sampler


@dataclass(frozen=True)
class Restoring:
    """A package that restores pictures, as one side of a comparison."""

    key: str
    label: str
    restorer: Restorer


@dataclass(frozen=True)
class Shown:
    """Photographs by hash: the file of one where there is one, and the name that a person gave it."""

    file: Callable[[str], Path | None]
    titles: Mapping[str, str]

    @staticmethod
    def of_collection(photos: Path) -> Shown:
        """Return what a workspace's collection holds."""
        return Shown(lambda name: original(photos, name), photograph_titles(photos))

    @staticmethod
    def of_folder(folder: Path) -> Shown:
        """Return what any folder holds."""
        files = {sha256_file(path): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return Shown(files.get, {digest: path.name for digest, path in files.items()})


def write(
    folder: Path, first: Side, second: Side, images: HeldOut, settings: Evaluate, shown: Shown
) -> dict[str, Any]:
    """Fill `folder` with `comparison.json` and its pictures, and return what the file holds.

    `metrics` are the first side's figures, `differences` the paired first - second; `sides` are the keys of both,
    each of which leads to its package's digest, and `labels` say how to speak of them.

    Raises:
        ValueError: too few images, or views of different sizes.
    """
    bar = Progress(f"compare {first.label} with {second.label}", 2 * len(images.photographs))
    done = iter(range(1, bar.total + 1))
    figures, differences = compare_models(
        alone(second.stylizer, images.photographs),
        alone(first.stylizer, images.photographs),
        images,
        settings,
        lambda _: bar.update(next(done, bar.total)),
    )
    found = {
        "format": 1,
        "sides": [first.key, second.key],
        "labels": {side.key: side.label for side in (first, second)},
        first.key: first.stylizer.digest,
        second.key: second.stylizer.digest,
        "counts": {"photographs": len(images.photographs), "paintings": len(images.paintings)},
        "observers": images.observers.names(),
        "metrics": figures,
        "differences": {f"{first.key} - {second.key}": differences},
    }
    with staged_directory(folder) as staged:
        found["pictures"] = _paint(staged, first, second, images, shown)
        write_json(staged / "comparison.json", found)
    return found


def write_samples(
    folder: Path, first: Sided, second: Sided, paintings: Paintings, settings: Evaluate
) -> dict[str, Any]:
    """Fill `folder` as `write` does, for two models that make images out of noise: the same seeds side by side.

    Raises:
        ValueError: too few paintings, or images of different sizes.
    """
    figures, differences = compare_samplers(second.sampler, first.sampler, paintings, settings)
    found = {
        "format": 1,
        "task": "generate",
        "sides": [first.key, second.key],
        "labels": {side.key: side.label for side in (first, second)},
        first.key: first.sampler.digest,
        second.key: second.sampler.digest,
        "counts": {"images": settings.samples, "paintings": len(paintings.held_out)},
        "observers": paintings.observers.names(),
        "metrics": figures,
        "differences": {f"{first.key} - {second.key}": differences},
    }
    with staged_directory(folder) as staged:
        works = []
        for seed, pair in enumerate(zip(*(side.sampler(range(SHOWN)) for side in (first, second)), strict=True)):
            pictures = [enlarged(np.asarray(image)) for image in pair]
            files = {kind: f"{seed:02d}-{kind}.jpg" for kind in ("first", "second")}
            for kind, picture in zip(files, pictures, strict=True):
                save(staged / files[kind], picture)
            size = {"width": pictures[0].width, "height": pictures[0].height}
            works.append({"title": f"seed {seed}", **size, "files": files})
        found["pictures"] = works
        write_json(staged / "comparison.json", found)
    return found


def write_restored(
    folder: Path, first: Restoring, second: Restoring, artworks: tuple[View, ...], settings: Evaluate
) -> dict[str, Any]:
    """Fill `folder` as `write` does, for two models that restore: what each makes of the same damage.

    The damage is what the second was trained on, and what the first was, where that is another: `differences` are of
    the mean over all grades, and `grades` has those of each grade alone.

    Raises:
        ValueError: too few artworks, or models that undo different damage.
    """
    wear, theirs = (Wear.of_package(side.restorer.config) for side in (second, first))
    if (wear.task, wear.scale) != (theirs.task, theirs.scale):
        raise ValueError(
            f"{first.label} was trained for {theirs.task} x {theirs.scale}, {second.label} for {wear.task} x "
            f"{wear.scale}: their figures cannot be held against each other; promote by hand, with `atelier promote`"
        )
    workshop = Workshop.of(artworks, wear).joined(theirs, first.label)
    found_of = compare_restorers(second.restorer, first.restorer, workshop, settings)
    grades, pair = tuple(workshop.specimens), f"{first.key} - {second.key}"
    found = {
        "format": 1,
        "task": "restore",
        "sides": [first.key, second.key],
        "labels": {side.key: side.label for side in (first, second)},
        first.key: first.restorer.digest,
        second.key: second.restorer.digest,
        "counts": {"paintings": len(artworks)},
        "metrics": found_of.metrics,
        "differences": {pair: found_of.differences},
        "grades": {grade: {"differences": {pair: alone}} for grade, alone in found_of.grades.items()},
    }
    with staged_directory(folder) as staged:
        works = []
        for number, view in enumerate(workshop.artworks[:SHOWN]):
            grade = grades[number % len(grades)]
            left = workshop.specimens[grade][number]
            pictures = {
                "photograph": as_given(left, view.pixels),
                "first": np.asarray(first.restorer(left.picture, left.mask)),
                "second": np.asarray(second.restorer(left.picture, left.mask)),
            }
            files = {kind: f"{number:02d}-{kind}.jpg" for kind in pictures}
            shown = {kind: enlarged(pixels) for kind, pixels in pictures.items()}
            for kind, picture in shown.items():
                save(staged / files[kind], picture)
            size = {"width": shown["first"].width, "height": shown["first"].height}
            works.append({"title": f"{view.name[:12]}, {grade}", **size, "files": files})
        found["pictures"] = works
        write_json(staged / "comparison.json", found)
    return found


def _paint(folder: Path, first: Side, second: Side, images: HeldOut, shown: Shown) -> list[dict[str, Any]]:
    """Paint the first photographs by hash with both, at more than the size they are scored at where that is there."""
    works = []
    for number, view in enumerate(sorted(images.photographs, key=lambda view: view.name)[:SHOWN], 1):
        photograph = fitted(shown.file(view.name), view.pixels, _SIDE)
        pictures = {
            "photograph": photograph,
            "first": named(first.stylizer)(view.name, photograph),
            "second": named(second.stylizer)(view.name, photograph),
        }
        files = {kind: f"{number:02d}-{kind}.jpg" for kind in pictures}
        for kind, picture in pictures.items():
            save(folder / files[kind], picture)
        title = shown.titles.get(view.name, view.name[:12])
        works.append({"title": title, "width": photograph.width, "height": photograph.height, "files": files})
    return works


def with_champion(workspace: Workspace, recipe: str, champion: Path, label: str, folder: Path) -> dict[str, Any]:
    """Compare the champion (or another rival) with a recipe's package, as the gate reads it: champion - model.

    Args:
        workspace: where the recipe's package and images lie.
        recipe: the challenger.
        champion: folder of the other package.
        label: how to speak of it.
        folder: to be filled, see `write`.

    Raises:
        ValueError: an unknown recipe, a package that is missing or damaged, or too few held-out images.
    """
    entry = load_book(workspace).recipe(recipe)
    params = recipe_params(workspace, entry)
    rival, model = _Opened("champion", label, champion), _Opened("model", "This model", workspace.package(recipe))
    return _WRITERS[entry.task](folder, rival, model, workspace, entry, params)


def any_two(
    workspace: Workspace, a: Package, b: Package, photos: Path | None = None, artworks: Path | None = None
) -> tuple[Path, dict[str, Any]]:
    """Compare any two packages and write the page on it; return where that lies, and what was found.

    Args:
        workspace: gives the held-out images of the style of `a`, and the parameters.
        a: one package.
        b: the other; figures are a - b.
        photos: a folder of photographs to take instead, with `artworks`.
        artworks: a folder of artworks of the style.

    Raises:
        ValueError: a damaged package, only one of the two folders, a style that this workspace does not hold, or too
            few images.
    """
    if (photos is None) != (artworks is None):
        raise ValueError("--photos and --artworks belong together: name both folders, or neither")
    one, other = (_Opened(key, side.label, side.directory, side.expected) for key, side in (("A", a), ("B", b)))
    config, page = read_config(a.directory), _page(workspace, a, b)
    if photos is not None and artworks is not None:
        sides = one.stylizer(), other.stylizer()
        params = load_params(workspace.params_file)
        judge = held_out.judge_of(workspace, config)
        images = of_folders(photos, artworks, config["view"], params, judge=judge, through=_trained_through(*sides))
        found = write(page.with_suffix(""), *sides, images, params.evaluate, Shown.of_folder(photos))
    else:
        task = task_of(config)
        if task not in _WRITERS:
            raise ValueError(f"{one.label} is for the task {task!r}, which this version does not know")
        entry = _recipe_of(workspace, one.label, config)
        found = _WRITERS[task](
            page.with_suffix(""), one, other, workspace, entry, recipe_params(workspace, entry)
        )
    return write_atomic(page, render(page.with_suffix(""))), found


@dataclass(frozen=True)
class _Opened:
    """A package as one side of a comparison, before it is known what it is for."""

    key: str
    label: str
    directory: Path
    expected: str | None = None

    def stylizer(self) -> Side:
        return Side(self.key, self.label, Stylizer.load(self.directory, expected=self.expected))

    def sampler(self) -> Sided:
        return Sided(self.key, self.label, Sampler.load(self.directory, expected=self.expected))

    def restorer(self) -> Restoring:
        return Restoring(self.key, self.label, Restorer.load(self.directory, expected=self.expected))


def _stylize(
    folder: Path, one: _Opened, other: _Opened, workspace: Workspace, entry: Recipe, params: Params
) -> dict[str, Any]:
    first, second = one.stylizer(), other.stylizer()
    images = held_out.of_workspace(workspace, entry, params, _trained_through(first, second))
    return write(folder, first, second, images, params.evaluate, Shown.of_collection(workspace.collection(PHOTOS)))


def _generate(
    folder: Path, one: _Opened, other: _Opened, workspace: Workspace, entry: Recipe, params: Params
) -> dict[str, Any]:
    first, second = one.sampler(), other.sampler()
    paintings = held_out.paintings_of_workspace(workspace, entry, params)
    return write_samples(folder, first, second, paintings, params.evaluate)


def _restore(
    folder: Path, one: _Opened, other: _Opened, workspace: Workspace, entry: Recipe, params: Params
) -> dict[str, Any]:
    first, second = one.restorer(), other.restorer()
    return write_restored(
        folder, first, second, held_out.artworks_of_workspace(workspace, entry, params), params.evaluate
    )


_Writer: TypeAlias = Callable[[Path, _Opened, _Opened, Workspace, Recipe, Params], dict[str, Any]]
_WRITERS: Mapping[str, _Writer] = MappingProxyType(
    {"stylize": _stylize, "generate": _generate, "restore": _restore}
)


def render(folder: Path) -> str:
    """Return the page of a folder that `write` filled.

    Raises:
        ValueError: it holds no comparison.
    """
    shown = report.compared(folder)
    found = shown["found"]
    counts = found["counts"]
    facts = {found["labels"][key]: f"package {found[key]}" for key in found["sides"]}
    facts["Images"] = " and ".join(f"{count} {what}" for what, count in counts.items())
    page: str = template(HOUSE / "comparison.html").render(shown, facts=facts, sentence=sentence(found))
    return page


def sentence(found: Mapping[str, Any]) -> str:
    """Return what was found in a sentence: in how many metrics each side is better beyond noise."""
    rows = [row for row in paired_rows(found) if row["metric"].direction != "none"]
    first, second = (found["labels"][key] for key in found["sides"])
    better = {label: [row for row in rows if row["reading"] == f"{label} is better"] for label in (first, second)}
    said = [
        f"{label} is better in {len(won)} ({', '.join(row['metric'].title.lower() for row in won)})"
        for label, won in better.items()
        if won
    ]
    if not said:
        return f"In none of {len(rows)} metrics is there a clear difference between {first} and {second}."
    return f"Of {len(rows)} metrics, {' and '.join(said)}; in the others there is no clear difference."


def _page(workspace: Workspace, a: Package, b: Package) -> Path:
    return workspace.work / "comparisons" / f"{_plain(a.label)}-{_plain(b.label)}.html"


def _recipe_of(workspace: Workspace, label: str, config: Mapping[str, Any]) -> Recipe:
    """Return the recipe a package was made by, or another of its style, with held-out images at hand."""
    book = load_book(workspace)
    style, name = config.get("style"), config.get("recipe")
    same = sorted(
        (each for each in book.recipes.values() if each.style == style),
        key=lambda each: (each.name != name, each.name),
    )
    if same:
        return same[0]
    raise ValueError(
        f"{label} paints in the style {style!r}, of which this workspace has no recipe "
        f"(styles: {', '.join(book.styles) or 'none'}); name images with --photos DIR --artworks DIR"
    )


def _trained_through(one: Side, other: Side) -> frozenset[str]:
    return learnt_through(one.stylizer.config) | learnt_through(other.stylizer.config)


def _plain(label: str) -> str:
    """Return a label as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[-60:] or "package"


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.reports.comparison",
        description="Hold a recipe's package against another on its held-out images. "
        "Example: python -m pipeline.reports.comparison vangogh --champion models/other --out work/comparisons/other",
    )
    parser.add_argument("recipe")
    parser.add_argument("--champion", type=Path, required=True, metavar="DIR", help="folder of the other package")
    parser.add_argument("--label", default="The champion", help="how to speak of it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to fill")
    arguments = parser.parse_args()
    workspace = find_workspace(Path.cwd())
    with_champion(workspace, arguments.recipe, arguments.champion, arguments.label, arguments.out)
    print(f"comparison: {arguments.out}")


if __name__ == "__main__":
    run_stage(_command)
