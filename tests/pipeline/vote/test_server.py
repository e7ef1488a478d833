"""The page over real HTTP: blind, fair and recorded; changes need the token, this machine's name, and few bytes."""

from __future__ import annotations

import http.client
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.files import sha256_bytes
from pipeline.vote.ballots import append, read, standing
from pipeline.vote.booth import Booth
from pipeline.vote.server import listen
from pipeline.vote.tally import count
from tests.pipeline.vote.studio import OURS, THEIRS, ballot, exhibits, served

_ID = re.compile(r"[A-Za-z0-9_-]{22}")


@pytest.fixture
def booth(tmp_path: Path) -> Booth:
    return Booth(exhibits(tmp_path / "pictures"), tmp_path / "votes" / "pair.jsonl")


@pytest.fixture
def page(booth: Booth) -> Iterator[httpx.Client]:
    """A browser that has opened the page."""
    with served(booth) as address, httpx.Client(base_url=address) as client:
        text = client.get("/").raise_for_status().text
        [token] = re.findall(r'<meta name="atelier-token" content="([^"]+)">', text)
        client.headers["X-Atelier-Token"] = token
        yield client


def begin(page: httpx.Client, voter: str = "") -> dict[str, Any]:
    return dict(page.post("/visits", json={"voter": voter}).raise_for_status().json())


def vote(page: httpx.Client, state: dict[str, Any], choice: str) -> dict[str, Any]:
    answer = page.post(f"/visits/{state['visit']}/votes", json={"ballot": state["ballot"]["id"], "choice": choice})
    return dict(answer.raise_for_status().json())


def undo(page: httpx.Client, state: dict[str, Any]) -> httpx.Response:
    return page.post(f"/visits/{state['visit']}/undo", json={})


def test_a_visit_from_beginning_to_end(page: httpx.Client, booth: Booth) -> None:
    state = begin(page, "  Ana   Maria ")
    assert (state["judged"], state["of"], state["voter"]) == (0, 3, "Ana Maria")
    for choice in ("left", "right", "neither"):
        state = vote(page, state, choice)
    assert (state["judged"], state["ballot"], state["next"]) == (3, None, [])
    kept = read(booth.file).ballots
    assert [(one.voter, one.choice) for one in kept] == [("Ana Maria", c) for c in ("left", "right", "neither")]
    assert {one.photograph for one in kept} == {exhibit.photograph for exhibit in booth.shown}


def test_what_the_page_gets_tells_nothing(page: httpx.Client, booth: Booth) -> None:
    secrets = [OURS, THEIRS, "transfer", "version", *(each.photograph for each in booth.shown)]
    secrets += [path.stem for each in booth.shown for path in (each.before, *each.paintings.values())]
    seen: list[str] = []
    for _ in range(2):
        state = begin(page)
        for _ in range(3):
            hung = state["ballot"]
            assert set(hung) == {"id", "photograph", "left", "right", "width", "height"}
            ids = [hung[key] for key in ("id", "photograph", "left", "right")]
            assert all(_ID.fullmatch(one) for one in ids)
            seen += ids
            drawn = [*ids, *state["next"], state["visit"], page.headers["X-Atelier-Token"]]  # may spell anything
            text = page.get("/").text + json.dumps(state)
            for one in drawn:
                text = text.replace(one, "")
            assert not [secret for secret in secrets if secret in text]
            left, right = (page.get(f"/pictures/{hung[side]}") for side in ("left", "right"))
            assert left.headers["content-type"] == "image/jpeg"
            different = [key for key in left.headers if left.headers[key] != right.headers.get(key)]
            assert set(left.headers) == set(right.headers)
            assert set(different) <= {"content-length"}
            state = vote(page, state, "left")
    assert len(set(seen)) == len(seen)  # the same picture has another address in every visit


