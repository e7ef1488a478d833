"""Decompression in pieces: memory stays the same whatever the compressed bytes claim or become."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from pipeline.intake.unpacked import Damaged

PIECE = 1 << 16  # bytes
_XZ_MEMORY = 128 << 20  # bytes; `xz -9` needs 65 MiB, and a hostile header asks for 1.5 GiB

Kind = Literal["deflate", "gzip", "bzip2", "xz"]
MAGIC: dict[Kind, bytes] = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}


class _Decompressor(Protocol):
    """What bz2's and lzma's objects have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib's object with the interface of the others."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        # After a full piece zlib may hold more output although it has consumed all input.
        return not self._full and not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(piece) == max_length
        return piece


_MAKERS: dict[Kind, Callable[[], _Decompressor]] = {
    "deflate": lambda: _Zlib(-zlib.MAX_WBITS),
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
}


def inflate(kind: Kind, packed: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces (at most `PIECE` bytes) of one compressed stream and of those that follow it at once.

    What follows the last stream and is none is ignored, as the tools of each format do.

    Raises:
        Damaged: truncated, unreadable, too_large (xz that would need more than 128 MiB of memory).
    """
    rest = b""
    while True:
        decompressor = _MAKERS[kind]()
        yield from _one(decompressor, rest, packed)
        rest = decompressor.unused_data
        if kind == "deflate":
            return
        rest = _next_stream(rest, packed, MAGIC[kind])
        if not rest:
            return


def _one(decompressor: _Decompressor, data: bytes, packed: Iterator[bytes]) -> Iterator[bytes]:
    while not decompressor.eof:
        if not data and decompressor.needs_input:
            data = next(packed, b"")
            if not data:
                raise Damaged("truncated", "its compressed data ends too early")
        try:
            piece = decompressor.decompress(data, PIECE)
        except lzma.LZMAError as error:
            if "memory" in str(error).lower():
                limit = f"{_XZ_MEMORY >> 20} MiB"
                raise Damaged("too_large", f"it needs more than {limit} of memory to unpack") from error
            raise Damaged("unreadable", f"its compressed data is damaged ({error})") from error
        except (zlib.error, OSError, ValueError, EOFError) as error:
            raise Damaged("unreadable", f"its compressed data is damaged ({error})") from error
        data = b""
        if piece:
            yield piece


def _next_stream(rest: bytes, packed: Iterator[bytes], magic: bytes) -> bytes:
    """Return the beginning of a stream that follows, after padding with zeros; nothing if none does."""
    rest = rest.lstrip(b"\0")
    while len(rest) < len(magic):
        more = next(packed, b"")
        if not more:
            return b""
        rest = (rest + more).lstrip(b"\0")
    return rest if rest.startswith(magic) else b""
