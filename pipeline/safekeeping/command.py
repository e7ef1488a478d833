"""What `atelier backup`, `restore` and `prune` do and show."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pipeline.params import load_params
from pipeline.process import exclusive
from pipeline.safekeeping import backup as saving
from pipeline.safekeeping import prune as pruning
from pipeline.safekeeping import restore as restoring
from pipeline.terminal import hint, out, shown
from pipeline.workspace import Workspace

_KINDS = {
    "version": "versions that nothing names",
    "package": "packages of no version",
    "run": "MLflow runs without a version",
    "checkpoint": "checkpoints",
    "log": "logs",
    "cache": "DVC's cache",
}
_SHOWN = 5  # of each kind, by name


def backup(workspace: Workspace, folder: Path | None, packages: bool) -> None:
    """Write a backup and say where it lies.

    Raises:
        ValueError: see `pipeline.safekeeping.backup.backup`.
    """
    made = saving.backup(workspace, folder or saving.default_folder(workspace), packages)
    out.print(f"{made.files} files, {readable(made.size)}, read again and whole: {shown(made.folder)}", markup=False)
    out.print("DVC's cache is not in it: `dvc push` keeps that. Best kept on another disk.", markup=False)
    hint(workspace, f"restore {shown(made.folder)}")


def restore(workspace: Workspace, folder: Path, force: bool) -> None:
    """Put a backup in place and say where the state before it lies.

    Raises:
        ValueError: see `pipeline.safekeeping.restore.restore`.
    """
    done = restoring.restore(workspace, folder, force)
    out.print(f"restored the state of {done.contents.made} from {shown(folder)}", markup=False)
    if done.moved:
        out.print(f"it was made in {done.contents.root}; MLflow's database now speaks of this place", markup=False)
    if done.before is not None:
        out.print(f"what was there before is kept: {shown(done.before)}", markup=False)
    if not done.contents.packages:
        out.print("packages were not in it; `atelier registry rebuild` fetches them from DVC", markup=False)
    hint(workspace, "doctor", "status")


def prune(workspace: Workspace, apply: bool) -> None:
    """Show what may go, with sizes; with `apply`, let it go.

    Raises:
        ValueError: a retrain runs, the registry's database is damaged, or something cannot go.
    """
    keep = load_params(workspace.params_file).prune
    with exclusive(workspace.var / "retrain.lock", f"a retrain of {workspace.root}"):
        found = pruning.plan(workspace, keep)
        _show(found)
        if not apply:
            if found.items:
                out.print("nothing was changed; `atelier prune --apply` lets it go", markup=False)
            return
        pruning.carry_out(workspace, found.items)
    out.print(f"{readable(found.size)} let go" if found.items else "nothing was changed", markup=False)


def _show(found: pruning.Plan) -> None:
    kinds: dict[str, list[pruning.Item]] = defaultdict(list)
    for item in found.items:
        kinds[item.kind].append(item)
    for kind, items in kinds.items():
        out.print(f"{_KINDS[kind]}: {len(items)}, {readable(sum(item.size for item in items))}", markup=False)
        for item in items[:_SHOWN]:
            out.print(f"  {item.what}: {readable(item.size)}", markup=False)
        if len(items) > _SHOWN:
            out.print(f"  and {len(items) - _SHOWN} more", markup=False)
    if not found.items:
        out.print("nothing is beyond its time (params.yaml, prune)", markup=False)
    for remark in found.remarks:
        out.print(remark, markup=False)


def readable(size: int) -> str:
    """Return a number of bytes for people: `3.2 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
