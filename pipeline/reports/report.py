"""One self-contained HTML page about one model: pictures first, then figures. No network, no verdict of its own.

The evaluate stage renders it without a verdict; the flow renders it again with the gate's.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.entry import run_stage
from pipeline.files import read_json, write_atomic
from pipeline.metrics import REGISTRY
from pipeline.pages import HOUSE, template
from pipeline.reports import charts, restored, samples
from pipeline.reports.course import course
from pipeline.reports.figures import paired_rows, percent, reading, short, span
from pipeline.reports.heat import heat
from pipeline.reports.sources import MODEL, in_order, source
from pipeline.reports.spectra import spectra
from pipeline.scoresheet import ScoreSheet
from pipeline.workspace import Workspace, find_workspace

_SAMPLES = 6  # pictures of the training's course
_UPPER = "paintings"
_UNDRAWN = ("original",)  # whose figures are perfect: beside them nothing else would differ
_STARTS = ("photograph", "spectral_noise", "damaged", "bicubic", "smooth")
_LINES = (*_STARTS, _UPPER)  # drawn through all rows of a chart: where one starts, the goal
_JUDGED = {"judge/colour": "by colour and form", "judge/luminance": "by form alone, without colour"}
_LOOKERS = {"features": "feature distances", "judge": "deception rates", "perceptual": "perceptual distance"}


def render(
    folder: Path,
    trained: Path | None = None,
    verdict: Mapping[str, Any] | None = None,
    comparison: Path | None = None,
) -> str:
    """Return the page.

    Args:
        folder: holds metrics.json, model_card.md and gallery/, as the evaluate stage writes them.
        trained: may hold history.csv, course.json and samples/, as the train stage writes them.
        verdict: what `gate.Verdict.to_dict` returns; may hold besides `facts`, a mapping of names to text, and
            `votes`, sentences on what painters preferred.
        comparison: folder that `comparison.write` filled, with the champion against this model.

    Raises:
        ValueError: a folder lacks one of its files.
    """
    for name in ("metrics.json", "model_card.md", "gallery/index.json"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} lacks {name}; run `dvc repro evaluate@{folder.name}` first")
    metrics = read_json(folder / "metrics.json")
    pictures = read_json(folder / "gallery" / "index.json")
    kind = _page(metrics)
    page: str = template(HOUSE / kind.template).render(
        metrics=metrics,
        verdict=verdict,
        facts=(verdict or {}).get("facts") or {},
        votes=(verdict or {}).get("votes") or [],
        lead=kind.lead(metrics),
        picture=lambda name: data_uri(folder / "gallery" / name),
        sample=data_uri,
        pictures=pictures,
        source=source,
        short=short,
        judging={name: one.title for name, one in REGISTRY.items() if one.direction != "none"},
        reason=_reason(verdict, metrics) if verdict else "",
        control_names=[name for name in in_order(metrics["controls"]) if name not in (_UPPER, *_UNDRAWN)],
        sources=in_order([MODEL, *metrics["controls"]]),
        columns=[MODEL, *in_order(metrics["controls"])],  # the model's first: a telephone shows no more
        rows=_rows(metrics),
        differences=_differences(metrics),
        charts=_charts(metrics),
        judged=_judged(metrics),
        observers=_observers(metrics),
        strip=kind.strip(pictures, metrics, verdict),
        legend=charts.change_legend(),
        heat=heat(folder / "gallery"),
        spectra=spectra(folder / "gallery"),
        champion=None if comparison is None else compared(comparison),
        course=course(trained),
        losses=charts.loss_curves(trained / "history.csv") if trained else [],
        samples=_samples(trained),
        card=markdown_blocks((folder / "model_card.md").read_text()),
    )
    return page


def compared(folder: Path) -> dict[str, Any]:
    """Return what the template of a comparison shows, from the folder that `comparison.write` filled.

    Raises:
        ValueError: the folder holds no comparison.
    """
    if not (folder / "comparison.json").is_file():
        raise ValueError(f"{folder} holds no comparison.json; `python -m pipeline.reports.comparison` writes one")
    found = read_json(folder / "comparison.json")
    first, second = found["sides"]
    return {
        "found": found,
        "first": found["labels"][first],
        "second": found["labels"][second],
        "counts": found["counts"],
        "observers": _observers(found),
        "rows": paired_rows(found),
        "works": found["pictures"],
        "picture": lambda name: data_uri(folder / name),
    }


def lead(metrics: Mapping[str, Any]) -> str:
    """Return what was found in one sentence, without a verdict."""
    model, controls = metrics["metrics"], metrics["controls"]
    name = "style/patch_swd"
    own, start, goal = (
        found.get(name, {}).get("value") for found in (model, controls["photograph"], controls[_UPPER])
    )
    counts = metrics["counts"]
    seen = f"On {counts['photographs']} photographs and {counts['paintings']} paintings that it never saw"
    structure = model.get("content/structure", {}).get("value")
    keeps = "" if structure is None else f", and keep {short(structure)} of the photographs’ structure"
    if own is None or start is None or goal is None or start <= goal:
        return f"{seen}, the model was scored; its figures are below."
    share = (start - own) / (start - goal)
    if share <= 0:
        return f"{seen}, the model’s brushwork and colours are no closer to the artist than the photographs’{keeps}."
    way = "all the way" if share >= 1 else f"{percent(share)} of the way"
    return f"{seen}, the model’s brushwork and colours come {way} from photograph to painting{keeps}."


def _reason(verdict: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Return why a verdict is what it is, in a sentence; every rule has its own further down."""
    if verdict["accepted"]:
        return _page(metrics).lead(metrics)
    failed = [rule for rule in verdict["rules"] if not rule["passed"]]
    if not failed:
        return str(verdict["sentence"]).removeprefix("Refused: ")
    others = ", ".join(rule["name"] for rule in failed[1:])
    return str(failed[0]["sentence"]) + (f" It failed as well by the rules: {others}." if others else "")


