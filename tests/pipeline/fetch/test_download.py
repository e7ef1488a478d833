"""One file, whole and right, from servers that are not."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fetch.download import Downloaded, download, kept
from pipeline.fetch.record import part_file, read_record, record_file
from pipeline.fetch.web import Patience, Unavailable
from tests.pipeline.fetch.server import Answer, Server, serving

ROOT = Path(__file__).parents[3]
QUICK = Patience(connect=5, read=5, first_wait=0, progress=1)
SOON = Patience(connect=5, read=0.2, first_wait=0, progress=1, attempts=3)
DATA = random.Random(7).randbytes(200_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHER = random.Random(8).randbytes(150_000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "file.zip"


def fetch(server: Server, target: Path, **options: Any) -> Downloaded:
    settings = {"max_bytes": 10_000_000, "patience": QUICK} | options
    return download(f"{server.url}/file.zip", target, **settings)


def left(target: Path) -> list[str]:
    """Return what lies beside the target, the lock's file left out."""
    return sorted(path.name for path in target.parent.iterdir() if path.suffix != ".lock")


def test_a_file_arrives_whole_with_its_record(server: Server, target: Path) -> None:
    server.reset(DATA)
    seen: list[tuple[int, int | None]] = []
    done = fetch(server, target, progress=lambda *at: seen.append(at))
    assert target.read_bytes() == DATA
    assert done == Downloaded(target, DIGEST, len(DATA), fresh=True)
    assert left(target) == ["file.zip", "file.zip.json"]
    assert json.loads(record_file(target).read_text())["sha256"] == DIGEST
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert "range" not in server.asked[0].headers


def test_a_finished_file_is_not_fetched_again(server: Server, target: Path) -> None:
    server.reset(DATA)
    fetch(server, target)
    for options in ({}, {"sha256": DIGEST}, {"sha256": DIGEST.upper()}):
        assert fetch(server, target, **options) == Downloaded(target, DIGEST, len(DATA), fresh=False)
    assert len(server.asked) == 1


def test_a_file_that_a_person_put_there_is_taken_by_its_digest(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(DATA)
    assert not fetch(server, target, sha256=DIGEST).fresh
    assert not server.asked


def test_a_finished_file_that_was_damaged_is_replaced(server: Server, target: Path) -> None:
    server.reset(DATA)
    fetch(server, target)
    target.write_bytes(DATA[:-1] + b"?")
    assert fetch(server, target).fresh
    assert target.read_bytes() == DATA


def test_a_damaged_file_stays_while_there_is_no_better_one(server: Server, target: Path) -> None:
    server.answers = [Answer(404)]
    target.parent.mkdir()
    target.write_bytes(b"of some use")
    with pytest.raises(Unavailable):
        fetch(server, target, sha256=DIGEST)
    assert target.read_bytes() == b"of some use"


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000), Answer(stop=50_000, how="reset")]
    said: list[str] = []
    fetch(server, target, say=said.append)
    assert target.read_bytes() == DATA
    assert server.asked[1].headers["range"] == "bytes=70000-"
    assert server.asked[1].headers["if-range"] == '"1"'
    assert server.sent <= len(DATA) + 50_000  # what a reset connection took with it is sent twice
    assert len(said) == 2
    assert "peer closed connection" in said[0]


def test_the_next_run_goes_on_where_this_one_gave_up(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=90_000), *[Answer(503)] * 5]
    with pytest.raises(Unavailable, match=r"503 .*; 5 attempts in a row .*0\.1 MB are kept"):
        fetch(server, target)
    assert part_file(target).read_bytes() == DATA[:90_000]
    assert not target.exists()
    before = server.sent
    seen: list[tuple[int, int | None]] = []
    assert fetch(server, target, progress=lambda *at: seen.append(at)).sha256 == DIGEST
    assert server.sent - before == len(DATA) - 90_000
    assert seen[0] == (90_000, len(DATA))


