"""Serve models to programs and to painters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.app import check_device
from pipeline.terminal import code_root
from pipeline.workspace import Workspace

commands = typer.Typer()
PANEL = "Serving"  # under which `atelier --help` lists them

Packages = Annotated[
    list[Path] | None, typer.Option("--package", help="A package folder, in place of the champions; may be repeated.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on, in place of serve.host.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port, in place of serve.port; 0: a free one.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the token that every request must bring.")
]


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier serve --port 8080")
def serve(
    context: typer.Context,
    packages: Packages = None,
    host: Host = None,
    port: Port = None,
    token_file: TokenFile = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Paint over HTTP with the champions; a version that is promoted takes over without a restart."""
    from pipeline.serve import command

    workspace = context.obj.workspace_if_any() or Workspace(code_root())
    check_device(device)
    command.run(workspace, packages or [], host=host, port=port, token_file=token_file, device=device)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier studio")
def studio(
    context: typer.Context,
    packages: Packages = None,
    host: Host = None,
    port: Port = None,
    token_file: TokenFile = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Open the painter's page: a photograph in, a style chosen by its picture, a painting out."""
    from pipeline.serve import command

    workspace = context.obj.workspace_if_any() or Workspace(code_root())
    check_device(device)
    command.run(
        workspace,
        packages or [],
        host=host,
        port=port,
        token_file=token_file,
        device=device,
        studio=True,
        browser=browser,
    )
