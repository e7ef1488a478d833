"""A champion on today's held-out images, held against its figures at registration. `python -m pipeline.drift RECIPE`.

The data move, and so does what production is worth on them. Figures of two days are not paired, so a metric has moved
when the difference is larger than the noise of both: the root of the sum of squares of both intervals' halves, and at
least what another seed would change (`gate.seed_noise`).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline import held_out, registry
from pipeline.damage.held_out import Wear
from pipeline.entry import run_stage
from pipeline.files import write_atomic
from pipeline.gate_rules import COMPARED
from pipeline.generation import Sampler
from pipeline.inference import Stylizer
from pipeline.metrics import REGISTRY
from pipeline.params import Gate, Params
from pipeline.progress import Progress
from pipeline.reading import with_codes
from pipeline.recipes import Recipe, load_book, recipe_params
from pipeline.referring import alone, learnt_through
from pipeline.registry.registered import log_scores, registered_scores
from pipeline.restoration import Restorer
from pipeline.restoring import Workshop, score_restorer
from pipeline.sampling import score_samples
from pipeline.scoresheet import ScoreSheet
from pipeline.scoring import score
from pipeline.workspace import Workspace, find_workspace

_NOISE: Mapping[str, str] = {**COMPARED, "restored/psnr": "psnr", "restored/ssim": "ssim"}


@dataclass(frozen=True)
class Moved:
    """A metric that differs from what it was beyond noise."""

    metric: str
    before: float
    now: float
    reading: str  # better | worse | differs


def look(workspace: Workspace, recipe: str, now: float | None = None) -> dict[str, Any] | None:
    """Score a recipe's champion on today's held-out images; keep, log and return what came of it.

    Args:
        workspace: with prepared held-out images.
        recipe: whose champion.
        now: seconds since 1970; the clock's without.

    Returns:
        None without a champion; else the line that was added to `var/drift/<recipe>.jsonl`.

    Raises:
        ValueError: an unknown recipe, a damaged package, or held-out images that are not prepared.
    """
    entry = load_book(workspace).recipe(recipe)
    champion = registry.champion(workspace, recipe)
    if champion is None:
        return None
    params = recipe_params(workspace, entry)
    today = {**_SCORERS[entry.task](workspace, entry, params, champion.directory), "package": champion.package}
    today["data"] = held_out.data_digest(workspace, entry)
    before = registered_scores(workspace, recipe, champion.version)
    others_looked = before.get("observers", today["observers"]) != today["observers"]
    moved = [] if others_looked else compare(before, today, params.gate)
    moment = time.time() if now is None else now
    found = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)),
        "recipe": recipe,
        "version": champion.version,
        "package": champion.package,
        "data": today["data"],
        "data_changed": before.get("data") != today["data"],
        "counts": today["counts"],
        "observers_changed": others_looked,
        "metrics": today["metrics"],
        "moved": [asdict(one) for one in moved],
    }
    found["sentence"] = sentence(found)
    _keep(workspace, recipe, found)
    log_scores(workspace, recipe, champion.version, _values(today), moment)
    return found


def compare(before: Mapping[str, Any], today: Mapping[str, Any], gate: Gate) -> list[Moved]:
    """Return the metrics of a metrics.json that moved beyond noise since another, those that got worse first.

    A metric that either lacks, or that gives no interval on either day, is left out.
    """
    then, now = ScoreSheet(before), ScoreSheet(today)
    seed_noise, found = asdict(gate.seed_noise), []
    for name in now.names():
        old, new = then.value(name), now.value(name)
        if old is None or new is None or name not in REGISTRY:
            continue
        halves = [(one.high - one.low) / 2 for one in (then.estimate(name), now.estimate(name)) if one is not None]
        if not halves:
            continue
        # A day of which no interval is known is taken to be as noisy as the other.
        noise = math.hypot(*(halves * 2)[:2])
        if abs(new - old) > max(noise, seed_noise.get(_NOISE.get(name, ""), 0.0)):
            found.append(Moved(name, old, new, _reading(name, new - old)))
    return sorted(found, key=lambda one: (one.reading != "worse", one.metric))


def sentence(found: Mapping[str, Any]) -> str:
    """Return a line of the record in words."""
    who = f"{found['recipe']} version {found['version']}"
    on = "on today's held-out images, which changed since" if found["data_changed"] else "on the same held-out images"
    if found["observers_changed"]:
        return f"{who} was scored {on}, but other networks looked than at its registration: nothing can be compared."
    if not found["moved"]:
        return f"{who} is what it was at its registration, {on}: no metric moved beyond noise."
    words = [
        f"{REGISTRY[one['metric']].title.lower()} {one['before']:.3g} -> {one['now']:.3g} ({one['reading']})"
        for one in found["moved"]
    ]
    return f"{who} moved beyond noise {on}: {', '.join(words)}."


def record_file(workspace: Workspace, recipe: str) -> Path:
    """Return where the record of a recipe's champions lies, a line each time that one was scored."""
    return workspace.var / "drift" / f"{recipe}.jsonl"


