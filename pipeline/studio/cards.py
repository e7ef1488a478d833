"""What is told of a model: its model card if the workspace has it, its report, and the facts of its package."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.catalogue import METHODS
from pipeline.files import read_json
from pipeline.serve.shelf import Model
from pipeline.workspace import Workspace


def card(workspace: Workspace, model: Model) -> list[tuple[str, list[str]]]:
    """Return the blocks of the model's scored card, (kind, lines); none if the workspace's is of another package."""
    folder = workspace.report(model.name)
    try:
        if read_json(folder / "metrics.json").get("package") != model.digest:
            return []
        text = (folder / "model_card.md").read_text()
    except (OSError, ValueError, AttributeError):
        return []
    from pipeline.reports.report import markdown_blocks

    return markdown_blocks(text)


def report(workspace: Workspace, model: Model) -> Path | None:
    """Return the page with the gate's verdict on the model, if there is one."""
    path = workspace.var / "reports" / f"{model.name}-{model.digest[:12]}.html"
    return path if path.is_file() else None


def facts(model: Model) -> dict[str, str]:
    """Return what the package tells of itself, title -> text."""
    config = model.config
    method = str(config.get("method", ""))
    what = METHODS[method].what if method in METHODS else ""
    found = {
        "Version": "" if model.version is None else str(model.version),
        "Method": f"{method}: {what}" if what else method,
        "Learnt from": str(config.get("style", "")),
        "Knows the styles": ", ".join(model.styles),
        "Codes": ", ".join(model.sampler.network.codes.names) if model.task == "generate" else "",
        "Steps": f"{config['steps']:,}" if isinstance(config.get("steps"), int) else "",
        "Way back": "learnt: painting to photograph" if model.both_ways else "",
        "Here since": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(model.since)),
        "Package": model.digest,
    }
    return {title: text for title, text in found.items() if text}