def test_what_is_recorded_is_what_hung_there(page: httpx.Client, booth: Booth) -> None:
    files = {each.photograph: each for each in booth.shown}
    state = begin(page)
    for _ in range(3):
        shown = {
            side: sha256_bytes(page.get(f"/pictures/{state['ballot'][side]}").content)
            for side in ("photograph", "left", "right")
        }
        state = vote(page, state, "left")
        last = read(booth.file).ballots[-1]
        exhibit = files[last.photograph]
        assert {
            "photograph": sha256_bytes(exhibit.before.read_bytes()),
            "left": sha256_bytes(exhibit.paintings[last.left].read_bytes()),
            "right": sha256_bytes(exhibit.paintings[last.right].read_bytes()),
        } == shown


def test_the_coin_is_fair_and_the_order_is_anew_for_each_visit(tmp_path: Path) -> None:
    shown = exhibits(tmp_path, 4)
    booth = Booth(shown, tmp_path / "votes.jsonl", random.Random(5))
    for _ in range(500):
        booth.begin("")
    hung = [each for visit in booth.visits.values() for each in visit.hangings]
    left = sum(each.left == OURS for each in hung)
    assert abs(left - 1000) < 5 * 500**0.5  # five standard deviations of 2000 fair coins
    for exhibit in shown:
        assert {each.left for each in hung if each.exhibit is exhibit} == {OURS, THEIRS}
        places = [n for v in booth.visits.values() for n, each in enumerate(v.hangings) if each.exhibit is exhibit]
        assert set(places) == {0, 1, 2, 3}
    assert len({each.ballot for each in hung}) == len(hung)


def test_the_system_decides_the_coins_unless_told_otherwise(tmp_path: Path) -> None:
    booth = Booth(exhibits(tmp_path), tmp_path / "votes.jsonl")
    assert isinstance(booth.draw, random.SystemRandom)


def test_undo_takes_back_one_after_the_other(page: httpx.Client, booth: Booth) -> None:
    first = begin(page)
    second = vote(page, first, "left")
    third = vote(page, second, "right")
    back = undo(page, third).json()
    assert (back["judged"], back["ballot"]) == (1, second["ballot"])
    assert undo(page, back).json()["ballot"] == first["ballot"]
    assert undo(page, back).status_code == 409
    assert standing(read(booth.file).ballots) == []
    vote(page, first, "neither")
    assert [one.choice for one in standing(read(booth.file).ballots)] == ["neither"]
    assert len(read(booth.file).ballots) == 5  # nothing is ever erased


def test_a_second_visit_under_the_same_name_replaces_the_first(page: httpx.Client, booth: Booth) -> None:
    for side in (OURS, THEIRS):
        for name in ("Ana", ""):
            state = begin(page, name)
            while state["ballot"]:
                hanging = booth.visits[state["visit"]].hangings[state["judged"]]
                state = vote(page, state, "left" if hanging.left == side else "right")
    found = count(standing(read(booth.file).ballots), OURS, THEIRS, "Lab transfer")
    assert (found.wins, found.losses, found.voters) == (3, 6, 3)  # Ana, who changed her mind, and two without names


def test_a_reload_goes_on_and_a_ballot_counts_once(page: httpx.Client, booth: Booth) -> None:
    first = begin(page)
    second = vote(page, first, "left")
    assert page.get(f"/visits/{first['visit']}").json() == second
    again = page.post(f"/visits/{first['visit']}/votes", json={"ballot": first["ballot"]["id"], "choice": "left"})
    assert again.status_code == 409
    assert "not the one being shown" in again.text
    assert len(read(booth.file).ballots) == 1


