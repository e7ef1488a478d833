"""Bytes, pixels, time, places: whatever is thrown at the server is refused in a sentence, and the server lives on."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.fuzz import mutated, originals
from tests.pipeline.intake.kinds import KINDS
from tests.pipeline.pictures import encoded, texture
from tests.pipeline.serve.serving import PHOTO, Easel, code, package, served, settings, shelf_of, shelf_with

BAD = {
    os.fsdecode(name): kind
    for name, kind in KINDS.items()
    if kind.outcome
    in {"truncated", "not_image", "float", "multiframe", "too_large", "empty", "unreadable", "decoder_crash"}
    and not kind.needs()
}
ALLOWED = {413, 415, 422}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(shelf_of(package(tmp_path_factory.mktemp("package")))) as found:
        yield found


def _post(client: httpx.Client, data: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
    return client.post("/api/stylize", content=data, headers=headers)


def _lives(client: httpx.Client) -> None:
    assert _post(client, PHOTO).status_code == 200


def test_every_bad_file_of_ingestion_is_refused_and_the_server_lives(client: httpx.Client, tmp_path: Path) -> None:
    seen: set[str] = set()
    for number, kind in enumerate(BAD.values()):
        path = tmp_path / str(number)
        kind.make(path)
        if not path.is_file() or path.is_symlink():
            continue
        data = path.read_bytes()
        status, said = code(_post(client, data))
        assert status in ALLOWED
        seen.add(said)
    assert seen >= {"truncated", "not_image", "float", "multiframe", "too_large", "empty", "unreadable"}
    _lives(client)


@pytest.mark.slow
def test_damaged_pictures_are_painted_or_refused_and_memory_stays_flat(client: httpx.Client) -> None:
    draw, whole = Random(8), originals()
    sizes = []
    for number in range(600):
        answer = _post(client, mutated(draw.choice(whole), whole, draw))
        if answer.status_code != 200:
            assert code(answer)[0] in ALLOWED
        if number in (199, 599):
            sizes.append(_resident())
    _lives(client)
    assert sizes[1] - sizes[0] < 40e6


def _resident() -> int:
    with Path("/proc/self/statm").open() as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_too_many_bytes_are_refused_whether_or_not_their_number_is_told(client: httpx.Client) -> None:
    for data in (b"x" * 2_000_001, b"\x89PNG\r\n" * 700_000):
        assert code(_post(client, data)) == (413, "too_large")
        assert code(_post(client, iter([data[:1_500_000], data[1_500_000:]]))) == (413, "too_large")
    assert "at most 2 MB" in _post(client, b"x" * 2_000_001).json()["detail"]
    _lives(client)


def test_an_upload_that_announces_itself_is_refused_before_it_is_sent(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as wire:
        head = "POST /api/stylize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000000\r\n"
        wire.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 413")


def test_what_is_no_upload_is_told_how_to_send_one(client: httpx.Client) -> None:
    assert code(_post(client, b"")) == (422, "no_picture")
    assert code(client.post("/api/stylize", files={"picture": b""})) == (422, "no_picture")
    assert client.post("/api/view", files={"picture": PHOTO}).status_code == 200
    answer = client.post("/api/view", files=[("picture", PHOTO), ("reference", PHOTO)])
    assert code(answer) == (422, "form")  # what has no meaning is not passed over
    assert "one part `picture`" in answer.json()["detail"]
    answer = client.post("/api/stylize", files={"image": PHOTO})
    assert code(answer) == (422, "form")
    assert "the parts `picture` and `reference`" in answer.json()["detail"]
    whole = b'--x\r\nContent-Disposition: form-data; name="picture"\r\n\r\n' + PHOTO + b"\r\n--x--\r\n"
    typed = {"Content-Type": 'multipart/form-data; boundary="x"'}
    assert _post(client, b"what comes before\r\n" + whole, **typed).status_code == 200
    for broken in (whole[:-9], whole[5:], whole.replace(b"--x\r\n", b"--xx\r\n"), b"--x--", b"\r\n--x", b"x" * 99):
        assert code(_post(client, broken, **typed)) == (422, "form")
    assert code(_post(client, whole * 40, **typed)) == (422, "form")
    assert code(_post(client, whole, **{"Content-Type": "multipart/form-data"})) == (422, "form")
    _lives(client)


def test_too_many_pixels_are_refused_before_they_are_decoded(client: httpx.Client) -> None:
    assert code(_post(client, encoded(texture(1, 2500, 2000), "JPEG"))) == (413, "too_large")


def test_a_picture_that_takes_too_long_to_open_is_given_up(tmp_path: Path) -> None:
    from tests.pipeline.intake.kinds import slow

    with served(shelf_of(package(tmp_path)), settings(decode_seconds=4.0, max_pixels=50_000_000)) as client:
        assert code(_post(client, slow())) == (422, "decoder_timeout")
        _lives(client)


def test_an_upload_that_trickles_is_given_up(tmp_path: Path) -> None:
    with served(shelf_of(package(tmp_path)), settings(upload_seconds=0.3)) as client:
        stop = threading.Event()

        def trickle() -> Iterator[bytes]:
            yield PHOTO[:10]
            while not stop.wait(0.05):
                yield b"x"

        with ThreadPoolExecutor(1) as other:
            asked = other.submit(_raw, client, trickle())
            assert "HTTP/1.1 408" in asked.result(30)
            stop.set()
        _lives(client)


def _raw(client: httpx.Client, pieces: Iterator[bytes]) -> str:
    """Send pieces until the server has answered, and return the answer's beginning."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as wire:
        wire.sendall(b"POST /api/stylize HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.settimeout(0.01)
        for piece in pieces:
            try:
                wire.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                return wire.recv(4000).decode()
            except TimeoutError:
                continue
            except OSError:
                break
    return ""


@contextmanager
def _painting(client: httpx.Client, count: int) -> Iterator[list[Future[httpx.Response]]]:
    with ThreadPoolExecutor(count) as askers:
        yield [askers.submit(_post, client, PHOTO) for _ in range(count)]


def test_when_all_places_are_taken_the_next_is_told_when_to_come(tmp_path: Path) -> None:
    easel = Easel()
    with served(shelf_with(easel), settings(at_once=1, waiting=2)) as client:
        with _painting(client, 3) as asked:
            assert easel.begun.acquire(timeout=30)
            _until(lambda: "atelier_inside 3.0" in client.get("/metrics").text)
            answer = _post(client, PHOTO)
            assert code(answer) == (429, "busy")
            assert int(answer.headers["Retry-After"]) >= 1
            assert client.get("/health").status_code == 200  # the queue is for pictures alone
            easel.go.set()
            assert [one.result(30).status_code for one in asked] == [200] * 3
        _lives(client)


def test_painting_that_takes_too_long_is_answered_and_its_slot_comes_back(tmp_path: Path) -> None:
    easel = Easel()
    with served(shelf_with(easel), settings(at_once=1, waiting=4, paint_seconds=0.3)) as client:
        with _painting(client, 2) as asked:  # one at the easel, one before it
            answers = {code(one.result(30)): one.result() for one in asked}
            assert set(answers) == {(413, "too_slow"), (429, "busy")}
            assert int(answers[429, "busy"].headers["Retry-After"]) >= 1
        assert "atelier_at_work 1.0" in client.get("/metrics").text
        easel.go.set()
        _until(lambda: "atelier_at_work 0.0" in client.get("/metrics").text)
        _lives(client)


def _until(holds: object) -> None:
    assert callable(holds)
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_was_begun_is_finished_when_the_server_ends(tmp_path: Path) -> None:
    easel, closed = Easel(), threading.Event()
    with ThreadPoolExecutor(1) as other:
        with served(shelf_with(easel), on_close=closed.set) as client:
            address = str(client.base_url.join("/api/stylize"))
            asked = other.submit(httpx.post, address, content=PHOTO, timeout=60)
            assert easel.begun.acquire(timeout=30)
            threading.Timer(0.3, easel.go.set).start()
        assert asked.result(30).status_code == 200
    assert closed.is_set()


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    from pipeline.serve.shelf import Shelf

    with served(Shelf(lambda: [])) as client:
        assert code(_post(client, PHOTO)) == (503, "no_model")
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200
        assert client.get("/api/models").json() == []
