"""What the server's tests serve: tiny packages, an application on a real socket, a stand-in that paints when told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageOps

from pipeline.params import Serve, load_params
from pipeline.serve.api import Extend
from pipeline.serve.metrics import Figures
from pipeline.serve.server import address_of, application, listen, server
from pipeline.serve.shelf import FromFolders, Shelf, Wanted
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.pictures import ROOT, encoded, texture

PHOTO = encoded(texture(1, 60, 40))


def settings(**changes: Any) -> Serve:
    """Return the settings of params.yaml, made small and quick."""
    small = {"port": 0, "poll_seconds": 0.05, "max_bytes": 2_000_000, "max_pixels": 4_000_000}
    return replace(load_params(ROOT / "params.yaml").serve, **(small | {"decoder_memory_mb": 256} | changes))


def package(folder: Path, name: str = "ink", seed: int = 0) -> Path:
    """Write a tiny package and return its folder."""
    workspace = empty_workspace(folder)
    write_package(workspace, name, seed)
    return workspace.package(name)


def shelf_of(*folders: Path) -> Shelf:
    """Return the models of package folders, loaded."""
    shelf = Shelf(FromFolders(folders))
    shelf.look()
    assert not shelf.problems
    return shelf


class Easel:
    """Stands for a model: its painting is the negative, and it paints when `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.config: dict[str, Any] = {"style": "ink", "method": "none"}
        self.digest = "e" * 64

    def __call__(self, image: Image.Image, **_options: Any) -> Image.Image:
        self.begun.release()
        assert self.go.wait(60)
        return ImageOps.invert(image)


def shelf_with(easel: Easel) -> Shelf:
    """Return a shelf whose one model is the stand-in."""

    class Standing(Shelf):
        def _load(self, wanted: Wanted) -> Any:
            from pipeline.serve.shelf import Model

            return Model("ink", "champion", None, easel.digest, easel.config, easel, b"", 0.0)  # type: ignore[arg-type]

    shelf = Standing(lambda: [Wanted("ink", "champion", None, lambda: (Path(), None))])
    shelf.look()
    return shelf


@contextmanager
def served(
    shelf: Shelf,
    wanted: Serve | None = None,
    token: str | None = None,
    extend: Extend | None = None,
    figures: Figures | None = None,
    on_close: Callable[[], None] = lambda: None,
) -> Iterator[httpx.Client]:
    """Serve an application on loopback in a thread; yield a client of it. When done, nothing may have been left."""
    wanted = wanted or settings()
    listener = listen(wanted.host, 0)
    running = server(application(shelf, wanted, figures or Figures(), token, extend, on_close), wanted)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=address_of(listener), timeout=60) as client:
            yield client
    finally:
        running.should_exit = True
        thread.join(60)
        listener.close()
        assert not thread.is_alive()


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return an answer's status and the code of its refusal, which must have a sentence beside it."""
    said = answer.json()
    assert set(said) == {"code", "detail"}
    assert said["detail"].endswith((".", "!"))
    assert said["detail"][0].isupper() or said["code"] == "parameter"
    return answer.status_code, said["code"]
