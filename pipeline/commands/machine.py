"""This machine and its settings: doctor, calibrate, preset."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipeline import show
from pipeline.terminal import code_root, hint, out
from pipeline.workspace import Workspace

commands = typer.Typer()
PANEL = "This machine"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier doctor")
def doctor(context: typer.Context) -> None:
    """Check versions, device, servers, weights and disk, and say what to do about each."""
    from pipeline.doctor import diagnose

    workspace = context.obj.workspace_if_any() or Workspace(code_root())
    if show.checks(diagnose(workspace)):
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier calibrate --minutes 30 --write")
def calibrate(
    context: typer.Context,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="Training time to fit.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the steps that fit into params.yaml.")] = False,
) -> None:
    """Measure a training step on this machine and say how many fit into a time."""
    from pipeline.calibrate import measure
    from pipeline.params import load_params
    from pipeline.recipes import load_book

    workspace = context.obj.workspace()
    if write and minutes is None:
        raise ValueError("--write needs --minutes: how long training may take")
    params = load_params(workspace.params_file)
    recipes = load_book(workspace).recipes.values()
    method = next((recipe.method for recipe in recipes), "cut")
    out.print(f"measuring steps of {method} with params.yaml's settings (about half a minute)")
    found = measure(params, method)
    show.measurement(found, params.train.steps)
    if minutes is None:
        hint(workspace, "calibrate --minutes M [--write]")
    else:
        show.written_steps(workspace, recipes, found, minutes, write)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier preset gpu")
def preset(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Which; the list without.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and change nothing.")] = False,
) -> None:
    """Lay a preset (demo, gpu, smoke) over params.yaml; comments stay."""
    from pipeline import presets
    from pipeline.params import load_params, merge, read_tree

    workspace = context.obj.workspace()
    folder = workspace.root / "presets"
    if name is None:
        out.print(f"presets: {', '.join(presets.preset_names(folder))}")
        return
    overlay = presets.read_preset(folder, name)
    before: dict[str, Any] = read_tree(workspace.params_file)
    if dry_run:
        found = presets.differences(before, merge(before, overlay))
    else:
        found = presets.apply_changes(workspace.params_file, overlay)
        load_params(workspace.params_file)
    show.changes(workspace, found, dry_run)
