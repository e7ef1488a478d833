"""What `atelier serve` and `atelier studio` do."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import show
from pipeline.params import Serve, load_params
from pipeline.terminal import hint, out
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.serve.api import Extend
    from pipeline.serve.shelf import Shelf


def run(
    workspace: Workspace,
    packages: list[Path],
    *,
    host: str | None = None,
    port: int | None = None,
    token_file: Path | None = None,
    device: str = "cpu",
    studio: bool = False,
    browser: bool = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        workspace: whose champions and settings.
        packages: folders to serve in place of the champions.
        host: in place of `serve.host`.
        port: in place of `serve.port`.
        token_file: holds the token that requests must bring.
        device: cpu or cuda.
        studio: whether to serve the painter's pages too.
        browser: whether to open them.

    Raises:
        ValueError: no token where one is needed, an address that cannot be used, or a package that is none.
    """
    settings = _settings(workspace, host, port)
    from pipeline.serve.server import address_of, application, find_token, listen, run_until_stopped, server

    token = find_token(settings.host, token_file)
    listener = listen(settings.host, settings.port)
    with listener:
        from pipeline.serve.metrics import Figures

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
        for name in ("httpx", "mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        figures = Figures()
        shelf = _shelf(workspace, packages, device, figures.swapped)
        _share_cores(settings)
        app = application(shelf, settings, figures, token, _pages(workspace) if studio else None)
        _announce(workspace, shelf, address_of(listener), studio, browser and token is None)
        run_until_stopped(server(app, settings), listener)
    out.print(f"stopped after {figures.painted()} paintings")


def _settings(workspace: Workspace, host: str | None, port: int | None) -> Serve:
    settings = load_params(workspace.params_file).serve
    settings = settings if host is None else replace(settings, host=host)
    return settings if port is None else replace(settings, port=port)


def _shelf(workspace: Workspace, packages: list[Path], device: str, on_swap: Callable[[str], None]) -> Shelf:
    """Return the models, loaded.

    Raises:
        ValueError: a package that was named cannot be served.
    """
    from pipeline.serve.shelf import FromFolders, FromRegistry, Shelf

    out.print("loading models")
    shelf = Shelf(FromFolders(packages) if packages else FromRegistry(workspace), device, on_swap)
    shelf.look()
    if packages and len(shelf.models) < len(packages):
        raise ValueError("; ".join(shelf.problems) or "a package that was named is of a task that is not served")
    return shelf


def _pages(workspace: Workspace) -> Extend:
    from pipeline.studio.pages import pages

    return pages(workspace)


def _share_cores(settings: Serve) -> None:
    """Give each painting its share of the cores: more threads than cores only stand in each other's way."""
    import torch

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // settings.at_once))


def _announce(workspace: Workspace, shelf: Shelf, address: str, studio: bool, browser: bool) -> None:
    for problem in shelf.problems:
        out.print(f"warning: {problem}", markup=False)
    for one in shelf.models.values():
        out.print(f"  {one.key}: {one.label}, package {one.digest[:12]}", markup=False)
    if not shelf.models:
        out.print("there is no champion yet; the first one is served as soon as it is promoted")
        hint(workspace, "retrain")
    opened = studio and browser and show.open_page(f"{address}/")
    what = f"studio{' (opened in the browser)' if opened else ''}" if studio else "painting"
    out.print(f"{what}: {address}/{'' if studio else 'api/stylize'}", markup=False)
    out.print(f"how to ask: {address}/docs", markup=False)
    out.print("Ctrl-C ends it")
