"""One self-contained HTML page about one model: pictures first, then figures. No network, no verdict of its own.

The evaluate stage renders it without a verdict; the flow renders it again with the gate's.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import charts
from pipeline.entry import run_stage
from pipeline.files import read_json, write_atomic
from pipeline.metrics import REGISTRY, STYLE
from pipeline.pages import HOUSE, template
from pipeline.workspace import Workspace, find_workspace

_SAMPLES = 6  # pictures of the training's course
_SOURCES = {
    "model": "This model",
    "photograph": "Photograph",
    "lab_transfer": "Lab transfer",
    "paintings": "Paintings",
}
_CONTROL_NOTES = {
    "photograph": "the photograph, untouched",
    "lab_transfer": "its colours moved to the mean and spread of the artworks, without a stroke",
    "model": "the model",
}


def render(folder: Path, trained: Path | None = None, verdict: Mapping[str, Any] | None = None) -> str:
    """Return the page.

    Args:
        folder: holds metrics.json, model_card.md and gallery/, as the evaluate stage writes them.
        trained: may hold history.csv and samples/, as the train stage writes them.
        verdict: what `gate.Verdict.to_dict` returns; may hold `facts`, a mapping of names to text, besides.

    Raises:
        ValueError: `folder` lacks one of its files.
    """
    for name in ("metrics.json", "model_card.md", "gallery/index.json"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} lacks {name}; run `dvc repro evaluate@{folder.name}` first")
    metrics = read_json(folder / "metrics.json")
    pictures = read_json(folder / "gallery" / "index.json")
    page: str = template(HOUSE / "report.html").render(
        metrics=metrics,
        verdict=verdict,
        facts=(verdict or {}).get("facts") or {},
        picture=lambda name: data_uri(folder / "gallery" / name),
        sample=data_uri,
        pictures=pictures,
        control_notes=_CONTROL_NOTES,
        sources=_SOURCES,
        rows=_rows(metrics),
        differences=_differences(metrics),
        charts=_charts(metrics),
        losses=charts.loss_curves(trained / "history.csv") if trained else [],
        samples=_samples(trained),
        card=markdown_blocks((folder / "model_card.md").read_text()),
    )
    return page


def data_uri(path: Path) -> str:
    """Return a JPEG file as a URI that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def short(value: float | None) -> str:
    """Return a figure with three significant digits, at most four decimals; a dash for what was not measured."""
    if value is None:
        return "–"
    text = f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "−")


def span(figure: Mapping[str, float | None]) -> str:
    """Return an interval in words that signs cannot blur."""
    return f"{short(figure['low'])} to {short(figure['high'])}"


def markdown_blocks(text: str) -> list[tuple[str, list[str]]]:
    """Return the blocks of a model card, which needs no more Markdown than headings, paragraphs and lists.

    Returns:
        (kind, lines) with kind one of `title`, `heading`, `list`, `paragraph`.
    """
    blocks: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        plain = line.replace("`", "")
        if plain.startswith("# "):
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
        rows.append(
            {
                "metric": declared,
                "value": short(found["value"]),
                "interval": span(found),
                "controls": {
                    control: short(figures[name]["value"]) if name in figures else ""
                    for control, figures in metrics["controls"].items()
                },
            }
        )
    return rows


def _differences(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for control in ("photograph", "lab_transfer"):
        for name in STYLE:
            figure = metrics["differences"].get(f"{control} - model", {}).get(name)
            if figure is None or figure["value"] is None or figure["low"] is None:
                continue
            beyond = "closer" if figure["low"] > 0 else "farther" if figure["high"] < 0 else "no clear difference"
            rows.append(
                {
                    "metric": REGISTRY[name].title,
                    "control": _SOURCES[control],
                    "value": short(figure["value"]),
                    "interval": span(figure),
                    "reading": beyond,
                }
            )
    return rows


def _charts(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = {"model": metrics["metrics"], **metrics["controls"]}
    result = []
    for name in STYLE:
        rows = {_SOURCES.get(source, source): figures[name] for source, figures in found.items() if name in figures}
        ordered = dict(sorted(rows.items(), key=lambda row: row[1]["value"] or 0))
        drawn = charts.intervals(ordered, _SOURCES["model"], f"{REGISTRY[name].title}, lower is closer")
        result.append({"metric": REGISTRY[name], "svg": drawn})
    return result


def _samples(trained: Path | None) -> list[dict[str, Any]]:
    """Return at most six samples of the training, the first and the last among them."""
    files = sorted((trained / "samples").glob("*.jpg")) if trained else []
    if len(files) > _SAMPLES:
        files = [files[round(i * (len(files) - 1) / (_SAMPLES - 1))] for i in range(_SAMPLES)]
    return [{"path": path, "step": path.stem.rpartition("-")[2].lstrip("0") or "0"} for path in files]


def write(workspace: Workspace, recipe: str, verdict: Mapping[str, Any] | None, out: Path) -> Path:
    """Write the page of a recipe to `out` and return it.

    Raises:
        ValueError: the recipe has not been evaluated.
    """
    return write_atomic(out, render(workspace.report(recipe), workspace.trained(recipe), verdict))


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.report",
        description="Render a recipe's report again, with a verdict. "
        "Example: python -m pipeline.report vangogh --verdict verdict.json --out report.html",
    )
    parser.add_argument("recipe")
    parser.add_argument("--verdict", type=Path, metavar="FILE", help="JSON that the gate gave")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    verdict = None if arguments.verdict is None else read_json(arguments.verdict)
    print(f"report: {write(find_workspace(Path.cwd()), arguments.recipe, verdict, arguments.out)}")


if __name__ == "__main__":
    run_stage(_command)