def test_a_server_without_ranges_starts_over(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.ranges = False
    server.answers = [Answer(stop=70_000)]
    fetch(server, target)
    assert target.read_bytes() == DATA
    assert server.sent == len(DATA) + 70_000


@pytest.mark.parametrize("validator", ["etag", "date", "weak", "none"])
@pytest.mark.parametrize("honest", [True, False])
def test_a_file_that_changed_meanwhile_is_not_mixed(
    server: Server, target: Path, validator: Any, honest: bool
) -> None:
    server.reset(DATA)
    server.validator, server.honest = validator, honest
    server.answers = [Answer(stop=70_000), Answer(change=OTHER)]
    fetch(server, target)
    assert target.read_bytes() == OTHER


def test_a_weak_etag_is_no_promise_of_equal_bytes(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.validator = "weak"
    server.answers = [Answer(stop=70_000)]
    fetch(server, target)
    assert target.read_bytes() == DATA
    assert not {"range", "if-range"} & set(server.asked[1].headers)


def test_without_validators_the_digest_allows_resuming(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.validator = "none"
    server.answers = [Answer(stop=70_000)]
    fetch(server, target, sha256=DIGEST)
    assert server.asked[1].headers["range"] == "bytes=70000-"
    assert server.sent == len(DATA)


def test_a_mixture_that_only_the_digest_shows_is_fetched_anew(server: Server, target: Path) -> None:
    server.reset(OTHER[:120_000] + DATA[120_000:])
    server.validator = "none"
    server.answers = [Answer(stop=70_000), Answer(change=DATA)]
    said: list[str] = []
    assert fetch(server, target, sha256=DIGEST, say=said.append).sha256 == DIGEST
    assert target.read_bytes() == DATA
    assert "wrong digest" in said[-1]


def test_a_part_of_another_address_is_not_gone_on_with(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000), *[Answer(503)] * 5]
    with pytest.raises(Unavailable):
        fetch(server, target)
    server.content = OTHER
    download(f"{server.url}/other.zip", target, max_bytes=10_000_000, patience=QUICK)
    assert target.read_bytes() == OTHER


def test_another_server_goes_on_with_the_part_when_the_digest_is_known(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000), *[Answer(503)] * 5]
    with pytest.raises(Unavailable):
        fetch(server, target, sha256=DIGEST)
    download(f"{server.url}/mirror.zip", target, sha256=DIGEST, max_bytes=10_000_000, patience=QUICK)
    assert server.sent == len(DATA)


def test_a_stall_ends_and_is_overcome(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000, how="stall"), Answer(stop=0, how="stall")]
    said: list[str] = []
    fetch(server, target, patience=SOON, say=said.append)
    assert target.read_bytes() == DATA
    assert "nothing came for 0.2 s" in said[0]


def test_a_server_that_only_stalls_is_given_up(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=0, how="stall") for _ in range(9)]
    with pytest.raises(Unavailable, match=r"nothing came .* 3 attempts"):
        fetch(server, target, patience=SOON)
    assert len(server.asked) == 3


def test_a_trickle_is_a_stall(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(trickle=0.02) for _ in range(3)]
    slow = Patience(read=0.2, slowest=1000, first_wait=0, attempts=2, progress=10_000)
    with pytest.raises(Unavailable, match=r"only .* bytes came"):
        fetch(server, target, patience=slow)
    assert len(server.asked) == 2


