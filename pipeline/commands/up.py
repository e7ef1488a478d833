"""`atelier up`, `down` and `upgrade`, and what `status` says of the servers."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from pipeline.terminal import hint, out, shown
from pipeline.workspace import Workspace

commands = typer.Typer()
PANEL = "Servers and schedule"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier up")
def up(
    context: typer.Context,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, mend what ends, and stop it all when stopped: for systemd.")
    ] = False,
) -> None:
    """Start the Prefect and MLflow servers and serve the schedule; run again, mend what is not up."""
    workspace = context.obj.workspace()
    from pipeline.up import run
    from pipeline.up.slots import DEPLOYMENTS

    if foreground:
        run.keep(workspace, _with_time)
        return
    done = run.up(workspace, _wait)
    for name in done.mended:
        out.print(f"{name} had ended, and was started again")
    for told in done.released:
        out.print(f"put right: {told}", markup=False)
    out.print("the schedule is up" if done.started else "the schedule is up already; nothing was changed")
    show_services(workspace)
    if done.started:
        out.print(f"deployments: {', '.join(DEPLOYMENTS)}")
    out.print(f"logs: {shown(workspace.var / 'logs')}/", markup=False)
    hint(workspace, "status", "down")


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier down")
def down(context: typer.Context) -> None:
    """Stop what `atelier up` started, and nothing else; a training goes on from its checkpoint next time."""
    workspace = context.obj.workspace()
    from pipeline.up import run

    stopped = run.down(workspace, _wait)
    out.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was up")


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier upgrade")
def upgrade(context: typer.Context) -> None:
    """Back up the servers' databases and bring them to the version of the installed packages."""
    workspace = context.obj.workspace()
    from pipeline.up.upgrade import upgrade as bring_up_to_date

    folder, old = bring_up_to_date(workspace)
    if folder is None:
        out.print("the databases are up to date; nothing was changed")
    else:
        for one in old:
            out.print(f"{one.name}: {one.revision} -> {one.head}", markup=False)
        out.print(f"as they were before: {shown(folder)}", markup=False)
    hint(workspace, "up")


def services_now(workspace: Workspace) -> dict[str, str]:
    """Return how each service that `up` started is, in words, by name."""
    from pipeline.up import run

    return dict(run.serving(workspace))


def show_services(workspace: Workspace) -> None:
    """Show what is up."""
    found = services_now(workspace)
    for name, told in found.items():
        out.print(f"{name}: {told}", markup=False)
    if not found:
        out.print("nothing is up (`atelier up` starts servers and schedule)")


def _wait(what: str) -> None:
    out.print(f"{what} ...", markup=False)


def _with_time(what: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {what}", file=sys.stderr, flush=True)
