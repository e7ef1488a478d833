"""Addresses and answers: what may be asked, which redirects are followed, which failures are worth another try."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

import httpx

SCHEMES = ("http", "https")
_REDIRECTS = 10
_MOVED = (301, 302, 303, 307, 308)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
# identity: lengths and digests are to be of the file itself
_HEADERS = {"User-Agent": "style-atelier", "Accept-Encoding": "identity"}


class Passing(Exception):  # noqa: N818 (a state, not a failure)
    """Something that may be gone at the next attempt; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        """Keep what happened, in words."""
        super().__init__(reason)
        self.wait = wait


class Unavailable(ValueError):  # noqa: N818 (it reads as what it is)
    """This address does not give the file; another one may."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to ask again."""

    connect: float = 20.0  # s
    read: float = 60.0  # s without a byte
    slowest: float = 100.0  # bytes a second, over `read` seconds; less is a stall too
    attempts: int = 5  # in a row that bring nothing
    first_wait: float = 1.0  # s before the second attempt; doubled each time
    longest_wait: float = 60.0  # s
    progress: int = 1 << 16  # bytes that an attempt must add to count as one that brought something


def check_address(url: str) -> str:
    """Return an address that can be asked.

    Raises:
        ValueError: it is no http or https address of a host.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no address ({error})") from error
    if parsed.scheme not in SCHEMES or not parsed.host:
        raise ValueError(f"{shown_address(url)!r} will not do: an address begins with https:// or http:// and a host")
    return url


def shown_address(url: str) -> str:
    """Return an address fit to print: without user, password, query and fragment."""
    try:
        return str(httpx.URL(url).copy_with(userinfo=b"", query=None, fragment=None))
    except httpx.InvalidURL:
        return url


def file_name(url: str) -> str:
    """Return a plain file name for what lies at an address: letters, digits, `.`, `-` and `_`; never empty."""
    last = unquote(httpx.URL(url).path).rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-")[-100:] or "download"


def new_client(patience: Patience) -> httpx.Client:
    """Return a client that gives up on a silent server and follows no redirect unasked."""
    timeout = httpx.Timeout(patience.read, connect=patience.connect)
    return httpx.Client(timeout=timeout, headers=_HEADERS, follow_redirects=False)


@contextmanager
def answer(client: httpx.Client, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
    """Ask for a file and yield the answer (200, 206 or 416), its body not yet read.

    Raises:
        Passing: no connection, one that broke or fell silent (in the block too), a server in trouble.
        Unavailable: another status, or a redirect that is not followed.
    """
    here = httpx.URL(url)
    for _ in range(_REDIRECTS + 1):
        try:
            response = client.send(client.build_request("GET", here, headers=dict(headers)), stream=True)
            try:
                if response.status_code not in _MOVED:
                    _check_status(response)
                    yield response
                    return
                here = _moved_to(here, response)
            finally:
                response.close()
        except httpx.InvalidURL as error:  # httpx looks at every redirect, followed or not
            raise Unavailable(f"{shown_address(str(here))}: redirects to what is no address ({error})") from error
        except httpx.TransportError as error:
            raise Passing(_reason(error, client.timeout)) from error
    raise Unavailable(f"{shown_address(url)}: more than {_REDIRECTS} redirects, probably a circle")


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    said = f"the server answered {status} {response.reason_phrase}".rstrip()
    if status in _PASSING:
        asked = response.headers.get("retry-after", "")
        raise Passing(said, float(asked) if asked.isdecimal() and asked.isascii() else 0.0)
    if status not in (200, 206, 416):
        raise Unavailable(f"{shown_address(str(response.url))}: {said}; check the address in a browser")


def _moved_to(here: httpx.URL, response: httpx.Response) -> httpx.URL:
    location = response.headers.get("location", "")
    try:
        target = here.join(location)
    except httpx.InvalidURL as error:
        raise Unavailable(f"{shown_address(str(here))}: redirects to {location!r}, which is no address") from error
    # From https to http would be to trust whoever is on the line.
    allowed = ("https",) if here.scheme == "https" else SCHEMES
    if not location or target.scheme not in allowed or not target.host:
        shown = f"{target.scheme}: ({shown_address(str(target))})" if location else "nowhere"
        raise Unavailable(f"{shown_address(str(here))}: redirects to {shown}, which is not followed")
    return target


def _reason(error: httpx.TransportError, timeout: httpx.Timeout) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {timeout.connect:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"nothing came for {timeout.read:g} s"
    return str(error) or type(error).__name__


def content_range(response: httpx.Response) -> tuple[int, int | None] | None:
    """Return where the bytes of a partial answer begin, and the whole file's size if said; None without either."""
    found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    return (int(found[1]), None if found[3] == "*" else int(found[3])) if found else None


def content_length(response: httpx.Response) -> int | None:
    """Return the announced number of bytes of this answer's body, None if it announces none."""
    if "transfer-encoding" in response.headers:
        return None  # which then goes before a length
    said = response.headers.get("content-length", "")
    return int(said) if said.isdecimal() and said.isascii() else None


def looks_like_html(head: bytes) -> bool:
    """Whether a file begins as a web page does."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<!--"))