def test_a_server_that_brings_nothing_new_is_given_up(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.ranges = False
    server.answers = [Answer(stop=70_000) for _ in range(20)]
    with pytest.raises(Unavailable, match="5 attempts in a row"):
        fetch(server, target)
    assert len(server.asked) == 6  # the first brought something


def test_progress_forgives_earlier_failures(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [answer for _ in range(4) for answer in (*[Answer(503)] * 4, Answer(stop=40_000))]
    assert fetch(server, target).sha256 == DIGEST


def test_nobody_answers(target: Path, tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url
    with pytest.raises(Unavailable, match="refused; 5 attempts in a row brought nothing"):
        download(url, target, max_bytes=10, patience=QUICK)


def test_waiting_doubles_up_to_a_limit_and_heeds_the_server(server: Server, target: Path) -> None:
    server.reset(DATA)
    ask = {"Retry-After": "1"}
    server.answers = [*[Answer(503)] * 4, Answer(429, headers=ask), Answer(429, headers={"Retry-After": "soon"})]
    said: list[str] = []
    patience = Patience(first_wait=0.01, longest_wait=0.05, attempts=10)
    fetch(server, target, patience=patience, say=said.append)
    assert [sentence.rpartition("in ")[2] for sentence in said] == ["0.01 s", "0.02 s", "0.04 s", *["0.05 s"] * 3]
    assert "429 Too Many Requests" in said[4]
    server.answers = [Answer(429, headers={"Retry-After": "1"})]
    target.unlink()
    fetch(server, target, patience=Patience(first_wait=0), say=said.append)
    assert said[-1].endswith("trying again in 1 s")


@pytest.mark.parametrize("status", [401, 403, 404, 410, 204, 304])
def test_a_status_that_no_patience_mends_is_final(server: Server, target: Path, status: int) -> None:
    server.answers = [Answer(status)]
    with pytest.raises(Unavailable, match=f"the server answered {status}"):
        fetch(server, target)
    assert len(server.asked) == 1
    assert left(target) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server: Server, target: Path, status: int) -> None:
    server.reset(DATA)
    server.answers = [Answer(status), Answer(status)]
    assert fetch(server, target).sha256 == DIGEST


def test_a_missing_file_leaves_the_part_of_an_earlier_run(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000), Answer(404)]
    with pytest.raises(Unavailable):
        fetch(server, target)
    assert part_file(target).stat().st_size == 70_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_with_the_range(server: Server, target: Path, status: int) -> None:
    server.reset(DATA)
    move = Answer(status, headers={"Location": "/elsewhere/file"})
    server.answers = [move, Answer(stop=70_000), move]
    assert fetch(server, target).sha256 == DIGEST
    assert [asked.path for asked in server.asked] == ["/file.zip", "/elsewhere/file"] * 2
    assert server.asked[3].headers["range"] == "bytes=70000-"


def test_redirects_in_a_circle_end(server: Server, target: Path) -> None:
    server.answers = [Answer(302, headers={"Location": "/file.zip"}) for _ in range(50)]
    with pytest.raises(Unavailable, match="more than 10 redirects"):
        fetch(server, target)
    assert len(server.asked) == 11


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://example.org/file.zip", "data:,x", ""])
def test_redirects_out_of_the_web_are_refused(server: Server, target: Path, place: str) -> None:
    server.answers = [Answer(302, headers={"Location": place})]
    with pytest.raises(Unavailable, match=r"which is not followed|is no address"):
        fetch(server, target)
    assert left(target) == []


def test_from_https_nothing_leads_to_http() -> None:
    import httpx

    from pipeline.fetch import web

    moved = httpx.Response(302, headers={"Location": "http://example.org/file.zip"})
    with pytest.raises(Unavailable, match=r"redirects to http: .*which is not followed"):
        web._moved_to(httpx.URL("https://example.org/file.zip"), moved)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/x", "http://", "https:///x", "no address", "", "http://a:b"]
)
def test_only_addresses_of_the_web_are_asked(target: Path, url: str) -> None:
    with pytest.raises(ValueError, match=r"will not do|is no address"):
        download(url, target, max_bytes=10)
    assert not target.parent.exists()


def test_a_password_is_neither_shown_nor_kept(server: Server, target: Path) -> None:
    server.answers = [Answer(404)]
    secret = server.url.replace("//", "//me:hush@") + "/file.zip?token=hush"
    with pytest.raises(Unavailable) as refused:
        download(secret, target, max_bytes=10)
    assert "hush" not in str(refused.value)
    server.answers = [Answer(body=b"x" * 9, stop=5), *[Answer(404)]]
    with pytest.raises(Unavailable):
        download(secret, target, max_bytes=10, patience=QUICK)
    assert "hush" not in record_file(target).read_text()
    assert server.asked[0].headers["authorization"].startswith("Basic ")


