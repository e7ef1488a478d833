"""One file from one address: whole, of the right digest, and never fetched twice; or an error that says why.

The bytes go to `NAME.part`, with `NAME.json` beside it; whatever ends the download, the next one goes on from there,
as long as the server still has the same file. `NAME` itself is only ever a finished file.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

import httpx

from pipeline.fetch import web
from pipeline.fetch.record import Record, part_file, read_record, record_file, write_record
from pipeline.fetch.web import Passing, Patience, Unavailable, shown_address
from pipeline.files import fsync_directory, require_free_space, sha256_bytes, sha256_file
from pipeline.process import exclusive

Progress = Callable[[int, int | None], None]  # bytes that are here, bytes in all if known
Say = Callable[[str], None]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEAD = 512  # bytes in which a web page shows itself


@dataclass(frozen=True)
class Downloaded:
    """A finished file. `fresh` is whether this call brought any of it."""

    path: Path
    sha256: str
    size: int
    fresh: bool


@dataclass(frozen=True)
class _Job:
    url: str
    target: Path
    sha256: str
    size: int | None
    max_bytes: int
    patience: Patience
    progress: Progress
    say: Say

    @property
    def part(self) -> Path:
        return part_file(self.target)

    @property
    def address(self) -> str:
        return sha256_bytes(self.url.encode())

    @property
    def here(self) -> int:
        """Bytes of the part."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def forget(self) -> None:
        """Remove what there is, so that the next attempt begins at the beginning."""
        self.part.unlink(missing_ok=True)
        record_file(self.target).unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    max_bytes: int,
    sha256: str | None = None,
    size: int | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Downloaded:
    """Bring the file at `url` to `target`, going on where an earlier download stopped; none is made twice.

    Without a digest and a size, a server that ends a file early without saying so is not found out here.

    Args:
        url: http or https.
        target: where the file is to lie; its name with `.part`, `.json` and `.lock` is used too.
        max_bytes: refuse a longer file, whatever the server announces.
        sha256: what the file must hash to (hexadecimal), if that is known.
        size: what it must measure in bytes, if that is known.
        patience: timeouts and attempts.
        progress: called with the bytes that are here and, where the server says it, the bytes in all.
        say: called with a sentence when something went wrong and is tried again.

    Raises:
        Unavailable: this address does not give the file, now or ever; bytes that may be of use are kept.
        ValueError: a wrong address or digest, a full disk, another download to this target is under way.
    """
    job = _Job(
        url=web.check_address(url),
        target=target,
        sha256=check_digest(sha256) if sha256 else "",
        size=size,
        max_bytes=max_bytes,
        patience=patience or Patience(),
        progress=progress or (lambda _done, _total: None),
        say=say or (lambda _sentence: None),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(target.with_name(f"{target.name}.lock"), f"a download to {target}"):
        finished = _finished(job)
        if finished:
            return finished
        with web.new_client(job.patience) as client:
            if _fill(job, client) and not _is_right(job):
                # Its pieces came by several answers: they may be of several files, or the disk lost some.
                job.say("the file that was put together has the wrong digest; it is fetched anew")
                job.forget()
                _fill(job, client)
        return _finish(job)


def check_digest(text: str) -> str:
    """Return a SHA-256 as 64 lower-case hexadecimal digits.

    Raises:
        ValueError: it is none.
    """
    digest = text.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"{text!r} is no SHA-256, which has 64 hexadecimal digits")
    return digest


def _finished(job: _Job) -> Downloaded | None:
    """Return the finished file if it is the one that is wanted; another one stays until it is replaced."""
    if not job.target.is_file():
        return None
    record = read_record(job.target)
    known = record.sha256 if record and record.url == job.address else ""
    digest, size = sha256_file(job.target), job.target.stat().st_size
    if digest == (job.sha256 or known) and job.size in (None, size):
        return Downloaded(job.target, digest, size, fresh=False)
    return None


def _fill(job: _Job, client: httpx.Client) -> bool:
    """Bring the part to its full length; return whether several answers contributed to it.

    Raises:
        Unavailable: for good, or too often in a row.
    """
    longest = found = job.here
    answers = tries = 0
    while not _is_complete(job):
        answers += 1
        try:
            _ask(job, client)
            if _is_complete(job, ended=True):
                break
            problem = Passing("the connection ended early")
        except Passing as passing:
            problem = passing
        tries += 1
        # Measured against the longest part so far: a server that starts over each time brings nothing.
        if job.here >= longest + job.patience.progress:
            longest, tries = job.here, 0
        _wait(job, problem, tries)
    return answers > 1 or found > 0


def _is_complete(job: _Job, ended: bool = False) -> bool:
    """Whether all bytes are here, by the announced size; without one, `ended` is all there is to go by."""
    record = read_record(job.target)
    if record is None or record.url != job.address or not job.part.is_file():
        return False
    total = job.size if record.total is None else record.total
    return ended if total is None else job.here == total


def _wait(job: _Job, problem: Passing, tries: int) -> None:
    if tries >= job.patience.attempts:
        said = f"{shown_address(job.url)}: {problem}; {tries} attempts in a row brought nothing"
        raise Unavailable(said + kept(job.target))
    wait = max(job.patience.first_wait * 2 ** max(tries - 1, 0), problem.wait)
    wait = min(wait, job.patience.longest_wait)
    job.say(f"{problem}; trying again in {wait:g} s")
    time.sleep(wait)


def kept(target: Path) -> str:
    """Return what is there of an unfinished download, as a clause; empty if there is nothing."""
    part = part_file(target)
    size = part.stat().st_size if part.is_file() else 0
    return f"; {size / 1e6:.1f} MB are kept, and the same command goes on from there" if size else ""


