"""A real HTTP server on this machine that stalls, cuts, lies about lengths and changes its mind, as it is told."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal


@dataclass
class Answer:
    """How one request is answered; without any, the file is sent as a decent server would.

    stop is the number of bytes of the body after which `how` happens; length is announced (None: the true one);
    lie is added to the announced length; trickle sends single bytes, this many seconds apart.
    """

    status: int = 200
    body: bytes | None = None
    stop: int | None = None
    how: Literal["cut", "reset", "stall"] = "cut"
    announce: Literal["length", "close", "chunked"] = "length"
    lie: int = 0
    trickle: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    change: bytes | None = None  # the file is this from now on, already for this request


@dataclass
class Asked:
    """One request as it came, and how many bytes of a body it was given."""

    path: str
    headers: dict[str, str]
    sent: int = 0


class Server:
    """One file at every address, with `answers` for the next requests in turn."""

    def __init__(self) -> None:
        self.stop_stalling = threading.Event()
        self.reset()
        outer = self

        class Handler(_Handler):
            server_state = outer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reset(self, content: bytes = b"") -> None:
        """Forget everything and serve `content`, with ranges and a strong ETag."""
        self.content = content
        self.version = 1
        self.ranges = True
        self.validator: Literal["etag", "weak", "date", "none"] = "etag"
        self.honest = True  # whether If-Range is honoured
        self.kind = "application/zip"
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []

    @property
    def sent(self) -> int:
        """Bytes of bodies sent, of all requests."""
        return sum(asked.sent for asked in self.asked)

    def validators(self) -> dict[str, str]:
        """Return the headers that name the file's present version."""
        return {
            "etag": {"ETag": f'"{self.version}"'},
            "weak": {"ETag": f'W/"{self.version}"'},
            "date": {"Last-Modified": f"Mon, 01 Jan 2024 00:{self.version:02d}:00 GMT"},
            "none": {},
        }[self.validator]

    def close(self) -> None:
        self.stop_stalling.set()
        self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()


class _Handler(BaseHTTPRequestHandler):
    server_state: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        state = self.server_state
        asked = Asked(self.path, {key.lower(): value for key, value in self.headers.items()})
        state.asked.append(asked)
        answer = state.answers.pop(0) if state.answers else Answer()
        if answer.change is not None:
            state.content = answer.change
            state.version += 1
        status, body, headers = answer.status, answer.body, {"Content-Type": state.kind}
        if answer.status == 200 and body is None:
            status, body, more = self._file(asked)
            headers |= more
        with contextlib.suppress(OSError):  # who asked has gone
            self._send(asked, answer, status, body or b"", headers | answer.headers)

    def _file(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        state = self.server_state
        headers = state.validators() | ({"Accept-Ranges": "bytes"} if state.ranges else {})
        span = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        condition = asked.headers.get("if-range")
        strong = [value for value in state.validators().values() if not value.startswith("W/")]
        fits = condition is None or condition in strong or not state.honest
        if not state.ranges or span is None or not fits:
            return 200, state.content, headers
        start, total = int(span[1]), len(state.content)
        if start >= total:
            return 416, b"", headers | {"Content-Range": f"bytes */{total}"}
        return 206, state.content[start:], headers | {"Content-Range": f"bytes {start}-{total - 1}/{total}"}

    def _send(self, asked: Asked, answer: Answer, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        headers.setdefault("Connection", "close")
        if answer.announce == "length":
            headers.setdefault("Content-Length", str(len(body) + answer.lie))
        elif answer.announce == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.close_connection = True
        end = len(body) if answer.stop is None else min(answer.stop, len(body))
        step = 1 if answer.trickle else 1 << 14
        for at in range(0, end, step):
            piece = body[at : min(at + step, end)]
            framed = b"%x\r\n%s\r\n" % (len(piece), piece) if answer.announce == "chunked" else piece
            asked.sent += len(piece)  # first: who gets the last piece may look at once
            self.wfile.write(framed)
            if answer.trickle:
                time.sleep(answer.trickle)
        if answer.stop is not None:
            self._end_badly(answer.how)
        elif answer.announce == "chunked":
            self.wfile.write(b"0\r\n\r\n")

    def _end_badly(self, how: str) -> None:
        if how == "stall":
            self.server_state.stop_stalling.wait(60)
        elif how == "reset":
            # What was sent arrives first: a reset overtakes bytes that are still unread.
            time.sleep(0.01)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
