"""Archives made byte by byte, so that every field may lie."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Files = Sequence[tuple[str, bytes]]


@dataclass
class Z:
    """One member of a zip; what is None is as it should be."""

    name: bytes
    data: bytes = b"content"
    method: int = 8
    flags: int = 0
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    offset: int | None = None
    mode: int = 0
    extra: bytes = b""
    lead: bytes = b"PK\x03\x04"


def raw_zip(members: Sequence[Z], **end: int) -> bytes:
    """Return a zip; `end` overrides disk, count, size, offset of the end record."""
    body, directory = b"", b""
    for member in members:
        data = member.data
        if member.method == 8:
            squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
            data = squeeze.compress(data) + squeeze.flush()
        elif member.method == 12:
            data = bz2.compress(data)
        offset = len(body) if member.offset is None else member.offset
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        packed = len(data) if member.packed is None else member.packed
        size = len(member.data) if member.size is None else member.size
        common = struct.pack("<HHHHHIII", 20, member.flags, member.method, 0, 33, crc, packed, size)
        body += member.lead + common + struct.pack("<HH", len(member.name), 0) + member.name + data
        lengths = struct.pack("<HHHHHII", len(member.name), len(member.extra), 0, 0, 0, member.mode << 16, offset)
        directory += b"PK\x01\x02\x14\x03" + common + lengths + member.name + member.extra
    disk, count = end.get("disk", 0), end.get("count", len(members) & 0xFFFF)
    size, offset = end.get("size", len(directory)), end.get("offset", len(body))
    return body + directory + struct.pack("<4s4HIIH", b"PK\x05\x06", disk, disk, count, count, size, offset, 0)


def block(name: bytes = b"a.png", size: int = 0, kind: bytes = b"0", **fields: bytes) -> bytes:
    """Return one tar header; `fields` are size, magic, prefix, tail (bytes from 386 on), checksum."""
    head = bytearray(512)
    head[: len(name)] = name
    head[100:124] = b"0000644\0" + b"0000000\0" * 2
    head[124:136] = fields.get("size_field", b"%011o\0" % size)
    head[136:148] = b"00000000000\0"
    head[156:157] = kind
    head[257:265] = fields.get("magic", b"ustar\x0000")
    prefix = fields.get("prefix", b"")
    head[345 : 345 + len(prefix)] = prefix
    tail = fields.get("tail", b"")
    head[386 : 386 + len(tail)] = tail
    head[148:156] = b" " * 8
    head[148:156] = fields.get("checksum", b"%06o\0 " % sum(head))
    return bytes(head)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)


def member(name: bytes, data: bytes = b"content", kind: bytes = b"0", **fields: bytes) -> bytes:
    return block(name, len(data), kind, **fields) + padded(data)


def pax(records: dict[str, bytes], kind: bytes = b"x") -> bytes:
    data = b""
    for key, value in records.items():
        body = b" " + key.encode() + b"=" + value + b"\n"
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        data += str(length).encode() + body
    return member(b"pax", data, kind)


def hungry_xz(data: bytes, bits: int = 36) -> bytes:
    """Return xz data whose header asks for a dictionary of 1 GiB (LZMA2 property 36)."""
    stream = bytearray(lzma.compress(data))
    length = (stream[12] + 1) * 4
    at = stream.index(b"\x21\x01", 12, 12 + length)
    stream[at + 2] = bits
    stream[12 + length - 4 : 12 + length] = struct.pack("<I", zlib.crc32(stream[12 : 12 + length - 4]))
    return bytes(stream)


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")  # of one name twice, which is meant
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)  # an old date, so that it is the same each time
    return stream.getvalue()


def tarred(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


SQUEEZE: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
PACK: dict[str, Callable[[Files], bytes]] = {
    "stored": lambda files: zipped(files, zipfile.ZIP_STORED),
    "deflated": zipped,
    "ustar": lambda files: tarred(files, tarfile.USTAR_FORMAT),
    "gnu": lambda files: tarred(files, tarfile.GNU_FORMAT),
    "pax": tarred,
    "tar.gz": lambda files: SQUEEZE["gzip"](tarred(files)),
    "tar.bz2": lambda files: SQUEEZE["bzip2"](tarred(files)),
    "tar.xz": lambda files: SQUEEZE["xz"](tarred(files)),
}
