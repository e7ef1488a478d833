"""Stage: score what ships. Package and held-out images in; metrics, plots, gallery, report and model card out.

It reads the package through `inference` like any user, and knows nothing of champions: comparing and judging belong
to the flow (`comparison`, `gate`).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pipeline import held_out
from pipeline.entry import run_stage
from pipeline.files import staged_directory, write_atomic, write_json
from pipeline.inference import Stylizer
from pipeline.progress import Progress
from pipeline.recipes import load_book, recipe_params
from pipeline.reports import gallery, model_card, plots, report
from pipeline.scoring import score, summary
from pipeline.workspace import PHOTOS, Workspace, find_workspace


def main(recipe: str, workspace: Workspace) -> Path:
    """Write `reports/<recipe>/` and return it; what it took goes to `reports/<recipe>.cost.json`, outside.

    Every file follows from the stage's inputs, so none holds a time or a commit.

    Raises:
        ValueError: an unknown recipe, a package that is missing or damaged, or too few held-out images.
    """
    started = time.monotonic()
    entry = load_book(workspace).recipe(recipe)
    params = recipe_params(workspace, entry)
    settings = params.evaluate
    stylizer = Stylizer.load(workspace.package(recipe))
    images = held_out.of_workspace(workspace, entry, params)
    bar = Progress(f"evaluate {recipe}", len(images.photographs))
    snapshots = _snapshots(workspace.trained(recipe), stylizer)
    scores = score(stylizer, images, settings, stylizer.config["palette"], bar.update, snapshots)
    scored = time.monotonic()
    metrics = scores.to_dict() | {
        "recipe": recipe,
        "package": stylizer.digest,
        "data": held_out.data_digest(workspace, entry),
    }
    with staged_directory(workspace.report(recipe)) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "summary.json", summary(metrics))
        plots.write_plots(folder / "plots", metrics, scores)
        gallery.write_gallery(folder / "gallery", stylizer, scores, workspace.collection(PHOTOS), settings.gallery)
        gallery.write_sheets(folder / "sheets", folder / "gallery")
        write_atomic(folder / "model_card.md", model_card.write(metrics, stylizer.config, entry))
        write_atomic(folder / "report.html", report.render(folder, workspace.trained(recipe)))
    ended = time.monotonic()
    cost = {"scoring_seconds": round(scored - started, 2), "report_seconds": round(ended - scored, 2)}
    write_json(workspace.report(recipe).with_name(f"{recipe}.cost.json"), cost)
    return workspace.report(recipe)


def _snapshots(trained: Path, model: Stylizer) -> list[Stylizer]:
    """Return earlier states of a model, from the end of its training."""
    return [Stylizer.of_training(path, model.config) for path in sorted((trained / "snapshots").glob("*.npz"))]


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
