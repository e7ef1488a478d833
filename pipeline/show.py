"""How `atelier` shows its results on a terminal: tables, progress, and the command to type next."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pipeline.catalogue import facts_of
from pipeline.progress import Progress, duration
from pipeline.terminal import errors, hint, out, shown
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.calibrate import Measurement
    from pipeline.doctor import Check
    from pipeline.due import Dueness
    from pipeline.params import Params
    from pipeline.plan import RecipePlan
    from pipeline.presets import Change
    from pipeline.quality.facts import Facts
    from pipeline.recipes import Recipe
    from pipeline.status import Status
    from pipeline.stylize import Result

_STATES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@contextmanager
def file_progress(label: str, say: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (files done, files in all) that draws a bar with the time left."""
    bar = Progress(label, 0)  # its clock starts now, before the first file is done

    def advance(done: int, total: int) -> None:
        bar.total = total
        if say:
            bar.update(done)

    yield advance


def plans(workspace: Workspace, found: Sequence[RecipePlan], due: Mapping[str, Dueness]) -> None:
    """Show what is stale, recipe by recipe, and what of it is not due yet."""
    if not found:
        out.print("there is no recipe yet")
        hint(workspace, "ingest FOLDER --style NAME")
        return
    for each in found:
        if not each.stale:
            out.print(f"[green]{each.recipe}[/]: up to date")
            continue
        out.print(f"[yellow]{each.recipe}[/]: stale ({', '.join(each.kinds) or 'output'})")
        word = "due" if due[each.recipe].state == "due" else "not due"
        out.print(f"  [bold]{word}[/]: ", Text(due[each.recipe].why), sep="")
        for stage in each.stages:
            for reason in stage.reasons:
                out.print(f"  {stage.name}: [bold]{reason.kind}[/] ", Text(reason.detail), sep="")
    stale = [each.recipe for each in found if each.stale]
    if stale:
        hint(workspace, " ".join(["retrain", *(stale if len(stale) < len(found) else [])]))


def status(workspace: Workspace, found: Status) -> None:
    """Show collections, recipes and champions."""
    images = Table("images", "train", "test", "excluded", "refused", box=None, pad_edge=False)
    for each in (found.photos, *found.styles):
        images.add_row(each.name, *(str(n) for n in (each.train, each.test, each.excluded, each.quarantined)))
    out.print(f"workspace {found.workspace}\n")
    out.print(images)
    out.print()
    if not found.recipes:
        out.print("no recipe yet")
        hint(workspace, "ingest FOLDER --style NAME")
        return
    recipes = Table("recipe", "method", "style", "champion", "challenger", "state", box=None, pad_edge=False)
    for recipe in found.recipes:
        state = f"stale: {', '.join(recipe.why)}" if recipe.why else "up to date"
        recipes.add_row(
            recipe.name,
            recipe.method,
            recipe.style,
            *(f"version {recipe.aliases[a]}" if a in recipe.aliases else "-" for a in ("champion", "challenger")),
            "unknown" if found.unknown else state,
        )
    out.print(recipes)
    out.print()
    if found.unknown:
        out.print(f"what is stale is not known: {found.unknown}", markup=False)
    elif any(recipe.why for recipe in found.recipes):
        hint(workspace, "plan", "retrain")
    else:
        _offer_models(workspace, found)


def _offer_models(workspace: Workspace, found: Status) -> None:
    """Offer what can be done with what is there: use a champion, or promote a challenger."""
    for recipe in found.recipes:
        if "champion" in recipe.aliases:
            after = f" --style {recipe.style.split(' + ')[0]}" if facts_of(recipe.method).reference else ""
            hint(workspace, f"stylize IN OUT --model {recipe.name}{after}")
            return
    for recipe in found.recipes:
        if "challenger" in recipe.aliases:
            hint(workspace, f'promote {recipe.name} --reason "..."')
            return


def paintings(results: Sequence[Result], target: Path, done_to: str = "painted") -> int:
    """Show where paintings, or what else was made, lie, which were there, which failed; return how many did."""
    failed = [result for result in results if result.problem]
    finished = [result for result in results if result.finished]
    done = [result for result in results if not result.problem and not result.finished]
    say = errors if target == Path("-") else out  # standard output holds the painting
    if len(done) == 1:
        say.print(f"{done_to}: {shown(done[0].target)}", markup=False)
    elif done:
        say.print(f"{done_to} {len(done)} pictures: {shown(target)}", markup=False)
    if finished:
        counted = f"{len(finished)} picture{'s' if len(finished) > 1 else ''}"
        say.print(f"{done_to} before, just so: {counted}: {shown(target)}", markup=False)
    for result in failed:
        say.print(f"not {done_to}: {result.source}: {result.problem}", markup=False)
    return len(failed)


def methods() -> None:
    """Show every method, by task."""
    from pipeline.catalogue import METHODS, does

    for task in dict.fromkeys(facts.task for facts in METHODS.values()):
        out.print(f"{task}: {does(task)}", markup=False)
        for name, facts in METHODS.items():
            if facts.task == task:
                out.print(f"  {name}: {facts.what}", markup=False)
                told = {"costs": facts.cost, "needs": facts.needs, "choose it": facts.choose}
                for what, said in told.items():
                    out.print(f"    {what}: {said}", markup=False)


def metrics(found: Mapping[str, Any]) -> None:
    """Show metrics with their intervals beside the same figures of the controls."""
    controls: Mapping[str, Any] = found.get("controls", {})
    table = Table("metric", "model", "95 %", *(name.replace("_", " ") for name in controls), box=None, pad_edge=False)
    for key, value in found["metrics"].items():
        low, high = _number(value.get("low")), _number(value.get("high"))
        others = (_number((figures.get(key) or {}).get("value")) for figures in controls.values())
        table.add_row(key, _number(value.get("value")), f"{low} to {high}", *others)
    counts = ", ".join(f"{number} {what}" for what, number in found.get("counts", {}).items())
    out.print(f"package {str(found.get('package', ''))[:12]} on {counts}")
    out.print(table)


