"""The model card: what a model is, what it was measured to do, and where it ends. Plain Markdown, no dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.metrics import REGISTRY
from pipeline.painting.working import LARGEST
from pipeline.recipes import Recipe
from pipeline.reports import script
from pipeline.reports.sources import in_order, source


def write(metrics: Mapping[str, Any], config: Mapping[str, Any], recipe: Recipe) -> str:
    """Return the card of a scored package.

    Args:
        metrics: its metrics.json.
        config: the package's config.json.
        recipe: what it was built from.
    """
    counts = metrics["counts"]
    lines = [
        f"# {recipe.name}",
        "",
        *_what(config, recipe),
        "",
        "## How it was made",
        "",
        f"- Method `{config['method']}`, {config.get('steps', 'an unknown number of')} steps, seed {config['seed']}.",
        *([f"- Which networks were packaged: {config['packaged']['why']}."] if "packaged" in config else []),
        f"- Trained on crops of the {'styles' if recipe.others else 'style'}'s artworks and of unpaired photographs; "
        f"{_pretrained(config)}.",
        f"- Learnt at a short side of {config['view']} px. Larger pictures are painted at up to {LARGEST:g} times "
        f"that, so that strokes keep their share of the picture, and brought to full size along their own edges.",
        f"- Package `{metrics['package']}`.",
        f"- Data `{metrics['data']}`.",
        "",
        "## What was measured",
        "",
        f"On {counts['photographs']} photographs and {counts['paintings']} paintings that it never saw; in brackets "
        f"95 % bootstrap intervals over both.{_lookers(metrics)}",
        "",
        *measured(metrics),
        "",
        "## What it is for, and what not",
        "",
        "- For pictures to look at, not for evidence: it repaints what it is given, faces and lettering included, "
        "and invents detail.",
        "- It knows the artworks it was trained on and nothing else of the artist. Photographs unlike the training "
        "photographs come out worse; the report shows the worst of the held-out ones.",
        "- The rights in the artworks are those of their owners; training does not change them.",
        "",
        *script.section(config),
    ]
    return "\n".join(lines)


def measured(metrics: Mapping[str, Any]) -> list[str]:
    """Return a line on every figure, with those of the controls."""
    return [_line(name, metrics) for name in REGISTRY if name in metrics["metrics"]]


def _line(name: str, metrics: Mapping[str, Any]) -> str:
    declared, figure = REGISTRY[name], metrics["metrics"][name]
    beside = [
        f"{source(control).title} {_short(metrics['controls'][control][name]['value'])}"
        for control in in_order(metrics["controls"])
        if name in metrics["controls"][control] and declared.direction != "none"
    ]
    arrow = "" if declared.direction == "none" else f" {declared.arrow}"
    text = f"- {declared.title}{arrow}: {_short(figure['value'])}"
    text += f" [{_short(figure['low'])}, {_short(figure['high'])}] ({declared.unit})"
    return text + (f"; {', '.join(beside)}." if beside else ".")


def _what(config: Mapping[str, Any], recipe: Recipe) -> list[str]:
    if not config.get("reference"):
        return [
            f"Repaints photographs in the style of the collection `{recipe.style}`: photograph in, painting of the "
            f"same size out. {_ways(config)}, one style, no text prompt."
        ]
    styles = ", ".join(f"`{style}`" for style in config["styles"])
    return [
        f"Repaints photographs after reference pictures: a photograph and a picture, or a mixture of several, in, "
        f"painting of the photograph's size out. It has learnt the collections {styles} and brings "
        f"training crops of each as references of its own (`--style NAME`); one way, no text prompt.",
        "",
        f"The figures below are of photographs painted after its own references of `{recipe.style}`, one each, "
        f"chosen by the photograph's hash, beside held-out paintings of that style; 'follows its reference' "
        f"is of all styles.",
    ]


def _pretrained(config: Mapping[str, Any]) -> str:
    origin = config["network"].get("encoder")
    if origin is None:
        return "no pretrained weights were used"
    if origin == "own":
        return "no pretrained weights were used: it trained an encoder of its own on the same crops, then froze it"
    return f"its encoder is {origin}, trained on ImageNet by others; no metric here looks through that network"


def _ways(config: Mapping[str, Any]) -> str:
    if config.get("reverse"):
        return "And back with `--reverse`, painting in, photograph out, which the figures below do not measure"
    return "One way"


def _lookers(metrics: Mapping[str, Any]) -> str:
    named = {role: network for role, network in (metrics.get("observers") or {}).items() if network}
    if not named:
        return ""
    return f" Networks that looked: {', '.join(f'{network} ({role})' for role, network in named.items())}."


def _short(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
