"""What `atelier remove` asks, does and shows."""

from __future__ import annotations

import getpass
import shlex
import sys
from collections import Counter
from collections.abc import Sequence

import typer
from rich.table import Table
from rich.text import Text

from pipeline.intake.drops import printable
from pipeline.observers.facts import read_facts
from pipeline.params import load_params
from pipeline.removal.advice import Advice, advise
from pipeline.removal.matches import Match, find, near_duplicates, some
from pipeline.removal.remove import by_collection, remove
from pipeline.removal.undo import undo
from pipeline.terminal import hint, out, run_module, shown
from pipeline.workspace import PHOTOS, Workspace

_LIE = ("lie there only as copies", "lies there only as a copy")
_ROWS = 30  # of a table: more scroll its beginning out of sight


def run(
    workspace: Workspace, what: Sequence[str], collection: str | None, reason: str, *, yes: bool, dry_run: bool
) -> int:
    """Remove images, after showing them and asking, and name the versions that were trained on them.

    Returns:
        The exit status: of the rollbacks that were wanted, or 0.

    Raises:
        ValueError: nothing answers to `what`, no reason, nobody to ask, or a refusal: see `remove`.
    """
    if not reason.strip() and not dry_run:
        raise ValueError('say why with --reason "...": it stands in the record of removals')
    params = load_params(workspace.params_file)
    matches = _found(workspace, what, collection)
    present = [match for match in matches if match.entry]
    _show(matches, near_duplicates(workspace, matches))
    if dry_run:
        _tell_versions(workspace, matches)
        _tell_judges(workspace, matches)
        out.print("nothing was changed (--dry-run)")
        return 0
    if present:
        copies = sum(bool(match.met_as) for match in present)
        only = f" ({copies} of which {_LIE[copies == 1]} of another source's)" if copies else ""
        _confirm(f"Remove {_images(len(present))}{only}?", yes)
    else:
        out.print("they were removed before; what may be left of them is cleared away")
    done = remove(workspace, matches, reason, params, by=_person())
    for name, totals in done.totals.items():
        out.print(
            f"{name}: {_images(totals['total'])} left, {totals['train']} to train on, {totals['test']} held out"
        )
    for warning in done.warnings:
        _warn(warning)
    out.print(
        "Ingest refuses these files from now on. DVC's cache keeps their bytes for the versions that were made from "
        "them; docs/operations.md, 'Taking an image out', says how to delete them there too.",
        markup=False,
    )
    ask = not yes and sys.stdin.isatty()
    failed = [
        status
        for advice in _tell_versions(workspace, matches)
        if (status := _offer_way_back(workspace, advice, reason, ask=ask))
    ]
    _tell_judges(workspace, matches)
    hint(workspace, "plan", "retrain")
    return failed[0] if failed else 0


def run_undo(workspace: Workspace, what: Sequence[str], collection: str | None, *, yes: bool, dry_run: bool) -> None:
    """Let removed images come back, after showing them and asking.

    Raises:
        ValueError: nothing that was removed answers to `what`, nobody to ask, or a refusal: see `undo`.
    """
    matches = [match for match in _found(workspace, what, collection) if match.stone]
    if not matches:
        raise ValueError(f"no image that answers to {' '.join(what)!r} was removed, so there is nothing to undo")
    _show(matches, [])
    if dry_run:
        out.print("nothing was changed (--dry-run)")
        return
    _confirm(f"Let {_images(len(matches))} come back?", yes)
    lost = False
    for done in undo(workspace, matches, say=_warn):
        where = shown(done.waiting) if done.waiting else "no copy is left here; ingest the folder that holds it"
        out.print(Text(f"{done.match.sha256[:12]}  {done.match.shown}: {printable(where)}"))
        lost |= done.waiting is None
    hint(workspace, *(["ingest FOLDER"] if lost else []), "retrain")


def _found(workspace: Workspace, what: Sequence[str], collection: str | None) -> list[Match]:
    found: dict[tuple[str, str], Match] = {}
    for match in (match for each in what for match in find(workspace, each, collection)):
        key = match.collection, match.sha256
        if key not in found or not match.met_as:  # named in its own place too: no more than that need be said
            found[key] = match
    return list(found.values())


def _warn(sentence: str) -> None:
    out.print("[yellow]warning:[/] ", Text(sentence), sep="")


