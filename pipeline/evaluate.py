"""Stage: score what ships. Package and held-out images in; metrics, plots, gallery, report and model card out.

It reads the package through `inference` like any user, and knows nothing of champions: comparing and judging belong
to the flow (`comparison`, `gate`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline import held_out
from pipeline.damage.held_out import Wear
from pipeline.entry import run_stage
from pipeline.files import staged_directory, write_atomic, write_json
from pipeline.generation import Sampler
from pipeline.inference import Stylizer
from pipeline.metrics.closer import NAME, Closer, Followed
from pipeline.params import Params
from pipeline.progress import Progress
from pipeline.reading import with_codes
from pipeline.recipes import Recipe, load_book, recipe_params
from pipeline.referring import alone, learnt_through, named
from pipeline.reports import gallery, heat, model_card, plots, report, restored, samples, spectra
from pipeline.reports.sources import MODEL
from pipeline.restoration import Restorer
from pipeline.restoring import Workshop, score_restorer
from pipeline.sampling import reduced, score_samples
from pipeline.scoring import HeldOut, paint_all, score, settings_of, summary
from pipeline.workspace import PHOTOS, Workspace, find_workspace


@dataclass(frozen=True)
class Task:
    """What scoring one package needs."""

    workspace: Workspace
    recipe: Recipe
    params: Params

    @property
    def package(self) -> Path:
        """Where the package lies."""
        return self.workspace.package(self.recipe.name)

    @property
    def snapshots(self) -> list[Path]:
        """Earlier states of the model, from the end of its training."""
        return sorted((self.workspace.trained(self.recipe.name) / "snapshots").glob("*.npz"))

    def identify(self, figures: dict[str, Any], digest: str) -> dict[str, Any]:
        """Return a metrics.json: figures, and what they are of."""
        data = held_out.data_digest(self.workspace, self.recipe)
        return figures | {"recipe": self.recipe.name, "package": digest, "data": data}

    def look(self, folder: Path, shown: Mapping[str, Sequence[heat.Exhibit]]) -> None:
        """Let the discriminators of the training look at pictures, for a report's gallery and sheets."""
        heat.write_heat_maps(folder / "gallery", self.workspace.trained(self.recipe.name), self.params, shown)
        heat.write_sheet(folder / "sheets" / "heat.jpg", folder / "gallery")


Draft = Callable[[Path], None]
"""Fills a report's folder, but for the page."""


def main(recipe: str, workspace: Workspace) -> Path:
    """Write `reports/<recipe>/` and return it; what it took goes to `reports/<recipe>.cost.json`, outside.

    Every file follows from the stage's inputs, so none holds a time or a commit.

    Raises:
        ValueError: an unknown recipe, a package that is missing or damaged, or too few held-out images.
    """
    started = time.monotonic()
    entry = load_book(workspace).recipe(recipe)
    task = Task(workspace, entry, recipe_params(workspace, entry))
    draft = _TASKS[entry.task](task)
    scored = time.monotonic()
    with staged_directory(workspace.report(recipe)) as folder:
        draft(folder)
        write_atomic(folder / "report.html", report.render(folder, workspace.trained(recipe)))
    ended = time.monotonic()
    cost = {"scoring_seconds": round(scored - started, 2), "report_seconds": round(ended - scored, 2)}
    write_json(workspace.report(recipe).with_name(f"{recipe}.cost.json"), cost)
    return workspace.report(recipe)


def _stylize(task: Task) -> Draft:
    """Score a model that repaints photographs."""
    workspace, settings = task.workspace, task.params.evaluate
    stylizer = Stylizer.load(task.package)
    images = held_out.of_workspace(workspace, task.recipe, task.params, learnt_through(stylizer.config))
    model = alone(stylizer, images.photographs)
    bar = Progress(f"evaluate {task.recipe.name}", len(images.photographs))
    snapshots = [
        alone(Stylizer.of_training(path, stylizer.config, stylizer.references), images.photographs)
        for path in task.snapshots
    ]
    scores = score(model, images, settings, stylizer.config["palette"], bar.update, snapshots)
    metrics = task.identify(scores.to_dict(), stylizer.digest)
    if stylizer.refers and len(stylizer.config["styles"]) > 1:
        _add(metrics, _followed(task, stylizer, images))

    def draft(folder: Path) -> None:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "summary.json", summary(metrics))
        plots.write_plots(folder / "plots", metrics, scores)
        paint = named(stylizer)
        gallery.write_gallery(folder / "gallery", paint, scores, workspace.collection(PHOTOS), settings.gallery)
        gallery.write_sheets(folder / "sheets", folder / "gallery")
        paintings = [view.pixels for view in images.paintings]
        spectra.write_spectra(folder / "gallery", scores.outputs[MODEL], paintings, scores.outputs["photograph"])
        back = None if stylizer.reverse is None else partial(stylizer, reverse=True)
        task.look(folder, heat.of_outputs(workspace, task.recipe.style, images, scores.outputs[MODEL], back))
        write_atomic(folder / "model_card.md", model_card.write(metrics, stylizer.config, task.recipe))

    return draft


