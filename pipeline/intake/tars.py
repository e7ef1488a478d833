"""tar, plain or compressed: read from front to end, each header checked before its data is taken.

Read with our own few lines: `tarfile` reads extended headers of any size into memory and keeps every one, and
several of its releases loop or slow down on hostile headers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from pipeline.images import Refused
from pipeline.intake.inflate import MAGIC, PIECE, inflate
from pipeline.intake.unpacked import Damaged, Store, is_skipped, refusal_of_name

BLOCK = 512
_LARGEST_HEADER = 1 << 20  # bytes of one extended header; real ones hold a path and attributes
_MOST_HEADERS = 16  # extended headers before one member; real archives have up to three
_MOST_PARTS = 1 << 16  # of a sparse member
_REGULAR = (b"0", b"\0", b"7", b"S")  # S: sparse
_LINKS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a FIFO"}
_FOLDERS = (b"5", b"D", b"V")  # D: GNU's lists of a folder; V: an archive's label
_DATALESS = (*_LINKS, b"5", b"V")


@dataclass(frozen=True)
class _Header:
    """One header with what extended headers before it say; `stored` is the bytes of data that follow it."""

    text: str
    kind: bytes
    stored: int
    block: bytes
    pax: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Layout:
    """A member's real size, its stored parts (offset, length; None: they make no sense), bytes yet to be read."""

    size: int
    parts: list[tuple[int, int]] | None
    left: int