def _show(matches: Sequence[Match], staying: Sequence[Match]) -> None:
    """Show what was found, and what looks like it and was not meant."""
    mates = Counter((other.collection, other.entry.group) for other in staying if other.entry)
    table = Table("collection", "hash", "image", "px", "kB", "split", "remark", box=None, pad_edge=False)
    for match in matches[:_ROWS]:
        table.add_row(match.collection, match.sha256[:12], Text(match.shown), *_described(match, mates))
    out.print(table)
    if len(matches) > _ROWS:
        out.print(f"and {len(matches) - _ROWS} more")
    if staying:
        others = some([f"{other.sha256[:12]} ({other.shown})" for other in staying])
        out.print(Text(f"near duplicates that would stay: {others}"))


def _described(match: Match, mates: Counter[tuple[str, str]]) -> tuple[Text, ...]:
    entry, stone = match.entry, match.stone
    if entry is None:
        removed = [f"{stone.when[:10]}: {printable(stone.reason)}"] if stone else []
        return (Text("-"), Text("-"), Text("removed"), Text("; ".join([*_copy(match), *removed])))
    stay = mates[match.collection, entry.group]
    staying = [f"{stay} near duplicate{'' if stay == 1 else 's'} would stay"] if stay else []
    remark = "; ".join([*_copy(match), *staying])
    return (Text(f"{entry.width}x{entry.height}"), Text(f"{entry.bytes / 1000:.0f}"), Text(entry.split), Text(remark))


def _copy(match: Match) -> list[str]:
    """Say of an image that lies in the place that was meant only as a copy whose it is."""
    places = some([printable(f"{source}/{name}") for name, source in match.met_as])
    return [f"also in {places}; its own source is {printable(match.source)}"] if match.met_as else []


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ValueError("nothing was changed: there is no terminal to ask on; look at the list and say --yes")
    if not typer.confirm(question, default=False):
        raise ValueError("nothing was changed")


def _tell_versions(workspace: Workspace, matches: Sequence[Match]) -> list[Advice]:
    """Show which registered versions were trained on the images, and return what can be done."""
    from pipeline.registry import trained_on  # here: it brings MLflow, which the question need not wait for

    found = advise(trained_on(workspace, by_collection(matches)))
    affected = [version for advice in found for version in advice.affected]
    if not affected:
        out.print("no registered version is known to be trained on these images")
    else:
        table = Table("trained on them", "version", "aliases", "images", box=None, pad_edge=False)
        for version in affected:
            images = some([sha256[:12] for sha256 in version.images])
            table.add_row(version.name, str(version.version), ", ".join(version.aliases) or "-", images)
        out.print(table)
    for advice in found:
        if advice.unknown:
            numbers = some([_numbered(version.version, version.aliases) for version in advice.unknown])
            out.print(f"{advice.name}: not recorded what these versions were trained on: {numbers}", markup=False)
    return found


def _tell_judges(workspace: Workspace, matches: Sequence[Match]) -> None:
    """Name the judges that were trained on the images: a frozen one stays as it is until somebody renews it."""
    gone = by_collection(matches)
    for style in (name for name in workspace.collections() if name != PHOTOS):
        facts = read_facts(workspace.judge(style)) or {"trained_on": {}}
        count = sum(len(gone.get(name, set()) & set(images)) for name, images in facts["trained_on"].items())
        if count:
            out.print(f"the judge of {style} was trained on {_images(count)} of these", markup=False)
            hint(workspace, f"judge {style} --renew")


def _offer_way_back(workspace: Workspace, advice: Advice, reason: str, *, ask: bool) -> int:
    """Say, where a champion was trained on removed images, what to go back to; do it if that is wanted."""
    if not advice.champion:
        return 0
    if advice.back_to is None:
        out.print(f"{advice.name}: its champion was trained on them, and every other version was or may have been")
        return 0
    why = f"trained on images that were removed: {reason.strip()}"
    chosen = ["--rollback"] if advice.by_rollback else [str(advice.back_to)]
    command = f"rollback {advice.name}" if advice.by_rollback else f"promote {advice.name} {advice.back_to}"
    out.print(f"{advice.name}: its champion was trained on them; version {advice.back_to} was not", markup=False)
    hint(workspace, f"{command} --reason {shlex.quote(printable(why))}")
    if not ask or not typer.confirm(f"Make version {advice.back_to} the champion now?", default=False):
        return 0
    return run_module(workspace, "flows", ["promote", advice.name, *chosen, "--reason", why])


def _numbered(version: int, aliases: Sequence[str]) -> str:
    return f"{version} ({', '.join(aliases)})" if aliases else str(version)


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return ""
