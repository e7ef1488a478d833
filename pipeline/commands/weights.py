"""`atelier weights`: which published weights are at hand, and which of them results are to be of."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.terminal import hint, out

commands = typer.Typer()
PANEL = "This machine"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier weights --pin")
def weights(
    context: typer.Context,
    pin: Annotated[
        bool, typer.Option("--pin", help="Take the files that are here; what others were used for is stale then.")
    ] = False,
) -> None:
    """Tell which published weights (VGG16, Inception) are here, and whether params.yaml asks for these files."""
    workspace = context.obj.workspace()
    from pipeline import pinning, show

    found = pinning.look(workspace.params_file)
    for each in found:
        out.print(str(each), markup=False)
    if pin:
        show.changes(workspace, pinning.pin(workspace.params_file), dry_run=False)
    elif any(each.strange for each in found):
        hint(workspace, "weights --pin")
