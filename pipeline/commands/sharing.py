"""`atelier publish`, `reproduce`, `adopt` and `accept-code`: what is done between workspaces and machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import hint, out, run_module, shown

commands = typer.Typer()
PANEL = "Between machines"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier publish --dry-run")
def publish(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; push nothing.")] = False,
) -> None:
    """Push what is committed: data to DVC's remote, commits and version tags to git's. Never by force."""
    workspace = context.obj.workspace()
    raise typer.Exit(run_module(workspace, "flows", ["publish", *(["--dry-run"] if dry_run else [])]))


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier reproduce monet 1")
def reproduce(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="Which.")],
    keep: Annotated[bool, typer.Option("--keep", help="Leave the worktree under work/reproduce/.")] = False,
) -> None:
    """Train a version again from its tag, beside the workspace, and say whether the same comes out."""
    workspace = context.obj.workspace()
    from pipeline.sharing.reproduction import reproduce as train_again

    verdict = train_again(workspace, name, version, keep=keep)
    for line in verdict.lines():
        out.print(line, markup=False)
    if not verdict.reproduced:
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier adopt monet path/to/copied-workspace")
def adopt(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="Whose training it is.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The copied workspace, or its runs/RECIPE.")],
) -> None:
    """Take in a training that ran on a machine without DVC, if it is of this data, these parameters, this code."""
    workspace = context.obj.workspace()
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    from pipeline.sharing.adoption import adopt as take

    adopted = take(workspace, recipe, folder)
    where = f" on {adopted.device}" if adopted.device else ""
    told = f"{recipe}: {adopted.steps} steps, trained{where}, are in {shown(workspace.trained(recipe))} and in DVC"
    out.print(told, markup=False)
    hint(workspace, f"retrain {recipe}")


@commands.command(
    "accept-code", rich_help_panel=PANEL, epilog='Example: atelier accept-code monet --reason "Only comments."'
)
def accept_code(
    context: typer.Context,
    recipes: Annotated[list[str] | None, typer.Argument(metavar="[RECIPE]...", help="Which; all without.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="A sentence for the record.")] = "",
) -> None:
    """Declare an edit of code harmless: what it made stale counts as up to date, and the next version says so."""
    workspace = context.obj.workspace()
    from pipeline.sharing.acceptance import accept_code as accept

    accepted = accept(workspace, recipes or (), reason)
    for change in accepted.changes:
        out.print(f"accepted: {change}", markup=False)
    told = f"{', '.join(accepted.recipes)}: up to date again; nothing was run ({', '.join(accepted.stages)})"
    out.print(told, markup=False)
    if accepted.commit is not None:
        out.print(f"dvc.lock is committed: {accepted.commit[:12]}", markup=False)
    else:
        out.print(f"commit dvc.lock with {', '.join(accepted.open) or 'what else you changed'}", markup=False)
    hint(workspace, "plan")