def test_an_announced_length_beyond_the_limit_is_refused_at_once(server: Server, target: Path) -> None:
    server.reset(DATA)
    with pytest.raises(Unavailable, match="the file has 200000 bytes, more than the 199999 that are allowed"):
        fetch(server, target, max_bytes=199_999)
    assert left(target) == []
    assert fetch(server, target, max_bytes=200_000).size == 200_000


@pytest.mark.parametrize("announce", ["close", "chunked"])
def test_a_body_without_an_announced_length_arrives(server: Server, target: Path, announce: Any) -> None:
    server.reset(DATA)
    server.answers = [Answer(announce=announce)]
    seen: list[tuple[int, int | None]] = []
    assert fetch(server, target, progress=lambda *at: seen.append(at)).sha256 == DIGEST
    assert seen[-1] == (200_000, None)


@pytest.mark.parametrize("announce", ["close", "chunked"])
def test_a_body_without_end_is_stopped_at_the_limit(server: Server, target: Path, announce: Any) -> None:
    server.reset(bytes(50_000_000))
    server.answers = [Answer(announce=announce)]
    with pytest.raises(Unavailable, match="more than the 1000000 bytes that it may"):
        fetch(server, target, max_bytes=1_000_000)
    assert left(target) == []
    assert server.sent < 20_000_000


def test_a_length_that_is_announced_of_a_chunked_body_counts_for_nothing(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(announce="chunked", headers={"Content-Length": "500"})]
    assert fetch(server, target).sha256 == DIGEST


def test_a_cut_chunked_body_is_noticed(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(announce="chunked", stop=70_000)]
    assert fetch(server, target).sha256 == DIGEST
    assert len(server.asked) == 2


def test_a_body_that_ends_early_without_a_length_is_noticed_by_the_size(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(announce="close", stop=70_000)]
    assert fetch(server, target, size=len(DATA)).sha256 == DIGEST


def test_a_length_announced_too_long_ends_with_a_reason(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(lie=500) for _ in range(30)]
    with pytest.raises(Unavailable, match="attempts in a row brought nothing"):
        fetch(server, target)
    assert not target.exists()
    assert len(server.asked) < 15


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"size": 200_000}, "announces 199500 bytes, but the published file has 200000"),
        ({"sha256": DIGEST}, f"SHA-256 is {hashlib.sha256(DATA[:-500]).hexdigest()}, not {DIGEST}"),
    ],
)
def test_a_length_announced_too_short_is_found_out(
    server: Server, target: Path, known: dict[str, Any], message: str
) -> None:
    server.reset(DATA)
    server.answers = [Answer(lie=-500) for _ in range(5)]
    with pytest.raises(Unavailable, match=message):
        fetch(server, target, **known)
    assert left(target) == []


def test_a_size_that_is_published_later_is_held_against_what_is_there(server: Server, target: Path) -> None:
    server.reset(DATA)
    fetch(server, target)
    server.reset(OTHER)
    assert fetch(server, target, size=len(OTHER)).sha256 == hashlib.sha256(OTHER).hexdigest()
    target.rename(part_file(target))
    with pytest.raises(Unavailable, match="150000 bytes came, but the published file has 200000"):
        fetch(server, target, size=len(DATA))
    assert left(target) == []


def test_a_server_that_sends_more_than_the_published_size_is_stopped(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(announce="close")]
    with pytest.raises(Unavailable, match="more than the 100000 bytes"):
        fetch(server, target, size=100_000)
    assert left(target) == []


def test_a_wrong_digest_removes_the_file_and_names_both(server: Server, target: Path) -> None:
    server.reset(OTHER)
    found = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(Unavailable, match=f"SHA-256 is {found}, not {DIGEST}.*removed"):
        fetch(server, target, sha256=DIGEST)
    assert left(target) == []
    assert len(server.asked) == 1


