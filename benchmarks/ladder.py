"""The ladder: are the metrics right, and does the gate see through cheats?

    python -m benchmarks.ladder                                     on the built-in samples
    python -m benchmarks.ladder --photos DIR --artworks DIR         on your own

Pictures of known quality, from held-out paintings down to noise, must come out in order with clear gaps, in every
metric where it says so (`Metric.tells`); planted cheats must each be refused. It builds a workspace with the demo's
settings (three short trainings and a judge: about four minutes on two cores) and writes benchmarks/results/ladder.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

from benchmarks.workspaces import prepared, samples_of, train, write_recipes
from pipeline import gate, held_out, package
from pipeline.colour import pixels_to_lab, transfer_lab
from pipeline.inference import Stylizer
from pipeline.metrics import REGISTRY, Metric
from pipeline.metrics.bootstrap import Figure, Samples
from pipeline.metrics.controls import CONTROLS
from pipeline.metrics.pyramid import thumbnail
from pipeline.metrics.references import Pixels
from pipeline.metrics.suite import Suite, differences, figures
from pipeline.params import Params, load_params
from pipeline.recipes import load_book, recipe_params
from pipeline.scoring import HeldOut, Scorer, Stylize
from pipeline.workspace import Workspace

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "ladder.md"
STYLE = "impasto"
EARLY, RUBBLE = "early", "rubble"  # recipes beside the style's own
_EARLY_STEPS, _RUBBLE_STEPS = 80, 150
# The texture loss alone: what turned photographs into rubble and beat every style figure.
_ONLY_TEXTURE = dict.fromkeys(("gan", "nce", "palette", "contrast", "structure", "calm"), 0.0)
_GRAM_STEPS = 40
RUNGS = (
    "paintings",
    "model",
    "early",
    "lab_painterly",
    "lab_transfer",
    "photograph",
    "blurred",
    "one",
    "pasted",
    "noise",
)


@dataclass(frozen=True)
class Gap:
    """Two neighbouring rungs in one metric: the better less the worse, so that its sign is known."""

    metric: str
    better: str
    worse: str
    clear: bool
    figure: Figure


@dataclass(frozen=True)
class Climb:
    """What came of it: every rung's figures, the gaps that must be clear, and the gate on model and cheats."""

    figures: Mapping[str, Mapping[str, Figure]]
    gaps: Sequence[Gap]
    verdicts: Mapping[str, gate.Verdict]
    counts: Mapping[str, int]


def build(
    root: Path, photos: Path, artworks: Path, style: str, overlay: Mapping[str, Any] | None = None
) -> Workspace:
    """Make a workspace with a trained model, an early one, the rubble generator and a judge, and return it.

    Args:
        root: an empty folder.
        photos: photographs.
        artworks: artworks of one style.
        style: its name.
        overlay: parameters to lay over the demo's.
    """
    workspace = prepared(root, photos, artworks, style, overlay)
    params = load_params(workspace.params_file)
    warmup = params.cut.warmup_steps
    recipes: dict[str, dict[str, Any]] = {
        style: {},
        EARLY: {"train": {"steps": max(warmup + 1, min(_EARLY_STEPS, params.train.steps))}},
        RUBBLE: {
            "train": {"steps": min(_RUBBLE_STEPS, params.train.steps)},
            "cut": {"warmup_steps": 1, "weights": _ONLY_TEXTURE},
        },
    }
    write_recipes(workspace, style, recipes)
    for recipe in recipes:
        train(workspace, recipe)
        package.main(recipe, workspace)
    return workspace