def test_a_change_needs_the_token_of_this_page(page: httpx.Client, booth: Booth) -> None:
    state = begin(page)
    body = {"ballot": state["ballot"]["id"], "choice": "left"}
    paths = {"/visits": {"voter": ""}, f"/visits/{state['visit']}/votes": body, f"/visits/{state['visit']}/undo": {}}
    for path, fields in paths.items():
        for token in ("", "x" * 43, page.headers["X-Atelier-Token"][:-1]):
            answer = page.post(path, json=fields, headers={"X-Atelier-Token": token})
            assert answer.status_code == 403
            assert "reload the page" in answer.text
        for origin in ("http://evil.example", "null", str(page.base_url).replace("127.0.0.1", "localhost")):
            assert page.post(path, json=fields, headers={"Origin": origin}).status_code == 403
    own = str(page.base_url).rstrip("/")
    assert page.post("/visits", json={"voter": ""}, headers={"Origin": own}).status_code == 200
    assert not booth.file.exists()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9000", 200),  # a tunnel from another port
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:127.0.0.1", 421),
        ("127.0.0.1@evil.example", 421),
        ("evil@127.0.0.1", 421),
        ("[::1]", 421),
        ("127.0.0.1/", 421),
        ("", 421),
    ],
)
def test_only_this_machines_names_are_answered(page: httpx.Client, host: str, status: int) -> None:
    for path in ("/", "/pictures/x", "/visits/x"):
        answer = page.get(path, headers={"Host": host})
        assert (answer.status_code == 421) == (status == 421), path
        assert status == 200 or "this machine alone" in answer.text


def test_two_hosts_are_none(page: httpx.Client) -> None:
    place = urlsplit(str(page.base_url))
    connection = http.client.HTTPConnection(str(place.hostname), place.port)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", "127.0.0.1")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status >= 400
    connection.close()


def test_bad_requests_are_told_in_plain_words(page: httpx.Client, booth: Booth) -> None:
    state = begin(page)
    votes = f"/visits/{state['visit']}/votes"
    good = {"ballot": state["ballot"]["id"], "choice": "left"}

    def said(path: str, status: int, **options: Any) -> str:
        answer = page.post(path, **options)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/plain")
        return answer.text

    assert "not JSON" in said(votes, 400, content=b"\xff")
    assert "not JSON" in said(votes, 400, content=b"[" * 4000)
    assert "fields of this request are ballot and choice" in said(votes, 422, json=[1])
    assert "fields" in said(votes, 422, json={**good, "left": OURS})
    assert "is a text" in said(votes, 422, json={**good, "choice": 1})
    for choice in ("undone", "up", ""):
        assert "left, right or neither" in said(votes, 422, json={**good, "choice": choice})
    assert "at most 4096 bytes" in said(votes, 413, content=b" " * 5000)
    assert "at most 4096 bytes" in said(votes, 413, content=iter([b" " * 3000, b" " * 3000]))  # no length is told
    assert "at most 60 letters" in said("/visits", 422, json={"voter": "x" * 61})
    assert "cannot be printed" in said("/visits", 422, json={"voter": "\x00"})
    assert "begin a new one" in said("/visits/none/votes", 404, json=good)
    assert "no such page" in said("/nothing", 404, json={})
    assert "cannot be asked that way" in said("/", 405, json={})
    assert page.get("/pictures/..%2F..%2Fetc%2Fpasswd").status_code == 404
    assert page.get("/docs").status_code == page.get("/openapi.json").status_code == 404
    assert not booth.file.exists()
    assert vote(page, state, "left")["judged"] == 1


def test_a_vote_that_cannot_be_kept_is_told_and_can_be_cast_again(page: httpx.Client, booth: Booth) -> None:
    state = begin(page)
    booth.file.parent.write_text("a file where the folder should be")
    answer = page.post(f"/visits/{state['visit']}/votes", json={"ballot": state["ballot"]["id"], "choice": "left"})
    assert answer.status_code == 507
    assert "could not be kept" in answer.text
    booth.file.parent.unlink()
    assert vote(page, state, "left")["judged"] == 1
    assert len(read(booth.file).ballots) == 1


def test_a_torn_line_of_before_costs_nothing(page: httpx.Client, booth: Booth) -> None:
    append(booth.file, ballot("left"))
    booth.file.write_bytes(booth.file.read_bytes()[:-20])
    vote(page, begin(page), "right")
    assert (len(read(booth.file).ballots), read(booth.file).damaged) == (1, 1)


def test_the_page_needs_nothing_from_elsewhere(page: httpx.Client) -> None:
    answer = page.get("/")
    assert not re.findall(r"https?://", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_it_listens_on_loopback_alone_and_says_when_a_port_is_taken() -> None:
    with listen(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(ValueError, match=f"--port {port} cannot be used"):
            listen(port)