def comparison(found: Mapping[str, Any], page: Path) -> None:
    """Show the paired differences of two packages, who is better by each metric, and where the page lies."""
    from pipeline.reports.figures import paired_rows

    labels = {found["labels"][key]: key for key in found["sides"]}
    table = Table("metric", *found["sides"], "difference", "95 %", "better", box=None, pad_edge=False)
    for row in paired_rows(found):
        name = f"{row['metric'].name} {row['metric'].arrow}"
        better = labels.get(row["reading"].removesuffix(" is better"), "")  # nobody, unless beyond noise
        table.add_row(name, row["first"], row["second"], row["difference"], row["interval"], better)
    counts = found["counts"]
    out.print(f"on {' and '.join(f'{count} {what}' for what, count in counts.items())}, paired:")
    for label, key in labels.items():
        out.print(f"  {key}: {label}", markup=False)
    out.print(table)
    out.print(f"side by side: {shown(page)}", markup=False)


def judge(facts: Mapping[str, Any], folder: Path) -> None:
    """Show a judge's version, what it was trained on, and how it does on held-out images."""
    out.print(f"judge of {facts['style']}, version {facts['version'][:12]}")
    columns = ("collection", "trained on", "taken for paintings, held out", "in light alone")
    table = Table(*columns, box=None, pad_edge=False)
    for name, images in facts["trained_on"].items():
        rates = facts["held_out"][name]
        table.add_row(name, str(len(images)), *(f"{rates[f'judge/{kind}']:.0%}" for kind in ("colour", "luminance")))
    out.print(table)
    out.print(f"it lies in {shown(folder)}; new artworks leave it as it is")


def quality(workspace: Workspace, facts: Facts, params: Params, page: Path, browser: bool) -> None:
    """Show a collection's training-set score, what is in the way, what would raise it, and the page on it."""
    from pipeline.quality import score, summary

    out.print(summary.headline(facts, params), markup=False)
    obstacles = score.obstacles(facts, params)
    for obstacle in obstacles:
        out.print(obstacle, markup=False)
    for one in score.improvements(facts, params):
        out.print(f"  {summary.gained(one.gain):>4}  {one.text}", markup=False)
    opened = browser and open_page(page.resolve().as_uri())
    out.print(f"report{' (opened in the browser)' if opened else ''}: {shown(page)}", markup=False)
    if browser and not opened:
        out.print("no browser could be opened here: open that file in one, it needs nothing else")
    option = "--photos" if facts.is_photos else f"--style {facts.collection}"
    hint(workspace, f"ingest FOLDER {option}" if obstacles else "retrain")


def open_page(address: str) -> bool:
    """Open an address in a browser where there is a display, or one is named; return whether that was done.

    Elsewhere Python would find a browser for terminals, and that would take this one.
    """
    ways = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    possible = sys.platform == "darwin" or any(os.environ.get(name) for name in ways)
    return possible and webbrowser.open(address)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def measurement(found: Measurement, steps: int) -> None:
    """Show the time of a step and of the present schedule."""
    out.print(f"{found.seconds_per_step:.3f} s a step on {found.device}", markup=False)
    out.print(f"train.steps {steps}: about {duration(60 * found.minutes_for(steps))}")
    if found.largest_batch:
        out.print(f"largest train.batch that fits: {found.largest_batch}")


def written_steps(
    workspace: Workspace, recipes: Iterable[Recipe], found: Measurement, minutes: float, write: bool
) -> None:
    """Show the steps that fit, and write them when asked to.

    Raises:
        ValueError: so few fit that the other settings forbid it.
    """
    steps = found.steps_in(minutes)
    out.print(f"{minutes:g} minutes: train.steps {steps}")
    if not write:
        hint(workspace, f"calibrate --minutes {minutes:g} --write")
        return
    from pipeline.params import check_method, load_params, merge
    from pipeline.presets import apply_changes

    wanted = {"train": {"steps": steps}}
    recipes = tuple(recipes)
    for recipe in recipes:
        check_method(load_params(workspace.params_file, merge(wanted, recipe.overrides)), recipe.method)
    changes(workspace, apply_changes(workspace.params_file, wanted), dry_run=False)
    own = [recipe.name for recipe in recipes if "steps" in recipe.overrides.get("train", {})]
    if own:
        out.print(f"{', '.join(own)}: overrides train.steps in recipes.yaml, which this does not change")


def changes(workspace: Workspace, found: Sequence[Change], dry_run: bool) -> None:
    """Show which parameters changed, or would."""
    for name, old, new in found:
        out.print(f"{name}: {old} -> {new}", markup=False)
    if not found:
        out.print(f"{shown(workspace.params_file)} has these values already")
    elif dry_run:
        out.print("nothing was written (--dry-run)")
    else:
        out.print(f"written to {shown(workspace.params_file)}", markup=False)
        hint(workspace, "plan")


def checks(found: Iterable[Check]) -> int:
    """Show the doctor's lines as they come; return how many failed."""
    failed = 0
    for check in found:
        mark = f"[{_STATES[check.state]}]{check.state:4}[/]"
        out.print(f"{mark}  {check.name:10} ", Text(check.detail), sep="")
        if check.state != "ok" and check.remedy:
            out.print(" " * 18, Text(f"-> {check.remedy}"), sep="")
        failed += check.state == "fail"
    out.print("all well" if not failed else f"{failed} to put right")
    return failed