def climb(workspace: Workspace, style: str) -> Climb:
    """Return what the metrics and the gate say of every rung and every cheat in a workspace that `build` made."""
    recipe = load_book(workspace).recipe(style)
    params = recipe_params(workspace, recipe)
    images = held_out.of_workspace(workspace, recipe, params)
    models = {name: Stylizer.load(workspace.package(name)) for name in (style, EARLY, RUBBLE)}
    palette = models[style].config["palette"]
    training = _shelf(images)
    cheats = cheats_of(models[style], images, palette, training) | {"rubble": models[RUBBLE]}
    suite = images.suite(params.evaluate)
    photographs = [view.pixels for view in images.photographs]
    repaint = rungs_of(models[style], models[EARLY], palette, cheats)
    samples = {name: _measured(suite, paint, photographs) for name, paint in repaint.items()}
    found = {name: figures(samples[name]) for name in repaint} | {"paintings": suite.upper()}
    return Climb(
        figures={name: found[name] for name in RUNGS},
        gaps=[gap for metric in REGISTRY.values() for gap in gaps(metric, samples, found)],
        verdicts=verdicts(models[style], cheats, images, params, palette),
        counts={"photographs": len(images.photographs), "paintings": len(images.paintings)},
    )


def rungs_of(
    model: Stylize, early: Stylize, palette: Mapping[str, Sequence[float]], cheats: Mapping[str, Stylize]
) -> dict[str, Stylize]:
    """Return everything between paintings and noise as something that repaints a photograph."""
    controls = {name: _control(name, palette) for name in CONTROLS}
    return {
        "model": model,
        "early": early,
        **controls,
        "blurred": cheats["a blurred photograph"],
        "one": cheats["one output for all"],
        "pasted": cheats["a training painting, pasted"],
        "noise": noise,
    }


def cheats_of(
    model: Stylize, images: HeldOut, palette: Mapping[str, Sequence[float]], training: Sequence[Pixels]
) -> dict[str, Stylize]:
    """Return the planted cheats by name, less the rubble generator, which is trained."""
    first = Image.fromarray(images.photographs[0].pixels)
    one = model(first)
    return {
        "a training painting, pasted": lambda image: _nearest(image, training),
        "a training painting pasted for every third": lambda image: (
            _nearest(image, training) if int(np.asarray(image, np.uint64).sum()) % 3 == 0 else model(image)
        ),
        "one output for all": lambda image: one.resize(image.size),
        "a blurred photograph": lambda image: image.filter(ImageFilter.GaussianBlur(0.05 * max(image.size))),
        "colour inversion": lambda image: Image.fromarray(255 - np.asarray(image)),
        "output equals input": lambda image: image,
        "Lab transfer": _control("lab_transfer", palette),
        "Lab transfer and a painterly filter": _control("lab_painterly", palette),
        "noise tuned to Gram statistics": gram_noise(palette, [view.pixels for view in images.paintings]),
    }


def verdicts(
    model: Stylize, cheats: Mapping[str, Stylize], images: HeldOut, params: Params, palette: Any
) -> dict[str, gate.Verdict]:
    """Return the gate's verdict on the model, on each cheat, and on the model's figures tampered with."""
    settings = dataclasses.replace(params.gate, mode="not_worse")
    scorer = Scorer(images, params.evaluate, palette)
    sheets = {name: scorer.score(paint).to_dict() for name, paint in {"the model": model, **cheats}.items()}
    sheets |= tampered(sheets["the model"])
    return {name: gate.judge(sheet, None, settings) for name, sheet in sheets.items()}


