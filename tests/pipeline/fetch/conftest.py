"""The server that the tests of downloading talk to."""

from collections.abc import Iterator

import pytest

from tests.pipeline.fetch.server import Server, serving


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server with a clean slate, which no proxy stands before."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running.reset()
    return running
