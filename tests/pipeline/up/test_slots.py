"""What is asked of a Prefect server, whether it is busy or refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.up import slots
from pipeline.up.credentials import Credentials

CODES: list[int] = []


class Server(BaseHTTPRequestHandler):
    """Says what stands in CODES, one after the other, and then yes."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(CODES.pop(0) if CODES else 200)
        self.end_headers()
        self.wfile.write(asked)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    CODES.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_busy_server_is_asked_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_PAUSE", 0.01)
    CODES[:] = [503, 429, 503]
    api = slots.Api(address, Credentials.find({}))
    assert api.call("/flow_runs/filter", {"a": 1}) == json.loads('{"a": 1}')
    assert not CODES


def test_one_that_stays_busy_or_refuses_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_PAUSE", 0.01)
    api = slots.Api(address, Credentials.find({}))
    CODES[:] = [404, 200]
    with pytest.raises(OSError, match=rf"Prefect server at {address}/api does not do /x: HTTP 404"):
        api.call("/x", {})
    assert CODES == [200]  # what is refused is not asked again
    monkeypatch.setattr(slots, "_PATIENCE", 0.5)
    CODES[:] = [503] * 10_000
    with pytest.raises(OSError, match="HTTP 503"):
        api.call("/x", {})
