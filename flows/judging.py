"""The gate's verdict on a package: measured in a process of its own, judged here, kept in `var/verdicts/`."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.proc import Deadline, run
from pipeline import gate
from pipeline.closure import code_digest
from pipeline.files import digest_json, read_json, write_json
from pipeline.params import Params
from pipeline.registry import Version
from pipeline.terminal import child_environment, code_root
from pipeline.vote.tally import sentences
from pipeline.workspace import Workspace

_MINUTES = 60.0  # for re-scoring one package, or rendering one report


class MeasuringError(Exception):
    """A package could not be scored, or its report not be rendered; the message says why."""


def verdict_file(workspace: Workspace, recipe: str, package: str) -> Path:
    """Return where the verdict on a package stands."""
    return workspace.var / "verdicts" / f"{recipe}-{package[:12]}.json"


def report_file(workspace: Workspace, recipe: str, package: str) -> Path:
    """Return where the report with the verdict stands."""
    return workspace.var / "reports" / f"{recipe}-{package[:12]}.html"


def grounds(workspace: Workspace, recipe: str, params: Params, rivals: dict[str, Version | None]) -> str:
    """Return a digest of all that a verdict depends on: the same grounds give the same verdict."""
    return digest_json(
        {
            "metrics": read_json(workspace.report(recipe) / "metrics.json"),
            "gate": asdict(params.gate),
            "code": [code_digest(module, code_root()) for module in ("pipeline.gate", "pipeline.reports.comparison")],
            "rivals": {role: version.package if version else None for role, version in rivals.items()},
        }
    )


def standing(workspace: Workspace, recipe: str, package: str, same_grounds: str) -> dict[str, Any] | None:
    """Return the verdict that was given on a package on the same grounds, or None."""
    path = verdict_file(workspace, recipe, package)
    if not path.is_file():
        return None
    verdict: dict[str, Any] = read_json(path)
    return verdict if verdict.get("grounds") == same_grounds else None


def judge(
    workspace: Workspace,
    recipe: str,
    package: str,
    params: Params,
    rivals: dict[str, Version | None],
    on_line: Callable[[str], None],
) -> dict[str, Any]:
    """Compare a package with its rivals, judge it, write verdict and report, and return the verdict.

    Args:
        workspace: where.
        recipe: whose package, with the evaluate stage's metrics beside it.
        package: its digest.
        params: `gate` is used.
        rivals: the versions to hold it against, `champion` and `anchor`; None where there is none.
        on_line: called with each line that the measuring prints.

    Raises:
        MeasuringError: scoring a rival failed, or rendering the report did.
    """
    comparisons = {
        role: _compare(workspace, recipe, package, role, version, on_line) if version else None
        for role, version in rivals.items()
    }
    metrics = read_json(workspace.report(recipe) / "metrics.json")
    given = gate.judge(metrics, comparisons.get("champion"), params.gate, anchor=comparisons.get("anchor"))
    verdict: dict[str, Any] = {
        **given.to_dict(),
        "recipe": recipe,
        "package": package,
        "champion": champion.package if (champion := rivals.get("champion")) else None,
        "grounds": grounds(workspace, recipe, params, rivals),
    }
    write_json(verdict_file(workspace, recipe, package), verdict)
    write_json(workspace.var / "verdicts" / f"{recipe}.json", verdict)  # the last one, easy to find
    render(workspace, recipe, package, {}, on_line)
    return verdict


def render(
    workspace: Workspace, recipe: str, package: str, facts: Mapping[str, str], on_line: Callable[[str], None]
) -> Path:
    """Write the report with the verdict, the comparison with the champion, and the votes there are; return it.

    Args:
        workspace: where.
        recipe: whose package, with the evaluate stage's report beside it.
        package: its digest; a verdict on it stands.
        facts: names and text for the report, such as the version and the commit; kept with the verdict.
        on_line: called with each line that is printed.

    Raises:
        MeasuringError: the report could not be rendered.
    """
    path, report = verdict_file(workspace, recipe, package), report_file(workspace, recipe, package)
    before = read_json(path)
    told = {"facts": {**before.get("facts", {}), **facts}, "votes": sentences(workspace, package)}
    verdict = {**before, **told}
    if verdict == before and report.is_file():
        return report  # it says all that already
    draft = write_json(path.with_suffix(".draft"), verdict)
    arguments = [recipe, "--verdict", str(draft), "--out", str(report)]
    if verdict["champion"] and (folder := _comparison(workspace, recipe, package, verdict["champion"])).is_dir():
        arguments += ["--comparison", str(folder)]
    try:
        _module(workspace, "pipeline.reports.report", arguments, on_line)
        write_json(path, verdict)  # told once the report says it, so that a failed rendering is made up for
    finally:
        draft.unlink()
    return report


def _comparison(workspace: Workspace, recipe: str, package: str, rival: str) -> Path:
    """Return the folder of the comparison of a recipe's package with the package `rival`."""
    return workspace.work / "comparisons" / f"{recipe}-{package[:12]}-{rival[:12]}"


def _compare(
    workspace: Workspace, recipe: str, package: str, role: str, rival: Version, on_line: Callable[[str], None]
) -> dict[str, Any]:
    folder = _comparison(workspace, recipe, package, rival.package)
    label = f"{role.capitalize()} v{rival.version}"
    arguments = [recipe, "--champion", str(rival.directory), "--label", label, "--out", str(folder)]
    _module(workspace, "pipeline.reports.comparison", arguments, on_line)
    comparison: dict[str, Any] = read_json(folder / "comparison.json")
    return comparison


def _module(workspace: Workspace, module: str, arguments: list[str], on_line: Callable[[str], None]) -> None:
    tail: deque[str] = deque(maxlen=20)

    def take(line: str) -> None:
        tail.append(line)
        on_line(line)

    code = run(
        [sys.executable, "-P", "-m", module, *arguments],
        cwd=workspace.root,
        env=child_environment(workspace),
        deadline=Deadline(_MINUTES * 60),
        on_line=take,
    )
    if code != 0:
        said = tail[-1].removeprefix("error: ") if tail else "no output"
        raise MeasuringError(f"{module} {arguments[0]} failed (exit status {code}): {said}")


def as_lines(verdict: dict[str, Any]) -> list[str]:
    """Return a verdict for a terminal, a line a rule."""
    return [f"{_word(rule)} {rule['name']}: {rule['sentence']}" for rule in verdict["rules"]]


def as_markdown(verdict: dict[str, Any]) -> str:
    """Return a verdict as a Markdown table, rule by rule: its name, what was found, what it was held against."""
    rows = [
        f"| {_word(rule) if rule['passed'] else f'**{_word(rule)}**'} | {rule['name']} | {_short(rule['value'])} "
        f"| {_short(rule['bound'])} | {rule['sentence'].replace('|', chr(92) + '|')} |"
        for rule in verdict["rules"]
    ]
    return "\n".join([verdict["sentence"], "", "| | rule | found | bound | |", "|---|---|---|---|---|", *rows])


def _word(rule: dict[str, Any]) -> str:
    return "passed" if rule["passed"] else "failed"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
