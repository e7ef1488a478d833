"""How far the seed alone moves what the gate looks at: is every rule's margin wider than that noise?

    python -m benchmarks.seeds                                      five trainings on the built-in style impasto
    python -m benchmarks.seeds --own vangogh PHOTOS ARTWORKS        and on your own; may be repeated
    python -m benchmarks.seeds --style mosaic --seeds 3

The demo's training, once a seed, on one core each; data and judge are the same for all. `gate.seed_noise` in
params.yaml is two of these deviations. Writes benchmarks/results/seeds.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.rows import COLUMNS, Table, add_style_options, markdown, measure, workspaces
from benchmarks.workspaces import ROOT
from pipeline.files import write_atomic
from scripts.test_full import commit

RESULT = ROOT / "benchmarks" / "results" / "seeds.md"
STYLES = ("impasto",)
_FIRST = 20


def noise(table: Table) -> str:
    """Return a table of figures: mean and deviation over the seeds."""
    lines = ["| | mean | deviation |", "|---|---|---|"]
    for name, title in COLUMNS.items():
        mean, deviation = _moments([row.value(name) for row in table.rows])
        lines.append(f"| {title} | {mean:.3g} | {deviation:.2g} |")
    return "\n".join(lines)


def margins(table: Table) -> str:
    """Return a table of the gate's rules: what each found by seed, what it asks, how many deviations lie between."""
    lines = ["| rule | by seed | asked | margin, deviations |", "|---|---|---|---|"]
    for rules in zip(*(row.rules for row in table.rows), strict=True):
        values = [rule.value for rule in rules if rule.value is not None]
        bounds = {rule.bound for rule in rules}
        if len(values) < len(rules) or None in bounds:
            continue  # a rule without a number, as `sane`; its verdict stands above
        # What is refused may quote another part of the rule, with another bound: no margin then.
        (bound,) = bounds if len(bounds) == 1 else (None,)
        mean, deviation = _moments(values)
        margin = "" if bound is None or not deviation else f"{abs(mean - bound) / deviation:.1f}"
        found = ", ".join(_marked(f"{rule.value:.3g}", rule.passed) for rule in rules)
        lines.append(f"| {rules[0].name} | {found} | {'' if bound is None else f'{bound:.3g}'} | {margin} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_style_options(parser, STYLES)
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    changes = {f"seed {seed}": {"seed": seed} for seed in range(_FIRST, _FIRST + given.seeds)}
    head = (
        "# The noise of the seed\n\n"
        f"Made by `python -m benchmarks.seeds`, {datetime.now(UTC):%Y-%m-%d}, commit {commit()}; "
        "`presets/demo.yaml`, on one core each. "
        "The value of a rule is the one that its sentence quotes, bold where it is refused.\n"
    )
    parts = [head]
    with tempfile.TemporaryDirectory() as scratch:
        for style, workspace in workspaces(given, Path(scratch)):
            table = measure(workspace, style, changes, given.workers)
            parts += [markdown(table), noise(table), "", margins(table), ""]
            write_atomic(given.out, "\n".join(parts))
    print(f"tables: {given.out}")


def _moments(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _marked(text: str, passed: bool) -> str:
    return text if passed else f"**{text}**"


if __name__ == "__main__":
    main()
