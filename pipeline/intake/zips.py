"""zip: its directory is read and judged as a whole before a byte is unpacked.

Read with our own few lines: `zipfile` loads a directory of any size into memory, and until late patch releases takes
entries that lie over one another.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.images import Refused
from pipeline.intake.inflate import PIECE, Kind, inflate
from pipeline.intake.unpacked import Damaged, Store, is_skipped, refusal_of_name

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_LOCATOR64, _END64 = b"PK\x06\x07", b"PK\x06\x06"
_CENTRAL = struct.Struct("<4s4B4H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_END = struct.Struct("<4s4H2IH")
_END64_RECORD = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_STORED, _AES = 0, 99
_METHODS: dict[int, Kind] = {8: "deflate", 12: "bzip2"}
_ENCRYPTED = 0b10_0000_0100_0001  # flags: encrypted, strongly encrypted, masked headers
_UTF8 = 1 << 11
_FULL = 0xFFFFFFFF  # the field does not fit and is in the zip64 extra


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the directory; `start` is the local header's place in the file."""

    text: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    mode: int  # as in stat, 0 if the archive was not made on Unix


@dataclass(frozen=True)
class _Directory:
    """Where the directory lies, its number of entries, and how far off offsets are (something stands before all)."""

    start: int
    size: int
    count: int
    shift: int


def unpack_zip(stream: BinaryIO, size: int, store: Store) -> None:
    """Unpack a zip of `size` bytes into `store`.

    Raises:
        Refused: not_image, truncated, unreadable, too_large.
    """
    directory = _find_directory(stream, size)
    entries = [entry for entry in _entries(stream, directory, store) if not _is_left_out(entry)]
    _check_overlaps(entries, directory)
    refusals = [_refusal(entry, store) for entry in entries]
    store.require(sum(entry.size for entry, refusal in zip(entries, refusals, strict=True) if not refusal))
    for entry, refusal in zip(entries, refusals, strict=True):
        if refusal:
            store.refuse(entry.text, *refusal)
        else:
            store.keep(entry.text, _content(stream, entry, store), entry.size)


def _find_directory(stream: BinaryIO, size: int) -> _Directory:
    """Return the directory that the last end record with a directory belongs to."""
    head = _read_at(stream, 0, 4)
    tail_start = max(0, size - _END.size - 0xFFFF)
    tail = _read_at(stream, tail_start, size - tail_start)
    at = len(tail)
    while (at := tail.rfind(END, 0, at)) >= 0:
        found = _directory_at(stream, tail_start + at, tail[at : at + _END.size])
        if not found:
            continue
        if found.shift and head == LOCAL:
            raise Refused("unreadable", "its end is another archive's: several were joined, or its own is missing")
        return found
    if head == LOCAL:
        raise Refused("truncated", "it begins like a zip and its end is missing")
    raise Refused("not_image", "its name is an archive's and its content is neither a zip nor a tar")


def _directory_at(stream: BinaryIO, at: int, record: bytes) -> _Directory | None:
    """Return the directory that an end record at `at` describes, None if there is none where it says."""
    if len(record) < _END.size:
        return None
    _, disk, first_disk, _, count, size, offset, _ = _END.unpack(record)
    end = at
    locator = _read_at(stream, at - _LOCATOR.size, _LOCATOR.size) if at >= _LOCATOR.size else b""
    if locator.startswith(_LOCATOR64):
        for place in (_LOCATOR.unpack(locator)[2], at - _LOCATOR.size - _END64_RECORD.size):
            large = _read_at(stream, place, _END64_RECORD.size) if 0 <= place < at else b""
            if large.startswith(_END64) and len(large) == _END64_RECORD.size:
                _, _, _, _, disk, first_disk, _, count, size, offset = _END64_RECORD.unpack(large)
                end = place
                break
    for start in (end - size, offset):  # a signature may lie between the directory and its end
        if 0 <= offset <= start <= end - size and _read_at(stream, start, 4) == CENTRAL:
            if disk or first_disk:
                raise Refused("unreadable", "it is one part of a zip in several files; join them first")
            return _Directory(start, size, count, start - offset)
    if offset != end - size:
        return None
    if size or count:
        raise Refused("unreadable", "its directory is damaged or encrypted")
    return _Directory(end, 0, 0, 0)


