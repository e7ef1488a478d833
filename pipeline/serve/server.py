"""The server process: where it listens, who may ask, and an end that finishes what it began."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from pipeline.params import Serve
from pipeline.serve.api import Extend, build
from pipeline.serve.metrics import Figures
from pipeline.serve.service import Service
from pipeline.serve.shelf import Shelf, Watch

TOKEN = "ATELIER_TOKEN"
_LEAST_TOKEN = 16  # letters


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_token(host: str, file: Path | None) -> str | None:
    """Return the token that requests must bring: from a file, or from the environment; None where none is needed.

    Raises:
        ValueError: the address is reached from elsewhere and there is no token, or it is too short or unreadable.
    """
    if file is not None:
        try:
            token = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"--token-file {file} cannot be read: {error}") from error
    else:
        token = os.environ.get(TOKEN, "").strip()
    if not token and file is None:
        if is_loopback(host):
            return None
        raise ValueError(
            f"serve.host {host} can be reached from other machines, which demands a token: put at least "
            f"{_LEAST_TOKEN} letters into the environment variable {TOKEN} or a file named by --token-file, or serve "
            f"on 127.0.0.1"
        )
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise ValueError(
            f"the token has fewer than {_LEAST_TOKEN} letters, or others than ASCII; choose a longer one"
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        ValueError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)  # now, so that who comes before the server waits instead of failing
    except (OSError, OverflowError) as error:
        listener.close()
        raise ValueError(
            f"{host}:{port} cannot be listened on ({error}); choose another with --host and --port"
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return where a listening socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def application(
    shelf: Shelf,
    settings: Serve,
    figures: Figures,
    token: str | None = None,
    extend: Extend | None = None,
    on_close: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Return the application, which begins to watch for new versions when it starts and ends all when it is closed.

    Args:
        shelf: the models.
        settings: limits.
        figures: where to count.
        token: what requests must bring.
        extend: adds further routes.
        on_close: called last.

    Raises:
        ValueError: no worker process starts here.
    """
    service = Service(shelf, settings, figures)
    figures.watch(shelf)
    watch = Watch(shelf, settings.poll_seconds)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        watch.start()
        try:
            yield
        finally:
            watch.stop()
            service.close()
            on_close()

    app = build(service, token, extend)
    app.router.lifespan_context = lifespan
    return app


def server(app: FastAPI, settings: Serve) -> uvicorn.Server:
    """Return a server of an application, to be run with `run_until_stopped`."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(settings.upload_seconds + 2 * settings.paint_seconds) + 1,
    )
    return uvicorn.Server(config)


def run_until_stopped(running: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM: then nothing new is taken, and what was begun is finished."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn sends itself the signal again when it is done
    try:
        running.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # it is how serving ends
    finally:
        signal.signal(signal.SIGTERM, before)