class _Reader:
    """The unpacked archive, every byte of which is counted as it comes out."""

    def __init__(self, pieces: Iterator[bytes], store: Store) -> None:
        self._pieces = pieces
        self._store = store
        self._piece = b""
        self._at = 0

    def take(self, most: int) -> bytes:
        """Return 1 to `most` bytes, none at the end."""
        if self._at == len(self._piece):
            try:
                self._piece, self._at = next(self._pieces, b""), 0
            except Damaged as error:
                raise Refused(error.code, error.detail) from error
            self._store.spend(len(self._piece))
        taken = self._piece[self._at : self._at + most]
        self._at += len(taken)
        return taken

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""
        parts = []
        while size > 0 and (part := self.take(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def exactly(self, size: int) -> Iterator[bytes]:
        """Yield `size` bytes in pieces.

        Raises:
            Refused: truncated.
        """
        while size > 0:
            piece = self.take(min(size, PIECE))
            if not piece:
                raise Refused("truncated", "it ends inside a member")
            yield piece
            size -= len(piece)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        for _ in self.exactly(size):
            pass

    def drain(self) -> None:
        """Read to the end, where compressed data has its checksum."""
        while self.take(PIECE):
            pass


def is_tar(head: bytes) -> bool:
    """Return whether a file beginning with these 512 bytes is a tar archive or compressed (as tar archives are)."""
    return head.startswith(tuple(MAGIC.values())) or _has_checksum(head)


def unpack_tar(stream: BinaryIO, store: Store) -> None:
    """Unpack a tar, compressed with gzip, bzip2, xz or not at all, into `store`.

    Raises:
        Refused: not_image, truncated, unreadable, too_large.
    """
    head = stream.read(BLOCK)
    stream.seek(0)
    plain = iter(lambda: stream.read(PIECE), b"")
    kind = None if _has_checksum(head) else next(kind for kind, magic in MAGIC.items() if head.startswith(magic))
    reader = _Reader(inflate(kind, plain) if kind else plain, store)
    for header in _headers(reader, store):
        _take(reader, header, store)
    reader.drain()


def _headers(reader: _Reader, store: Store) -> Iterator[_Header]:
    """Yield the headers of all members, each with its data next in `reader`, which the caller must consume."""
    first = True
    ended = False  # a block of zeros was seen; members may follow where archives were joined, or garbage
    while True:
        block = reader.read(BLOCK)
        if len(block) < BLOCK or not _has_checksum(block):
            if len(block) == BLOCK and not block.strip(b"\0"):
                ended = True
                continue
            if first:
                raise Refused("not_image", "its name is an archive's and its content is neither a zip nor a tar")
            if ended:
                return
            if len(block) < BLOCK:
                raise Refused("truncated", "it ends without the mark of an archive's end")
            raise Refused("unreadable", "a header's checksum is wrong")
        first = False
        store.meet()
        yield _extended(reader, _parse(block))


def _extended(reader: _Reader, header: _Header) -> _Header:
    """Return a member's header with what the extended headers before it say."""
    name, pax = None, {}
    for _ in range(_MOST_HEADERS):
        if header.kind in (b"L", b"K"):
            data = _header_data(reader, header)
            name = _text(data) if header.kind == b"L" else name
        elif header.kind in (b"x", b"X"):
            pax = _pax(_header_data(reader, header))
        elif header.kind == b"g":
            _header_data(reader, header)  # for all members: comments and times
        else:
            break
        block = reader.read(BLOCK)
        if len(block) < BLOCK:
            raise Refused("truncated", "it ends after an extended header")
        if not _has_checksum(block):
            raise Refused("unreadable", "a header's checksum is wrong")
        header = _parse(block)
    else:
        raise Refused("unreadable", f"a member has more than {_MOST_HEADERS} extended headers")
    text = pax.get("GNU.sparse.name") or pax.get("path") or name or header.text
    stored = _decimal(pax["size"]) if "size" in pax else header.stored
    return replace(header, text=text, pax=pax, stored=0 if header.kind in _DATALESS else stored)


def _header_data(reader: _Reader, header: _Header) -> bytes:
    if header.stored > _LARGEST_HEADER:
        raise Refused("too_large", f"an extended header has {header.stored} bytes, more than {_LARGEST_HEADER}")
    data = b"".join(reader.exactly(header.stored))
    reader.skip(_padding(header.stored))
    return data


def _take(reader: _Reader, header: _Header, store: Store) -> None:
    """Unpack one member, or refuse it, or leave it out, and pass over its data."""
    layout = _layout(reader, header)
    left = layout.left
    if header.kind not in _FOLDERS and not header.text.endswith("/") and not is_skipped(header.text):
        if refusal := _refusal(header, layout, store):
            store.refuse(header.text, *refusal)
        else:
            store.require(layout.size)
            store.spend(layout.size - left)  # holes, which take no bytes of the archive
            store.keep(header.text, _pieces(reader, layout), layout.size)
            left = 0
    reader.skip(left + _padding(header.stored))


def _refusal(header: _Header, layout: _Layout, store: Store) -> tuple[str, str] | None:
    """Return why a member is refused, if it is."""
    if by_name := refusal_of_name(header.text):
        return by_name
    if header.kind in _LINKS:
        return "not_regular", f"it is {_LINKS[header.kind]}"
    if header.kind not in _REGULAR:
        return "not_regular", f"it is of a kind ({header.kind!r}) that is not read"
    if layout.parts is None:
        return "unreadable", "it is stored sparsely in a form that is not read"
    if layout.size > store.max_member_bytes:
        return "too_large", f"{layout.size} bytes, more than max_bytes ({store.max_member_bytes})"
    return None


def _pieces(reader: _Reader, layout: _Layout) -> Iterator[tuple[int, bytes]]:
    for offset, length in layout.parts or ():
        for piece in reader.exactly(length):
            yield offset, piece
            offset += len(piece)


def _layout(reader: _Reader, header: _Header) -> _Layout:
    """Return where a member's bytes go, with the map of a sparse one read."""
    left = header.stored
    if header.kind == b"S":
        size = _number(header.block[483:495])
        parts = _gnu_parts(reader, header.block)
    elif header.pax.get("GNU.sparse.major") == "1":
        size = _decimal(header.pax.get("GNU.sparse.realsize", ""))
        parts, used = _pax_parts(reader, header.stored)
        left -= used
    elif any(key.startswith("GNU.sparse.") for key in header.pax):  # 0.0 and 0.1, written until 2006
        return _Layout(left, None, left)
    else:
        return _Layout(left, [(0, left)], left)
    return _Layout(size, parts if _are_sound(parts, size, left) else None, left)


def _are_sound(parts: list[tuple[int, int]], size: int, left: int) -> bool:
    end = 0
    for offset, length in parts:
        if offset < end:
            return False
        end = offset + length
    return end <= size and sum(length for _, length in parts) == left


def _gnu_parts(reader: _Reader, block: bytes) -> list[tuple[int, int]]:
    """Return the map in a header of GNU's own kind and in the blocks that continue it."""
    parts = _gnu_entries(block[386:482])
    more = block[482]
    while more:
        if len(parts) > _MOST_PARTS:
            raise Refused("too_large", f"a sparse member has more than {_MOST_PARTS} parts")
        block = b"".join(reader.exactly(BLOCK))
        parts += _gnu_entries(block[:504])
        more = block[504]
    return parts


def _gnu_entries(table: bytes) -> list[tuple[int, int]]:
    rows = (table[at : at + 24] for at in range(0, len(table), 24))
    return [(_number(row[:12]), _number(row[12:])) for row in rows if row.strip(b"\0 ")]


def _pax_parts(reader: _Reader, stored: int) -> tuple[list[tuple[int, int]], int]:
    """Return the map before a sparse member's data (decimal numbers, a line each), and its bytes."""
    text, used, wanted = b"", 0, 1
    lines: list[bytes] = []
    while len(lines) < wanted:
        if used + BLOCK > stored:
            raise Refused("unreadable", "a sparse member's map is damaged")
        text += b"".join(reader.exactly(BLOCK))
        used += BLOCK
        *complete, text = text.split(b"\n")
        lines += complete
        if lines and wanted == 1:
            wanted = 1 + 2 * _decimal(lines[0].decode("ascii", "replace"))
        if wanted > 2 * _MOST_PARTS or len(text) > BLOCK:
            raise Refused("too_large", f"a sparse member has more than {_MOST_PARTS} parts")
    numbers = [_decimal(line.decode("ascii", "replace")) for line in lines[1:wanted]]
    return list(zip(numbers[::2], numbers[1::2], strict=True)), used


def _has_checksum(block: bytes) -> bool:
    """Return whether a block is a header: the sum of its bytes, its own field taken as spaces, is in that field."""
    if len(block) < BLOCK:
        return False
    try:
        declared = int(block[148:156].strip(b" \0") or b"-1", 8)
    except ValueError:
        return False
    others = block[:148] + block[156:]
    unsigned = sum(others) + 8 * ord(" ")
    return declared in (unsigned, unsigned - 256 * sum(byte > 127 for byte in others))


def _parse(block: bytes) -> _Header:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return _Header(_text(prefix + b"/" + name if prefix else name), block[156:157], _number(block[124:136]), block)


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _number(digits: bytes) -> int:
    """Return a header's number: octal digits, or with the first bit set binary, which may not be negative."""
    if digits[0] & 0x80:
        value = int.from_bytes(digits, "big") - (0x80 << 8 * (len(digits) - 1))
        if digits[0] & 0x40:
            raise Refused("unreadable", "a header holds a negative number")
        return value
    text = digits.partition(b"\0")[0].strip()
    if text.strip(b"01234567"):
        raise Refused("unreadable", "a header's number is damaged")
    return int(text or b"0", 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise Refused("unreadable", "an extended header's number is damaged")
    return int(text)


def _pax(data: bytes) -> dict[str, str]:
    """Return the records of a pax header, each `length key=value` and a newline."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 20)
        length = _decimal(data[at:space].decode("ascii", "replace")) if space > 0 else 0
        record = data[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if at + length > len(data) or length <= space - at or not equals or not record.endswith(b"\n"):
            raise Refused("unreadable", "an extended header is damaged")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += length
    return records


def _padding(size: int) -> int:
    return -size % BLOCK