def test_what_is_no_digest_is_told(target: Path) -> None:
    with pytest.raises(ValueError, match="'abc' is no SHA-256"):
        download("http://127.0.0.1/", target, max_bytes=1, sha256="abc")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", b"anything"),
        ("application/zip", b"\n <!DOCTYPE html><title>Please log in</title>"),
        ("application/octet-stream", b"\xef\xbb\xbf<html><body>moved</body></html>"),
    ],
)
def test_a_web_page_is_no_file(server: Server, target: Path, kind: str, body: bytes) -> None:
    server.kind = kind
    server.answers = [Answer(body=body)]
    with pytest.raises(Unavailable, match="a web page came instead of a file"):
        fetch(server, target)
    assert left(target) == []


def test_a_login_page_does_not_cost_the_part(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000), Answer(body=b"<html>", headers={"Content-Type": "text/html"})]
    with pytest.raises(Unavailable, match="a web page"):
        fetch(server, target)
    assert fetch(server, target).sha256 == DIGEST
    assert server.asked[-1].headers["range"] == "bytes=70000-"


def test_a_body_that_is_encoded_all_the_same_is_refused(server: Server, target: Path) -> None:
    server.answers = [Answer(body=gzip.compress(DATA), headers={"Content-Encoding": "gzip"})]
    with pytest.raises(Unavailable, match="encoded as gzip"):
        fetch(server, target)


def test_a_compressed_archive_that_is_called_encoded_stays_as_it_is(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(DATA)
    server.reset(packed)
    server.answers = [Answer(headers={"Content-Encoding": "gzip"}, stop=70_000)]
    target = tmp_path / "file.tar.gz"
    fetch(server, target)
    assert target.read_bytes() == packed


def test_a_full_disk_is_told_before_the_download(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(lie=10**17)]
    with pytest.raises(ValueError, match="GB free, fewer than the 100000000") as refused:
        fetch(server, target, max_bytes=10**18)
    assert not isinstance(refused.value, Unavailable)  # another server would not help
    assert left(target) == []


def test_a_disk_that_fills_keeps_what_is_there(server: Server, target: Path) -> None:
    server.reset(DATA)
    code = (
        "import resource, sys; from pathlib import Path; from pipeline.fetch.download import download\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: download(sys.argv[1], Path(sys.argv[2]), max_bytes=10**7)\n"
        "except ValueError as error: print(error)"
    )
    command = [sys.executable, "-c", code, f"{server.url}/file.zip", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "cannot be written (File too large); 0.1 MB are kept" in done.stdout
    assert part_file(target).read_bytes() == DATA[:100_000]
    assert fetch(server, target).sha256 == DIGEST
    assert server.asked[-1].headers["range"] == "bytes=100000-"


def test_an_empty_file_arrives(server: Server, target: Path) -> None:
    assert fetch(server, target).size == 0
    assert target.read_bytes() == b""


@pytest.mark.parametrize("record", ["", "{}", "[]", '{"url": 1}', "null"])
def test_a_damaged_record_costs_only_the_part(server: Server, target: Path, record: str) -> None:
    server.reset(DATA)
    target.parent.mkdir()
    part_file(target).write_bytes(OTHER[:50_000])
    record_file(target).write_text(record)
    assert read_record(target) is None
    fetch(server, target)
    assert target.read_bytes() == DATA


def test_a_part_longer_than_the_file_is_dropped(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000), Answer(404)]
    with pytest.raises(Unavailable):
        fetch(server, target)
    part_file(target).write_bytes(bytes(300_000))
    fetch(server, target)
    assert target.read_bytes() == DATA


def test_a_whole_part_needs_no_server(server: Server, target: Path) -> None:
    server.reset(DATA)
    fetch(server, target)
    target.rename(part_file(target))  # as if it had been killed before the last step
    assert fetch(server, target).sha256 == DIGEST
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "span",
    ["bytes 0-199999/200000", "bytes 70001-199999/200000", "bytes 70000-199999/200001", "nonsense", "bytes */*"],
)
def test_a_partial_answer_that_does_not_fit_starts_over(server: Server, target: Path, span: str) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000), Answer(206, body=b"?" * 130_000, headers={"Content-Range": span})]
    fetch(server, target)
    assert target.read_bytes() == DATA


