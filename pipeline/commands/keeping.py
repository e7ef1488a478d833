"""What may not be lost, and what may: backup, restore, prune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()
PANEL = "Safekeeping"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier backup /mnt/safe/studio")
def backup(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A new folder; backups/<time> without.")
    ] = None,
    packages: Annotated[
        bool, typer.Option("--packages/--no-packages", help="Copy the registered packages too.")
    ] = True,
) -> None:
    """Copy what may not be lost: registry, journal, schedules, packages, lock file and parameters."""
    workspace = context.obj.workspace()
    from pipeline.safekeeping import command

    command.backup(workspace, folder, packages)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier restore /mnt/safe/studio --force")
def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Take the place of what is there, which is kept beside it.")
    ] = False,
) -> None:
    """Put a backup in place, after reading all of it."""
    workspace = context.obj.workspace()
    from pipeline.safekeeping import command

    command.restore(workspace, folder, force)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier prune --apply")
def prune(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Let it go; without, only show it.")] = False,
) -> None:
    """Show, or let go, what nothing names any more and whose time is over (params.yaml, prune)."""
    workspace = context.obj.workspace()
    from pipeline.safekeeping import command

    command.prune(workspace, apply)