def tampered(sheet: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return metrics.json files with broken metrics: a swapped sign, NaN, and a metric that is a constant."""

    def changed(name: str, figure: Callable[[Figure], Figure]) -> dict[str, Any]:
        copy = json.loads(json.dumps(sheet))
        for place in (copy["metrics"], *copy["controls"].values(), *copy["differences"].values()):
            if name in place:
                place[name] = figure(place[name])
        return dict(copy)

    def negated(figure: Figure) -> Figure:
        taken = {"value": figure["value"], "low": figure["high"], "high": figure["low"]}
        return {key: None if number is None else -number for key, number in taken.items()}

    nan = dict.fromkeys(("value", "low", "high"), math.nan)
    return {
        "swapped sign (style)": changed("style/patch_swd", negated),
        "swapped sign (structure)": changed("content/structure", negated),
        "NaN": changed("style/texture_swd", lambda figure: {**figure, **nan}),
        "a metric stubbed to a constant": changed("style/texture_swd", lambda figure: dict.fromkeys(figure, 0.05)),
    }


def gaps(metric: Metric, samples: Mapping[str, Any], found: Mapping[str, Mapping[str, Figure]]) -> list[Gap]:
    """Return the gaps between the rungs that a metric must tell apart; paintings have no paired samples."""
    result = []
    for better, worse in itertools.pairwise(metric.tells):
        if better in samples and worse in samples:
            paired = differences(_only(samples[better], metric.name), _only(samples[worse], metric.name))[metric.name]
            result.append(Gap(metric.name, better, worse, _clear(metric, paired), paired))
        else:
            difference = apart(found[better][metric.name], found[worse][metric.name])
            result.append(Gap(metric.name, better, worse, _clear(metric, difference), difference))
    return result


def apart(one: Figure, other: Figure) -> Figure:
    """Return the difference of two figures that are not paired, with its 95 % interval from their own.

    Zou and Donner 2008 (MOVER): the distances to the bounds add up as squares, for independent figures.

    Raises:
        ValueError: a figure without a value or interval.
    """
    value, low, high = (_number(one, key) for key in ("value", "low", "high"))
    against, least, most = (_number(other, key) for key in ("value", "low", "high"))
    difference = value - against
    return {
        "value": difference,
        "low": difference - math.hypot(value - low, most - against),
        "high": difference + math.hypot(high - value, against - least),
    }


def _clear(metric: Metric, difference: Figure) -> bool:
    """Return whether the whole interval says that the better rung is better."""
    low, high = difference["low"], difference["high"]
    return low is not None and high is not None and (high < 0 if metric.direction == "lower" else low > 0)


def gram_noise(palette: Mapping[str, Sequence[float]], paintings: Sequence[Pixels]) -> Stylize:
    """Return recolouring plus noise that gives every picture the paintings' Gram matrix of random filters.

    Gatys et al. 2016, eq. 3-5, on one layer of fixed random 5x5 filters: what a generator finds when such statistics
    are all that judges it.
    """
    filters = torch.randn(48, 3, 5, 5, generator=torch.Generator().manual_seed(4)) / 8

    def gram(pictures: torch.Tensor) -> torch.Tensor:
        answers = F.relu(F.conv2d(pictures, filters)).flatten(2)
        return (answers @ answers.transpose(1, 2) / answers.shape[2]).mean(dim=0)

    target = gram(torch.cat([_tensor(painting) for painting in paintings]))

    def paint(image: Image.Image) -> Image.Image:
        base = _tensor(transfer_lab(np.asarray(image), palette["lab_mean"], palette["lab_std"]))
        start = 0.1 * torch.randn(base.shape, generator=torch.Generator().manual_seed(5))
        added = start.requires_grad_()
        optimiser = torch.optim.Adam([added], lr=0.03)
        for _ in range(_GRAM_STEPS):
            optimiser.zero_grad()
            loss = ((gram(base + added) - target) ** 2).sum()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
            optimiser.step()
        pixels = ((base + added).detach().clamp(-1, 1)[0].permute(1, 2, 0) + 1) * 127.5
        return Image.fromarray(pixels.round().byte().numpy())

    return paint


def noise(image: Image.Image) -> Image.Image:
    """Return noise of the picture's size, another for every picture."""
    seed = int(np.asarray(image, np.uint64).sum())
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*image.size[::-1], 3), np.uint8))