@contextmanager
def downloading(server: Server, target: Path, at_least: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a download in a process of its own, and hand it over when so many bytes are there."""
    code = (
        "import sys; from pathlib import Path; from pipeline.fetch.download import download\n"
        "download(sys.argv[1], Path(sys.argv[2]), max_bytes=10**7)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, f"{server.url}/file.zip", str(target)], cwd=ROOT)
    try:
        part = part_file(target)
        while not part.exists() or part.stat().st_size < at_least:
            assert process.poll() is None
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stop", [1, 64_000, 199_999])
def test_killed_at_any_point_the_rest_is_fetched(server: Server, target: Path, stop: int) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=stop, how="stall")]
    with downloading(server, target, stop) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = server.sent
    fetch(server, target)
    assert target.read_bytes() == DATA
    assert server.sent - before == len(DATA) - stop


def test_two_downloads_to_one_target_do_not_mix(server: Server, target: Path) -> None:
    server.reset(DATA)
    server.answers = [Answer(stop=70_000, how="stall")]
    with downloading(server, target, 70_000) as process:
        with pytest.raises(ValueError, match=f"already running \\(process {process.pid}\\)"):
            fetch(server, target)
        assert len(server.asked) == 1
    assert fetch(server, target).sha256 == DIGEST


def test_ctrl_c_keeps_the_part(server: Server, target: Path) -> None:
    server.reset(DATA)

    def stop(done: int, _total: int | None) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, target, progress=stop)
    size = part_file(target).stat().st_size
    assert 100_000 < size < 200_000
    assert kept(target) == f"; {size / 1e6:.1f} MB are kept, and the same command goes on from there"
    before = server.sent
    assert fetch(server, target).sha256 == DIGEST
    assert server.sent - before == len(DATA) - size


def test_threads_of_one_process_are_kept_apart_too(server: Server, target: Path) -> None:
    server.reset(DATA)
    refused = []

    def also(done: int, _total: int | None) -> None:
        if not refused:
            with pytest.raises(ValueError, match="already running"):
                fetch(server, target)
            refused.append(done)

    thread = threading.Thread(target=lambda: fetch(server, target, progress=also))
    thread.start()
    thread.join()
    assert refused
    assert target.read_bytes() == DATA


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(["cut", "reset"]), st.booleans()), max_size=6),
    st.sampled_from(["etag", "weak", "date", "none"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_sequence_of_cuts_and_changes_ends_in_the_right_bytes(
    running: Server,
    cuts: list[tuple[int, Any, bool]],
    validator: Any,
    ranges: bool,
    honest: bool,
    known: bool,
    source: random.Random,
) -> None:
    os.environ["NO_PROXY"] = "127.0.0.1"
    versions = [source.randbytes(source.randint(1, 4000)) for _ in range(1 + sum(change for *_, change in cuts))]
    running.reset(versions[0])
    running.validator, running.ranges, running.honest = validator, ranges, honest
    later = iter(versions[1:])
    running.answers = [Answer(stop=stop, how=how, change=next(later) if new else None) for stop, how, new in cuts]
    digest = hashlib.sha256(versions[-1]).hexdigest()
    patience = Patience(read=5, first_wait=0, progress=1, attempts=30)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "file.zip"
        url = f"{running.url}/file.zip"
        while True:
            try:
                done = download(url, target, max_bytes=10_000, sha256=digest if known else None, patience=patience)
                break
            except Unavailable:  # an earlier version came whole, which is right to refuse
                assert known
                assert len(versions) > 1
                assert not target.exists()
        # Without a digest an earlier version may have come whole before the file changed.
        assert target.read_bytes() in (versions[-1:] if known else versions)
        assert done.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
