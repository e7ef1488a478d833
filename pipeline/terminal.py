"""What every command of `atelier` shares: the workspace and its code, child processes, errors in one sentence."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipeline.workspace import Workspace, find_workspace

out = Console(highlight=False, soft_wrap=True)  # soft: a path that is broken over two lines cannot be pasted
errors = Console(highlight=False, soft_wrap=True, stderr=True)

# Nothing that the project starts phones home.
QUIET = {
    "DO_NOT_TRACK": "true",  # the word: some tools do not take 1
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
_GIT_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def code_root() -> Path:
    """Return the folder that holds the `pipeline` package now running."""
    return Path(__file__).resolve().parent.parent


def choose_workspace(directory: Path | None) -> Workspace:
    """Return the workspace of `-C directory`, or of the nearest folder at or above the current one.

    Raises:
        ValueError: there is no workspace there, or it is one without code.
    """
    if directory is not None and not directory.is_dir():
        raise ValueError(f"-C {directory}: no such folder")
    workspace = find_workspace(directory or Path.cwd())
    if not (workspace.root / "pipeline" / "cli.py").is_file():
        raise ValueError(
            f"{workspace.root} has a dvc.yaml but not this project's code (no pipeline/cli.py); a workspace is "
            f"a clone of the repository"
        )
    return workspace


def runs_code_of(workspace: Workspace) -> bool:
    """Whether the code now running is the workspace's own."""
    return (workspace.root / "pipeline").resolve() == code_root() / "pipeline"


def enter(workspace: Workspace, arguments: Sequence[str]) -> None:
    """Go on with the workspace's own code: return if it is what runs, else start `atelier arguments` anew with it.

    The current folder stays, so relative paths in `arguments` keep their meaning.
    """
    if runs_code_of(workspace):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", "pipeline.cli", *arguments]
    os.execve(sys.executable, command, child_environment(workspace))


def child_environment(workspace: Workspace) -> dict[str, str]:
    """Return the environment of a child that runs the workspace's code with this Python and its tools."""
    # Not sys.executable's real path: in a virtual environment the tools lie beside the link.
    tools = str(Path(sys.executable).parent)
    paths = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != tools]
    # In a git hook these name the repository that called, whatever the folder.
    inherited = {key: value for key, value in os.environ.items() if key not in _GIT_PLACES}
    return {
        **inherited,
        **QUIET,
        "PYTHONPATH": str(workspace.root),
        "PATH": os.pathsep.join([tools, *paths]),
    }


def run_module(workspace: Workspace, module: str, arguments: Sequence[str] = ()) -> int:
    """Run `python -m module arguments` in the workspace, on this terminal; return its exit status."""
    return run_here(workspace, [sys.executable, "-P", "-m", module, *arguments])


def run_here(workspace: Workspace, command: Sequence[str]) -> int:
    """Run a command in the workspace, on this terminal; return its exit status."""
    child = subprocess.Popen(command, cwd=workspace.root, env=child_environment(workspace))
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # Ctrl-C reached the child too: it ends in its own way, and we report that


def capture(workspace: Workspace, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a tool in the workspace and return its output; its exit status is the caller's to judge."""
    return subprocess.run(
        command, cwd=workspace.root, env=child_environment(workspace), capture_output=True, text=True, check=False
    )


def hint(workspace: Workspace | None, *commands: str) -> None:
    """Show what to type next, as it works from the current folder.

    Nothing is shown when a program that knows what comes next has set ATELIER_HINTS=off.

    Args:
        workspace: where the commands are to work; None for those that need none.
        commands: without the leading `atelier`.
    """
    if os.environ.get("ATELIER_HINTS") == "off":
        return
    name = "atelier"
    if workspace is not None and not Path.cwd().is_relative_to(workspace.root):
        name += f" -C {shlex.quote(shown(workspace.root))}"
    out.print(f"next: {', '.join(f'{name} {command}' for command in commands)}", markup=False)


def shown(path: Path) -> str:
    """Return a path as short as it can be pasted from the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