def data_uri(path: Path) -> str:
    """Return a JPEG file as a URI that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def markdown_blocks(text: str) -> list[tuple[str, list[str]]]:
    """Return the blocks of a model card, which needs no more Markdown than headings, paragraphs, lists and code.

    Returns:
        (kind, lines) with kind one of `title`, `heading`, `list`, `paragraph`, `code`.
    """
    blocks: list[tuple[str, list[str]]] = []
    in_code = False
    for line in text.splitlines():
        plain = line.replace("`", "")
        if line.startswith("```"):
            in_code = not in_code
            blocks += [("code", [])] if in_code else []
        elif in_code:
            blocks[-1][1].append(line)
        elif plain.startswith("# "):
            blocks.append(("title", [plain[2:]]))
        elif plain.startswith("## "):
            blocks.append(("heading", [plain[3:]]))
        elif plain.startswith("- "):
            if not blocks or blocks[-1][0] != "list":
                blocks.append(("list", []))
            blocks[-1][1].append(plain[2:])
        elif plain:
            blocks.append(("paragraph", [plain]))
    return blocks


def _rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the table of figures: one row a metric, with the controls' values."""
    rows = []
    for name, declared in REGISTRY.items():
        found = metrics["metrics"].get(name)
        if found is None:
            continue
        values = {
            control: short(figures[name]["value"]) if name in figures else ""
            for control, figures in metrics["controls"].items()
        }
        values[MODEL] = short(found["value"])
        rows.append({"metric": declared, "values": values, "interval": span(found)})
    return rows