def last(workspace: Workspace, recipe: str) -> dict[str, Any] | None:
    """Return the last line of the record, or None."""
    path = record_file(workspace, recipe)
    lines = path.read_text().splitlines() if path.is_file() else []
    return dict(json.loads(lines[-1])) if lines else None


def _keep(workspace: Workspace, recipe: str, found: Mapping[str, Any]) -> None:
    path = record_file(workspace, recipe)
    before = path.read_text() if path.is_file() else ""
    write_atomic(path, before + json.dumps(found, sort_keys=True, allow_nan=False) + "\n")


def _reading(name: str, change: float) -> str:
    direction = REGISTRY[name].direction
    if direction == "none":
        return "differs"
    return "better" if (change > 0) == (direction == "higher") else "worse"


def _values(sheet: Mapping[str, Any]) -> dict[str, float]:
    told = ScoreSheet(sheet)
    return {name: value for name in told.names() if (value := told.value(name)) is not None}


def _stylize(workspace: Workspace, recipe: Recipe, params: Params, package: Path) -> dict[str, Any]:
    stylizer = Stylizer.load(package)
    images = held_out.of_workspace(workspace, recipe, params, learnt_through(stylizer.config))
    bar = Progress(f"score {recipe.name}", len(images.photographs))
    model = alone(stylizer, images.photographs)
    return score(model, images, params.evaluate, stylizer.config["palette"], bar.update).to_dict()


def _generate(workspace: Workspace, recipe: Recipe, params: Params, package: Path) -> dict[str, Any]:
    sampler = Sampler.load(package)
    paintings = held_out.paintings_of_workspace(workspace, recipe, params)
    bar = Progress(f"score {recipe.name}", params.evaluate.samples)
    scores = score_samples(sampler, paintings, params.evaluate, bar.update)
    return with_codes(scores, sampler, package, params.evaluate).to_dict()


def _restore(workspace: Workspace, recipe: Recipe, params: Params, package: Path) -> dict[str, Any]:
    restorer = Restorer.load(package)
    artworks = held_out.artworks_of_workspace(workspace, recipe, params)
    workshop = Workshop.of(artworks, Wear.of_package(restorer.config))
    bar = Progress(f"score {recipe.name}", len(artworks) * len(workshop.specimens))
    return score_restorer(restorer, workshop, params.evaluate, bar.update).to_dict()


_SCORERS = {"stylize": _stylize, "generate": _generate, "restore": _restore}


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.drift",
        description="Score a recipe's champion on today's held-out images. Example: python -m pipeline.drift vangogh",
    )
    parser.add_argument("recipe")
    arguments = parser.parse_args()
    found = look(find_workspace(Path.cwd()), arguments.recipe)
    print(found["sentence"] if found else f"{arguments.recipe} has no champion yet")


if __name__ == "__main__":
    run_stage(_command)
