"""The page's server, for one browser on this machine: loopback, its own host name, a token on every change."""

from __future__ import annotations

import hmac
import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from pipeline.pages import template
from pipeline.vote.booth import LONGEST_NAME, Booth, VoteError

HOST = "127.0.0.1"
_HOSTS = ("127.0.0.1", "localhost")
_LARGEST_BODY = 4096  # bytes
_TEMPLATE = Path(__file__).parent / "templates" / "vote.html"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_Next = Callable[[Request], Awaitable[Response]]


def build(booth: Booth) -> FastAPI:
    """Return the application: the page, the pictures by their random ids, and what the page asks for."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    token = secrets.token_urlsafe(32)

    @app.middleware("http")
    async def guard(request: Request, call_next: _Next) -> Response:
        problem = _foreign(request) or (_forged(request, token) if request.method not in ("GET", "HEAD") else None)
        response = problem or await call_next(request)
        response.headers.update(_ALWAYS)
        return response

    @app.exception_handler(VoteError)
    async def refused(_request: Request, error: VoteError) -> Response:
        return PlainTextResponse(str(error), error.status)

    @app.exception_handler(OSError)
    async def not_kept(_request: Request, error: OSError) -> Response:
        return PlainTextResponse(f"The vote could not be kept: {error.strerror or error}. Try again.", 507)

    @app.exception_handler(AnyHTTPException)
    async def nothing(_request: Request, error: HTTPException) -> Response:
        words = {404: "There is no such page.", 405: "This page cannot be asked that way."}
        return PlainTextResponse(words.get(error.status_code, str(error.detail)), error.status_code)

    @app.get("/")
    async def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        text = template(_TEMPLATE).render(nonce=nonce, token=token, count=len(booth.shown), longest_name=LONGEST_NAME)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(text, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})

    @app.get("/pictures/{name}")
    async def picture(name: str) -> Response:
        path = booth.picture(name)
        try:  # and not as a FileResponse: it would tell when the file was made, which differs from side to side
            jpeg = path.read_bytes()
        except OSError as error:
            raise VoteError(404, "A picture was deleted meanwhile; stop the vote and begin it again.") from error
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @app.get("/visits/{visit}")
    async def look(visit: str) -> Response:
        return _state(booth, visit)

    @app.post("/visits")
    async def begin(request: Request) -> Response:
        return _state(booth, booth.begin(**await _fields(request, "voter")))

    @app.post("/visits/{visit}/votes")
    async def judge(visit: str, request: Request) -> Response:
        booth.judge(visit, **await _fields(request, "ballot", "choice"))
        return _state(booth, visit)

    @app.post("/visits/{visit}/undo")
    async def undo(visit: str, request: Request) -> Response:
        await _fields(request)
        booth.undo(visit)
        return _state(booth, visit)

    return app


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback; port 0 takes a free one.

    Raises:
        ValueError: the port is taken or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)  # now, so that a browser that comes before the server waits instead of failing
    except (OSError, OverflowError) as error:
        listener.close()
        raise ValueError(f"--port {port} cannot be used ({error}); leave it out to take a free one") from error
    return listener


def server(booth: Booth) -> uvicorn.Server:
    """Return a server of a booth, to be run with `run(sockets=[listen(port)])`."""
    config = uvicorn.Config(
        build(booth),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def _state(booth: Booth, visit: str) -> Response:
    return JSONResponse(booth.state(visit), headers={"Cache-Control": "no-store"})


def _foreign(request: Request) -> Response | None:
    """Refuse a name that is not this machine's: another site may have had it point here."""
    hosts = request.headers.getlist("host")
    if len(hosts) == 1 and _name_of(hosts[0]) in _HOSTS:
        return None
    return PlainTextResponse("This page is served to this machine alone: open it at http://127.0.0.1.", 421)


def _name_of(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname if parts.netloc == host and not parts.username and parts.port != 0 else None
    except ValueError:
        return None


def _forged(request: Request, token: str) -> Response | None:
    """Refuse a change that another site may have made this browser ask for."""
    origin, given = request.headers.get("origin"), request.headers.get("x-atelier-token", "")
    same = origin is None or origin == f"http://{request.headers['host']}"
    if same and hmac.compare_digest(given.encode(), token.encode()):
        return None
    return PlainTextResponse("This did not come from the voting page; reload the page and vote there.", 403)


async def _fields(request: Request, *names: str) -> dict[str, str]:
    """Return the texts of a small JSON object.

    Raises:
        VoteError: it is too large, no JSON, or has other fields.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise VoteError(413, f"That is too much: a vote has at most {_LARGEST_BODY} bytes.")
    try:
        record: Any = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise VoteError(400, "That is not JSON.") from None
    if not isinstance(record, dict) or set(record) != set(names):
        raise VoteError(422, f"The fields of this request are {' and '.join(names) or 'none'}.")
    if not all(isinstance(value, str) for value in record.values()):
        raise VoteError(422, "Every field is a text.")
    return record
