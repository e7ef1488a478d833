"""What the server's tests serve: tiny packages, an application on a real socket, a stand-in that paints when told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageOps

from pipeline.files import read_json, write_json
from pipeline.params import Serve, load_params
from pipeline.serve.api import Extend
from pipeline.serve.metrics import Figures
from pipeline.serve.server import address_of, application, listen, server
from pipeline.serve.shelf import FromFolders, Shelf, Wanted
from pipeline.workspace import Workspace
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


def other_package(folder: Path, name: str, network: dict[str, Any], gain: float = 1.0, **config: Any) -> Path:
    """Write a tiny package of another network than `package` writes, with references of its `styles`, if any."""
    import torch
    from safetensors.torch import save_file

    from pipeline.inference import build_network, references_file, write_references
    from pipeline.package import write_manifest

    at = package(folder, name)
    torch.manual_seed(3)
    weights = build_network(network).state_dict()  # drawn so small that some networks would paint one colour
    larger = {name: one * gain if name.endswith("weight") else one for name, one in weights.items()}
    save_file(larger, at / "generator.safetensors")
    for number, style in enumerate(config.get("styles", ())):
        pictures = [texture(10 * number + one, 32, 32) for one in range(2)]
        (at / references_file(style)).write_bytes(write_references(pictures))
    write_json(at / "config.json", {**read_json(at / "config.json"), "network": network, **config})
    write_manifest(at, {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64})
    return at


def referring(folder: Path, name: str = "any-hand") -> Path:
    """Write a tiny package that paints after references, and knows the styles dots and lines."""
    network = {"name": "adain", "arguments": {"widths": [4, 8], "encoder": [2, 1], "decoder": [2, 3]}}
    known = {"method": "adain", "reference": True, "styles": ["dots", "lines"], "style": "dots"}
    return other_package(folder, name, network, gain=2.5, multiple=2, **known)


def generating(folder: Path, name: str = "studies", gain: float = 1.0) -> Path:
    """Write a tiny package that makes images out of noise and two codes, k1 and c1."""
    arguments = {"categories": [3], "channels": 4, "continuous": 1, "noise": 4, "side": 16}
    network = {"name": "infogan", "arguments": arguments}
    return other_package(folder, name, network, gain, method="infogan", task="generate")


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


@contextmanager
def serving(
    place: Workspace, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run `atelier` with arguments that serve, on a free port; yield process, address and words once it serves."""
    command = [sys.executable, "-m", "pipeline.cli", "-C", str(place.root), *arguments, "--port", "0"]
    inherited = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
    process = subprocess.Popen(
        command, cwd=place.root.parent, env=inherited, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        said = ""
        while "Ctrl-C ends it" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        [address] = re.findall(r"(?:painting|studio): (http://[^/]+)/", said)
        yield process, address, said
    finally:
        process.kill()
        process.wait()


def until_ready(address: str) -> None:
    """Wait until a server can paint."""
    end = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{address}/ready", timeout=60).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.1)


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return an answer's status and the code of its refusal, which must have a sentence beside it."""
    said = answer.json()
    assert set(said) == {"code", "detail"}
    assert said["detail"].endswith((".", "!"))
    assert said["detail"][0].isupper() or said["code"] == "parameter"
    return answer.status_code, said["code"]
