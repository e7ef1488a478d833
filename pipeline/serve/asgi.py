"""What stands before every route: who may ask, an answer that arrives although an upload was not read, figures."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serve.metrics import Figures
from pipeline.serve.problems import Problem

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN = ("/health", "/ready")  # for whoever watches over the process: they tell nothing
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DRAINED = 256_000_000  # bytes of an upload that nobody wants, and seconds, before the connection is cut
_DRAIN_SECONDS = 10.0


def answer(problem: Problem) -> JSONResponse:
    """Return a problem as what goes over the wire."""
    return JSONResponse({"code": problem.code, "detail": problem.sentence}, problem.status, problem.headers)


class Guard:
    """Refuses foreign hosts, foreign pages and strangers; adds headers every answer has."""

    def __init__(self, app: ASGIApp, token: str | None, figures: Figures) -> None:
        """Wrap an application; without a token it is for this machine alone."""
        self._app, self._token, self._figures = app, token, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            problem = self._problem(scope)
            if problem is None:
                await self._app(scope, receive, sent)
            else:
                await answer(problem)(scope, receive, sent)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._figures.requests.labels(path, _known(scope["method"]), str(status)).inc()
            self._figures.seconds.labels(path).observe(time.monotonic() - begun)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if self._token is None:
            hosts = headers.getlist("host")
            if len(hosts) != 1 or _name_of(hosts[0]) not in LOOPBACK:  # another site may have its name point here
                return Problem(421, "foreign_host", "This is served to this machine alone: open http://127.0.0.1.")
        elif scope["path"] not in OPEN and not _holds(headers, self._token):
            problem = Problem(401, "no_token", "Send the token: `Authorization: Bearer TOKEN`, or as a password.")
            problem.headers["WWW-Authenticate"] = 'Basic realm="Style Atelier, token as password", charset="UTF-8"'
            return problem
        origin = headers.get("origin")
        if (
            scope["method"] not in ("GET", "HEAD")
            and origin is not None
            and not _same(origin, headers.get("host", ""))
        ):
            return Problem(403, "foreign_page", "This was asked by another site's page; ask from this server's own.")
        return None


def _known(method: str) -> str:
    """Return a method that is no invention, so that nobody fills the memory with labels."""
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"


def _same(origin: str, host: str) -> bool:
    """Return whether a page's origin is this server, behind a proxy that speaks TLS or not."""
    return origin in (f"http://{host}", f"https://{host}")


def _name_of(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname if parts.netloc == host and not parts.username and parts.port != 0 else None
    except ValueError:
        return None


def _holds(headers: Mapping[str, str], token: str) -> bool:
    """Return whether a request has the token, as a bearer's or as a browser's password."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


class Drain:
    """Reads the rest of an upload before the answer goes out: cut off while it sends, a client would not see it."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        begun = ended = False

        async def received() -> Message:
            nonlocal begun, ended
            message = await receive()
            begun = True
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def rest() -> None:
            amount = 0
            while not ended and amount < _DRAINED:
                amount += len((await received()).get("body", b""))

        async def sent(message: Message) -> None:
            asks_first = Headers(scope=scope).get("expect", "").lower() == "100-continue"
            if message["type"] == "http.response.start" and not ended:
                if message["status"] != 408 and (begun or not asks_first):  # 408: it has been waited for long enough
                    with suppress(TimeoutError):
                        await asyncio.wait_for(rest(), _DRAIN_SECONDS)
                if not ended:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, received, sent)
