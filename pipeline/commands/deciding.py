"""The registry: promote, hold, go back, tell its story, mend it."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.app import AsJson, Reason
from pipeline.terminal import run_module

commands = typer.Typer()
PANEL = "Registry"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog='Example: atelier promote monet 3 --reason "The sky is calmer."')
def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int | None, typer.Argument(help="Which; the challenger without.")] = None,
    reason: Reason = "",
) -> None:
    """Make a version the champion, by a person's decision: later versions must not fall below it."""
    workspace = context.obj.workspace()
    arguments = [name, *([] if version is None else [str(version)]), "--reason", _said(reason)]
    raise typer.Exit(run_module(workspace, "flows", ["promote", *arguments]))


@commands.command(
    rich_help_panel=PANEL, epilog='Example: atelier hold monet --reason "The curator looks at it first."'
)
def hold(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int | None, typer.Argument(help="Which; the challenger without.")] = None,
    reason: Reason = "",
) -> None:
    """Keep a version from being promoted, whatever the gate says, until a person promotes it."""
    arguments = [name, *([] if version is None else [str(version)]), "--hold", "--reason", _said(reason)]
    raise typer.Exit(run_module(context.obj.workspace(), "flows", ["promote", *arguments]))


@commands.command(rich_help_panel=PANEL, epilog='Example: atelier rollback monet --reason "Faces are smeared."')
def rollback(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The model.")], reason: Reason = ""
) -> None:
    """Make the champion before this one the champion again."""
    arguments = [name, "--rollback", "--reason", _said(reason)]
    raise typer.Exit(run_module(context.obj.workspace(), "flows", ["promote", *arguments]))


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier history monet")
def history(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The model.")], as_json: AsJson = False
) -> None:
    """Tell a model's story: trainings, verdicts, promotions, holds and rollbacks, by whom and why."""
    workspace = context.obj.workspace()
    from pipeline.registry import command

    command.history(workspace, name, as_json)


registry_app = typer.Typer(
    help="The registry itself: make it complete again, delete a version.", no_args_is_help=True
)
commands.add_typer(registry_app, name="registry", rich_help_panel=PANEL)


@registry_app.command("rebuild", epilog="Example: atelier registry rebuild")
def rebuild_registry(context: typer.Context) -> None:
    """Make a lost or damaged registry anew from the journal, the packages, git tags and DVC's cache."""
    workspace = context.obj.workspace()
    from pipeline.registry import command

    command.rebuild(workspace)


@registry_app.command("delete", epilog='Example: atelier registry delete monet 3 --reason "It holds a stolen face."')
def delete_version(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="Which; never one that an alias names.")],
    reason: Reason = "",
) -> None:
    """Delete a version and its files; its story stays."""
    workspace = context.obj.workspace()
    said = _said(reason)
    from pipeline.registry import command

    command.delete(workspace, name, version, said)


def _said(reason: str) -> str:
    if not reason.strip():
        raise ValueError('say why with --reason "...": it stands in the record of promotions')
    return reason