def table(climbed: Climb, title: str) -> str:
    """Return the ladder as Markdown: figures of every rung, gaps, and verdicts."""
    heads = [rung.replace("_", " ") for rung in RUNGS]
    counts = ", ".join(f"{count} {kind}" for kind, count in climbed.counts.items())
    lines = [f"## {title}", "", f"Held out: {counts}.", ""]
    lines += [f"| metric | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name, metric in REGISTRY.items():
        cells = [_cell(climbed.figures[rung].get(name)) for rung in RUNGS]
        if any(cells):
            lines.append(f"| {name} {metric.arrow} | {' | '.join(cells)} |")
    lines += ["", "| must tell apart | better | worse | difference | clear |", "|---|---|---|---|---|"]
    for gap in climbed.gaps:
        span = "" if gap.figure["low"] is None else f" [{_cell(gap.figure, 'low')}, {_cell(gap.figure, 'high')}]"
        clear = "yes" if gap.clear else "**no**"
        lines.append(f"| {gap.metric} | {gap.better} | {gap.worse} | {_cell(gap.figure)}{span} | {clear} |")
    lines += ["", "| cheat | verdict | rules that fail |", "|---|---|---|"]
    for name, verdict in climbed.verdicts.items():
        failed = ", ".join(rule.name for rule in verdict.rules if not rule.passed)
        lines.append(f"| {name} | {'accepted' if verdict.accepted else 'refused'} | {failed or '-'} |")
    return "\n".join([*lines, ""])


def _measured(suite: Suite, paint: Stylize, photographs: Sequence[Pixels]) -> dict[str, Samples]:
    def on_pixels(picture: Pixels) -> Pixels:
        return np.asarray(paint(Image.fromarray(picture)).convert("RGB"))

    return suite.measure([on_pixels(photograph) for photograph in photographs]) | suite.moving(on_pixels)


def _only(samples: Mapping[str, Samples], name: str) -> dict[str, Samples]:
    return {name: samples[name]}


def _control(name: str, palette: Mapping[str, Sequence[float]]) -> Stylize:
    return lambda image: Image.fromarray(CONTROLS[name](np.asarray(image), palette))


def _shelf(images: HeldOut) -> list[Pixels]:
    assert images.training is not None
    return list(itertools.islice(images.training(), 0, None, 3))  # crops of one painting are much alike


def _nearest(image: Image.Image, training: Sequence[Pixels]) -> Image.Image:
    """Return the training crop whose light is most like the picture's: pasting at its best."""
    wanted = _light(np.asarray(image))
    distances = [float(((_light(crop) - wanted) ** 2).sum()) for crop in training]
    return Image.fromarray(training[int(np.argmin(distances))]).resize(image.size, Image.Resampling.LANCZOS)


def _light(image: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
    cells = thumbnail(pixels_to_lab(image)[..., :1], 16)
    return np.asarray(cells - cells.mean())


def _tensor(image: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def _number(figure: Figure, key: str) -> float:
    value = figure[key]
    if value is None:
        raise ValueError(f"a rung of the ladder has no {key}: {figure}")
    return value


def _cell(figure: Mapping[str, float | None] | None, key: str = "value") -> str:
    value = None if figure is None else figure[key]
    return "" if value is None else f"{value:.3g}"


def main(arguments: Iterable[str] | None = None) -> None:
    """Climb the ladder and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--artworks", type=Path)
    parser.add_argument("--style", default=STYLE, help="a built-in style, or the name of your own")
    parser.add_argument("--workspace", type=Path, help="one that was built before")
    parser.add_argument("--out", type=Path, default=RESULT, help="Markdown; the section of this style is replaced")
    given = parser.parse_args(None if arguments is None else list(arguments))
    if (given.photos is None) != (given.artworks is None):
        raise SystemExit("error: --photos and --artworks belong together")
    with tempfile.TemporaryDirectory() as scratch:
        if given.workspace:
            workspace = Workspace(given.workspace.resolve())
        else:
            photos, artworks = (given.photos, given.artworks)
            if photos is None:
                photos, artworks = samples_of(Path(scratch) / "samples", given.style)
            workspace = build(Path(scratch) / "workspace", photos, artworks, given.style)
        climbed = climb(workspace, given.style)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    title = f"{given.style}, {datetime.now(UTC):%Y-%m-%d}, commit {commit}"
    _replace_section(given.out, given.style, table(climbed, title))
    print(f"ladder: {given.out}")


def _replace_section(path: Path, style: str, section: str) -> None:
    head = "# The ladder\n\nMade by `python -m benchmarks.ladder`; what it shows stands in docs/metrics.md.\n"
    text = path.read_text() if path.is_file() else head
    before, *others = text.split("\n## ")
    kept = [f"## {other}".rstrip() + "\n" for other in others if not other.startswith(f"{style},")]
    path.write_text("\n".join([before.rstrip() + "\n", *kept, section]))


if __name__ == "__main__":
    main()
