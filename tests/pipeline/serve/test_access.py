"""Who may ask: this machine alone, or whoever has the token; never another site's page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.serve.server import TOKEN, find_token, is_loopback, listen
from tests.pipeline.serve.serving import PHOTO, code, package, served, shelf_of

SECRET = "a-long-enough-secret"
PATHS = ("/", "/api/models", "/metrics", "/docs", "/openapi.json", "/health", "/ready", "/nothing")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(shelf_of(package(tmp_path_factory.mktemp("package")))) as found:
        yield found


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8000", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil@127.0.0.1", 421),
        ("", 421),
    ],
)
def test_only_this_machines_names_are_answered(client: httpx.Client, host: str, status: int) -> None:
    for path in PATHS:
        assert (client.get(path, headers={"Host": host}).status_code == 421) == (status == 421)
    asked = client.post("/api/stylize", content=PHOTO, headers={"Host": host})
    assert asked.status_code == status


def test_another_sites_page_may_not_ask(client: httpx.Client) -> None:
    own = str(client.base_url).rstrip("/")
    for origin in ("http://evil.example", "null", own.replace("127.0.0.1", "localhost"), f"{own}.evil.example"):
        asked = client.post("/api/stylize", content=PHOTO, headers={"Origin": origin})
        assert code(asked) == (403, "foreign_page")
    assert client.post("/api/stylize", content=PHOTO, headers={"Origin": own}).status_code == 200
    headers = client.get("/api/models").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_with_a_token_nothing_is_told_to_strangers(tmp_path: Path) -> None:
    with served(shelf_of(package(tmp_path)), token=SECRET) as client:
        basic = base64.b64encode(f"anybody:{SECRET}".encode()).decode()
        wrong = ["", "Bearer", f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", "Basic", "Basic %%%", "Bearer \xe9",
                 f"Digest {SECRET}", "Basic " + base64.b64encode(f"{SECRET}:".encode()).decode()]  # fmt: skip
        for given in wrong:
            headers = [(b"Authorization", given.encode("latin-1"))]
            for path in PATHS:
                answer = client.get(path, headers=headers)
                assert answer.status_code == (200 if path in ("/health", "/ready") else 401)
            answer = client.post("/api/stylize", content=PHOTO, headers=headers)
            assert code(answer) == (401, "no_token")
            assert answer.headers["www-authenticate"].startswith("Basic ")
        for given in (f"Bearer {SECRET}", f"bearer {SECRET}", f"Basic {basic}"):
            headers = {"Authorization": given, "Host": "studio.example"}
            assert client.post("/api/stylize", content=PHOTO, headers=headers).status_code == 200
            assert client.get("/api/models", headers=headers).status_code == 200


def test_an_address_that_others_reach_demands_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    for host in ("0.0.0.0", "::", "192.168.1.7", "studio.example"):
        assert not is_loopback(host)
        with pytest.raises(ValueError, match=f"serve.host {host} can be reached from other machines.*{TOKEN}"):
            find_token(host, None)
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        assert find_token(host, None) is None
    monkeypatch.setenv(TOKEN, SECRET)
    assert find_token("0.0.0.0", None) == find_token("127.0.0.1", None) == SECRET
    file = tmp_path / "token"
    file.write_text(f"{SECRET}-of-the-file\n")
    assert find_token("0.0.0.0", file) == f"{SECRET}-of-the-file"
    for short in ("", "short", "sixteen-letters-ö"):
        file.write_text(short)
        with pytest.raises(ValueError, match="fewer than 16 letters") as refused:
            find_token("0.0.0.0", file)
        assert not short or short not in str(refused.value)
    with pytest.raises(ValueError, match="cannot be read"):
        find_token("0.0.0.0", tmp_path / "none")


def test_a_port_that_is_taken_is_told() -> None:
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(ValueError, match=f"{host}:{port} cannot be listened on"):
            listen(host, port)