def _entries(stream: BinaryIO, directory: _Directory, store: Store) -> Iterator[_Entry]:
    stream.seek(directory.start)
    left, count = directory.size, 0
    while left > 0:
        head = stream.read(min(left, _CENTRAL.size))
        if len(head) < _CENTRAL.size or not head.startswith(CENTRAL):
            raise Refused("unreadable", "its directory is damaged")
        store.meet()
        count += 1
        fields = _CENTRAL.unpack(head)
        flags, method, crc, packed, size = fields[5], fields[6], *fields[9:12]
        lengths, attributes, offset = fields[12:15], fields[17], fields[18]
        rest = stream.read(sum(lengths))
        left -= len(head) + sum(lengths)
        if len(rest) < sum(lengths) or left < 0:
            raise Refused("unreadable", "its directory is damaged")
        name, extra = rest[: lengths[0]], rest[lengths[0] : lengths[0] + lengths[1]]
        size, packed, offset = _wide(extra, size, packed, offset)
        text = _decoded(name, flags).replace("\\", "/")
        yield _Entry(text, flags, method, crc, packed, size, offset + directory.shift, attributes >> 16)
    if (count - directory.count) & 0xFFFF:  # old programs count in 16 bits
        raise Refused("unreadable", f"its directory has {count} entries and declares {directory.count}")


def _wide(extra: bytes, *narrow: int) -> list[int]:
    """Return the given fields, those that are full from the zip64 extra."""
    wide = b""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            wide = extra[4 : 4 + length]
            break
        extra = extra[4 + length :]
    values = []
    for value in narrow:
        if value == _FULL and len(wide) >= 8:
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        values.append(value)
    return values


def _decoded(name: bytes, flags: int) -> str:
    """Return a name: UTF-8 if it says so or is so, else the code page of the first PCs; no name is an error."""
    if flags & _UTF8:
        return name.decode("utf-8", "surrogateescape")
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


def _is_left_out(entry: _Entry) -> bool:
    is_folder = entry.text.endswith("/") or stat.S_ISDIR(entry.mode)
    return is_folder or is_skipped(entry.text)


def _refusal(entry: _Entry, store: Store) -> tuple[str, str] | None:
    """Return why a member is refused before it is unpacked, if it is."""
    if by_name := refusal_of_name(entry.text):
        return by_name
    if stat.S_IFMT(entry.mode) not in (0, stat.S_IFREG):
        return "not_regular", "it is a link or a device"
    if entry.flags & _ENCRYPTED or entry.method == _AES:
        return "unreadable", "it is encrypted; pack it without a password"
    if entry.method != _STORED and entry.method not in _METHODS:
        return "unreadable", f"its compression (method {entry.method}) is not supported; pack it with deflate"
    if entry.size > store.max_member_bytes:
        return "too_large", f"{entry.size} bytes, more than max_bytes ({store.max_member_bytes})"
    return None


def _check_overlaps(entries: list[_Entry], directory: _Directory) -> None:
    """Refuse entries that lie over one another: a bomb unpacks the same bytes many times over."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.start):
        if entry.start < end:
            raise Refused("unreadable", "its members overlap: it is damaged, or made to do damage")
        end = entry.start + _LOCAL.size + entry.packed
    if end > directory.start:
        raise Refused("unreadable", "its members overlap its directory: it is damaged, or made to do damage")


def _content(stream: BinaryIO, entry: _Entry, store: Store) -> Iterator[tuple[int, bytes]]:
    """Yield a member's content, which must be as long as declared and have the declared checksum."""
    header = _read_at(stream, entry.start, _LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(LOCAL):
        raise Damaged("unreadable", "it is not where the archive's directory says")
    start = entry.start + _LOCAL.size + sum(_LOCAL.unpack(header)[9:11])
    packed = _packed(stream, start, entry.packed)
    pieces = packed if entry.method == _STORED else inflate(_METHODS[entry.method], packed)
    done = crc = 0
    for piece in pieces:
        store.spend(len(piece))
        if done + len(piece) > entry.size:
            raise Damaged("unreadable", f"it is longer than the {entry.size} bytes it declares")
        yield done, piece
        done += len(piece)
        crc = zlib.crc32(piece, crc)
    if done < entry.size:
        raise Damaged("unreadable", f"it has {done} bytes and declares {entry.size}")
    if crc != entry.crc:
        raise Damaged("unreadable", "its checksum is wrong")


def _packed(stream: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    while size > 0:
        piece = _read_at(stream, start, min(size, PIECE))
        if not piece:
            raise Damaged("truncated", "the archive ends inside it")
        yield piece
        start += len(piece)
        size -= len(piece)


def _read_at(stream: BinaryIO, start: int, size: int) -> bytes:
    stream.seek(start)
    return stream.read(size)