def _differences(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return paired differences control - model of every metric that has a better and a worse."""
    rows = []
    for pair, found in metrics["differences"].items():
        control = pair.removesuffix(" - model")
        for name in (name for name in REGISTRY if name in found):
            figure = found[name]
            if REGISTRY[name].direction == "none" or figure["value"] is None or figure["low"] is None:
                continue
            title = source(control).title
            rows.append(
                {
                    "metric": REGISTRY[name].title,
                    "control": title,
                    "value": short(figure["value"]),
                    "interval": span(figure),
                    "reading": reading(name, figure, title, "The model"),
                }
            )
    return rows


def _charts(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a chart of every metric that a control has too, but for what `_judged` shows."""
    names = [name for name in REGISTRY if name not in _JUDGED and REGISTRY[name].direction != "none"]
    drawn = [
        {"metric": REGISTRY[name], "svg": _chart(metrics, name)}
        for name in names
        if any(name in figures for figures in metrics["controls"].values())
    ]
    return [chart for chart in drawn if chart["svg"]]


def _chart(metrics: Mapping[str, Any], name: str, write: Callable[[float], str] = short) -> str:
    found = {MODEL: metrics["metrics"], **metrics["controls"]}
    drawn = [one for one in in_order(found) if name in found[one] and one not in _UNDRAWN]
    rows = {source(one).title: found[one][name] for one in drawn}
    lines = [source(line).title for line in _LINES if line in found and name in found[line]]
    declared = REGISTRY[name]
    described = f"{declared.title}, {declared.direction} is better"
    return charts.intervals(rows, source(MODEL).title, described, lines, write)


def _judged(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the deception rates: how much of a picture a frozen judge takes for a painting, beside the controls'."""
    return [
        {"title": title.capitalize(), "svg": _chart(metrics, name, percent)}
        for name, title in _JUDGED.items()
        if name in REGISTRY and name in metrics["metrics"]
    ]


def _observers(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (what for, which network looked): figures of other networks are not comparable."""
    named = metrics.get("observers") or {}
    return [(_LOOKERS.get(role, role), network or "none at hand") for role, network in named.items()]


def _strip(pictures: Mapping[str, Any], metrics: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> str:
    """Return where the worst stand among all held-out photographs."""
    lines = {}
    mean = metrics["metrics"].get("content/structure", {}).get("value")
    if mean is not None:
        lines["mean"] = float(mean)
    for rule in (verdict or {}).get("rules", ()):
        if rule["name"] == "structure" and rule.get("bound") is not None:
            lines["the gate asks for a mean of"] = float(rule["bound"])
    kept = pictures["kept"]
    described = f"Structure kept in each of {len(kept)} photographs, from {short(kept[0])} to {short(kept[-1])}"
    return charts.strip(kept, len(pictures["worst"]), lines, described)


@dataclass(frozen=True)
class _Page:
    """What differs between the pages on models of different tasks."""

    template: str
    lead: Callable[[Mapping[str, Any]], str]
    strip: Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any] | None], str] = lambda *_: ""


_PAGES: Mapping[str, _Page] = MappingProxyType(
    {
        "stylize": _Page("report.html", lead, _strip),
        "generate": _Page("samples.html", samples.lead),
        "restore": _Page("restored.html", restored.lead),
    }
)


def _page(metrics: Mapping[str, Any]) -> _Page:
    return _PAGES[ScoreSheet(metrics).task]


def _samples(trained: Path | None) -> list[dict[str, Any]]:
    """Return at most six samples of the training, the first and the last among them."""
    files = sorted((trained / "samples").glob("*.jpg")) if trained else []
    if len(files) > _SAMPLES:
        files = [files[round(i * (len(files) - 1) / (_SAMPLES - 1))] for i in range(_SAMPLES)]
    return [{"path": path, "step": path.stem.rpartition("-")[2].lstrip("0") or "0"} for path in files]


def write(
    workspace: Workspace, recipe: str, verdict: Mapping[str, Any] | None, comparison: Path | None, out: Path
) -> Path:
    """Write the page of a recipe to `out` and return it; `comparison` as in `render`.

    Raises:
        ValueError: the recipe has not been evaluated, or `comparison` holds no comparison.
    """
    return write_atomic(out, render(workspace.report(recipe), workspace.trained(recipe), verdict, comparison))


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.reports.report",
        description="Render a recipe's report again, with a verdict. "
        "Example: python -m pipeline.reports.report vangogh --verdict verdict.json --out report.html",
    )
    parser.add_argument("recipe")
    parser.add_argument("--verdict", type=Path, metavar="FILE", help="JSON that the gate gave")
    parser.add_argument("--comparison", type=Path, metavar="DIR", help="the champion against it, with pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    verdict = None if arguments.verdict is None else read_json(arguments.verdict)
    workspace = find_workspace(Path.cwd())
    print(f"report: {write(workspace, arguments.recipe, verdict, arguments.comparison, arguments.out)}")


if __name__ == "__main__":
    run_stage(_command)