def _followed(task: Task, stylizer: Stylizer, images: HeldOut) -> Followed:
    """Return whose paintings the held-out photographs come nearest to, painted after references of each style."""
    paintings = held_out.paintings_of_styles(task.workspace, task.recipe, task.params)
    photographs = [view.pixels for view in images.photographs]
    bar = Progress(f"evaluate {task.recipe.name} after each style", len(paintings) * len(photographs))
    done = iter(range(1, bar.total + 1))
    outputs = {
        style: paint_all(
            alone(stylizer, images.photographs, style), photographs, lambda _: bar.update(next(done, bar.total))
        )
        for style in paintings
    }
    return Closer(paintings, settings_of(task.params.evaluate)).measure(outputs, photographs)


def _add(metrics: dict[str, Any], found: Followed) -> None:
    """Put `reference/closer` among the figures, and beside them which style outputs came nearest to."""
    metrics["metrics"][NAME] = found.model
    for control, figure in found.controls.items():
        metrics["controls"][control][NAME] = figure
    metrics["nearest_style"], metrics["nearer_style"] = found.nearest, found.nearer


def _generate(task: Task) -> Draft:
    """Score a model that makes images out of noise."""
    settings = task.params.evaluate
    sampler = Sampler.load(task.package)
    paintings = held_out.paintings_of_workspace(task.workspace, task.recipe, task.params)
    bar = Progress(f"evaluate {task.recipe.name}", settings.samples)
    snapshots = [Sampler.of_training(path, sampler.config) for path in task.snapshots]
    codes = sampler.network.codes.names
    scores = score_samples(sampler, paintings, settings, bar.update, snapshots, codes)
    scores = with_codes(scores, sampler, task.package, settings)
    metrics = task.identify(scores.to_dict(), sampler.digest)

    def draft(folder: Path) -> None:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "summary.json", summary(metrics))
        samples.write_plots(folder / "plots", metrics)
        samples.write_gallery(folder / "gallery", sampler, scores, 4 * settings.gallery)
        samples.write_sheets(folder / "sheets", folder / "gallery")
        photographs = held_out.photographs_of_workspace(task.workspace, task.params)
        painted, seen = (
            [reduced(view.pixels, sampler.side) for view in views] for views in (paintings.held_out, photographs)
        )
        spectra.write_spectra(folder / "gallery", scores.outputs[MODEL], painted, seen)
        task.look(folder, heat.of_samples(scores.outputs[MODEL], painted))
        write_atomic(folder / "model_card.md", samples.write_card(metrics, sampler.config, task.recipe))

    return draft


def _restore(task: Task) -> Draft:
    """Score a model that restores pictures."""
    settings = task.params.evaluate
    restorer = Restorer.load(task.package)
    artworks = held_out.artworks_of_workspace(task.workspace, task.recipe, task.params)
    workshop = Workshop.of(artworks, Wear.of_package(restorer.config))
    bar = Progress(f"evaluate {task.recipe.name}", len(artworks) * len(workshop.specimens))
    scores = score_restorer(restorer, workshop, settings, bar.update)
    metrics = task.identify(scores.to_dict(), restorer.digest)

    def draft(folder: Path) -> None:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "summary.json", summary(metrics))
        restored.write_plots(folder / "plots", metrics)
        restored.write_gallery(folder / "gallery", scores, settings.gallery)
        restored.write_sheets(folder / "sheets", folder / "gallery")
        task.look(folder, heat.of_restorer(scores))
        write_atomic(folder / "model_card.md", restored.write_card(metrics, restorer.config, task.recipe))

    return draft


_TASKS: Mapping[str, Callable[[Task], Draft]] = MappingProxyType(
    {"stylize": _stylize, "generate": _generate, "restore": _restore}
)


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluate",
        description="Score a recipe's package on held-out images. Example: python -m pipeline.evaluate vangogh",
    )
    parser.add_argument("recipe")
    arguments = parser.parse_args()
    print(f"report: {main(arguments.recipe, find_workspace(Path.cwd())) / 'report.html'}")


if __name__ == "__main__":
    run_stage(_command)
