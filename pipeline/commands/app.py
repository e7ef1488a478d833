"""What all commands share: the application, the command line as it was typed, common options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import choose_workspace, enter
from pipeline.workspace import Workspace

app = typer.Typer(
    name="atelier",
    help="Folders of artworks in, style-transfer models out.",
    epilog="Start with: atelier ingest ~/pictures/monet --style monet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True)
class Invocation:
    """The command line as it was typed, and the `-C` in it."""

    arguments: tuple[str, ...]
    directory: Path | None = None

    def workspace(self) -> Workspace:
        """Return the workspace, running its own code: if this is another's, the command starts anew there."""
        workspace = choose_workspace(self.directory)
        enter(workspace, self.arguments)
        return workspace

    def workspace_if_any(self) -> Workspace | None:
        """Return the workspace, or None where there is none and none was named."""
        try:
            return self.workspace()
        except ValueError:
            if self.directory is not None:
                raise
            return None


Reason = Annotated[str, typer.Option("--reason", help="A sentence for the record.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def check_device(device: str) -> None:
    """Refuse a device that is not there, before anything is loaded.

    Raises:
        ValueError: it is unknown, or absent.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"--device {device}: choose cpu or cuda")
    if device == "cuda":
        from torch.cuda import is_available

        if not is_available():
            raise ValueError("--device cuda: no CUDA device is visible; leave the option out to paint on the CPU")


@app.callback()
def options(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Option("-C", metavar="DIR", help="The workspace; without, the nearest folder above with a dvc.yaml."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Folders of artworks in, style-transfer models out."""
    if debug:
        os.environ["ATELIER_DEBUG"] = "1"  # children and the stages read it too
    context.obj = Invocation(context.obj.arguments, directory)