def _ask(job: _Job, client: httpx.Client) -> None:
    """Make one request and add its bytes to the part.

    Raises:
        Passing: it may go better the next time.
        Unavailable: it will not.
    """
    offset = job.here
    before = read_record(job.target)
    headers = _range_headers(job, before, offset)
    with web.answer(client, job.url, headers) as response:
        if response.status_code != 200:
            _check_partial(job, response, before, offset)
        else:
            offset = 0
        record = _record_of(job, response)
        _check_announced(job, response, record, offset)
        if not offset:
            job.part.unlink(missing_ok=True)  # before the record: it must never speak of another file's bytes
        write_record(job.target, record)
        job.progress(offset, record.total)
        with job.part.open("ab", buffering=0) as stream:
            _copy(job, response, stream, offset, record.total)


def _range_headers(job: _Job, before: Record | None, offset: int) -> dict[str, str]:
    """Return headers that ask for the bytes that are missing, where these would surely fit; else none."""
    if not offset or before is None:
        return {}
    wanted = {"Range": f"bytes={offset}-"}
    if before.url == job.address and before.validator:
        return wanted | {"If-Range": before.validator}
    return wanted if job.sha256 else {}  # the digest will tell


def _check_partial(job: _Job, response: httpx.Response, before: Record | None, offset: int) -> None:
    """Make sure that a partial answer goes on just where the part ends, in the same file; else start over."""
    span = web.content_range(response)
    same = before is not None and before.same_file(_record_of(job, response))
    if response.status_code == 206 and span and span[0] == offset and same:
        return
    job.forget()
    raise Passing("the server no longer has the file that was begun, so it starts over")


def _record_of(job: _Job, response: httpx.Response) -> Record:
    if response.status_code == 206:
        span = web.content_range(response)
        total = span[1] if span else None
    else:
        total = web.content_length(response)
    headers = response.headers
    return Record(job.address, headers.get("etag", ""), headers.get("last-modified", ""), total)


def _check_announced(job: _Job, response: httpx.Response, record: Record, offset: int) -> None:
    """Refuse by the headers alone what could not be kept.

    Raises:
        Unavailable: a web page, an encoded body, too long, another size than the published one.
        ValueError: the disk is too small.
    """
    where = shown_address(job.url)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise Unavailable(_web_page(where))
    if encoding != "identity" and not job.target.name.endswith((".gz", ".tgz", ".bz2", ".xz")):
        raise Unavailable(f"{where}: the server sends the file encoded as {encoding}, though asked not to")
    total = record.total
    if total is None:
        return
    if job.size is not None and total != job.size:
        raise Unavailable(f"{where}: the server announces {total} bytes, but the published file has {job.size}")
    if total > job.max_bytes:
        raise Unavailable(f"{where}: the file has {total} bytes, more than the {job.max_bytes} that are allowed")
    require_free_space(job.target.parent, total - offset, f"the download to {job.target}")


def _web_page(where: str) -> str:
    return f"{where}: a web page came instead of a file; open the address in a browser and copy the file's own"


def _copy(job: _Job, response: httpx.Response, stream: FileIO, offset: int, total: int | None) -> None:
    """Write the body to the part, and stop at the first byte too many."""
    limit = min(number for number in (job.max_bytes, total, job.size) if number is not None)
    done = offset
    for chunk in _brisk(response.iter_raw(), job.patience):
        done += len(chunk)
        if done > limit:
            job.forget()
            raise Unavailable(f"{shown_address(job.url)}: the server sends more than the {limit} bytes that it may")
        try:
            rest = memoryview(chunk)
            while rest:
                rest = rest[stream.write(rest) :]
        except OSError as error:
            raise ValueError(f"{job.part} cannot be written ({error.strerror}){kept(job.target)}") from error
        job.progress(done, total)


def _brisk(chunks: Iterator[bytes], patience: Patience) -> Iterator[bytes]:
    """Pass chunks on until they trickle: a server that sends a byte a minute never times out."""
    since, received = time.monotonic(), 0
    for chunk in chunks:
        received += len(chunk)
        yield chunk
        passed = time.monotonic() - since
        if passed >= patience.read:
            if received < patience.slowest * passed:
                raise Passing(f"only {received} bytes came in {passed:.0f} s")
            since, received = time.monotonic(), 0


def _is_right(job: _Job) -> bool:
    return not job.sha256 or sha256_file(job.part) == job.sha256


def _finish(job: _Job) -> Downloaded:
    """Check the whole part, and give it its name durably.

    Raises:
        Unavailable: a web page, a wrong size or digest; the part is removed.
    """
    where = shown_address(job.url)
    with job.part.open("rb") as stream:
        head = stream.read(_HEAD)
        os.fsync(stream.fileno())
    size, digest = job.here, sha256_file(job.part)
    problem = ""
    if web.looks_like_html(head):
        problem = _web_page(where)
    elif job.size is not None and size != job.size:
        problem = f"{where}: {size} bytes came, but the published file has {job.size}; they were removed"
    elif job.sha256 and digest != job.sha256:
        problem = (
            f"{where}: the file's SHA-256 is {digest}, not {job.sha256}, so it is another file or a damaged one; "
            f"it was removed"
        )
    if problem:
        job.forget()
        raise Unavailable(problem)
    record = read_record(job.target) or Record(job.address)
    write_record(job.target, replace(record, sha256=digest))  # first: a finished file without one would be a stranger
    job.part.replace(job.target)
    fsync_directory(job.target.parent)
    return Downloaded(job.target, digest, size, fresh=True)
