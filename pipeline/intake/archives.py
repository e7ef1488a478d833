"""zip and tar archives among the files to ingest: unpacked under limits, each member on its own.

`zipfile` and `tarfile` read them. What comes out is counted here; the memory that a hostile directory, header or xz
dictionary asks for (files of `lzma` take no memlimit) and the time are bounded by the worker that this runs in.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from pipeline.images import Refused
from pipeline.params import Archives

ARCHIVES = (".zip", ".cbz", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_SMALL = 10_000_000  # unpacked bytes up to which any ratio is harmless, and flat scans legitimately reach a high one
_CHUNK = 1 << 18  # bytes read at once: more than a tar's extended headers really have
_LONGEST = 1024  # letters of a name; all names of an archive are in memory at once
_LOCAL, _END = b"PK\x03\x04", b"PK\x05\x06"  # begins the first member of a zip; begins one of nothing
_COMPRESSED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others in pieces of unbounded size
_FOLDERS = (tarfile.DIRTYPE, b"D", b"V")  # D: GNU's list of a folder; V: the archive's label
_NO_ARCHIVE = "its name is an archive's and its content is neither a zip nor a tar"


@dataclass(frozen=True)
class Member:
    """One file of an archive: unpacked at `path`, or `refused` with a reason code and the detail.

    `name` is the last part of its name and `folder` the rest ('' at the top): to be recorded, never used as a path.
    """

    name: str
    folder: str
    path: Path | None
    refused: tuple[str, str] | None


class _Damaged(Refused):
    """Bytes that cannot be unpacked: in a zip they cost one member, in a tar all that follow, so the archive."""


def unpack(path: Path, folder: Path, limits: Archives, max_member_bytes: int) -> list[Member]:
    """Unpack the regular files of an archive and return them, and those refused, in the archive's order.

    Left out without a word: folders, and the notes that macOS packs (`__MACOSX/`, `._name`, `.DS_Store`). Files of
    one name are all taken. Whether it is a zip or a tar (ustar, GNU, pax; plain or in gzip, bzip2, xz) its content
    decides.

    Args:
        path: the archive.
        folder: empty, or made here; the files in it are called 00000001 and so on.
        limits: how many members, unpacked bytes, and unpacked bytes per packed byte (beyond the first 10 MB).
        max_member_bytes: a larger member is refused.

    Raises:
        Refused: the archive as a whole, and everything unpacked is removed. not_image: it is no archive. truncated.
            unreadable: damaged, or of an unsupported kind. too_large: beyond `limits`. empty: it holds no file.
        MemoryError: it takes more than this process may have; everything unpacked is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _reading():
        stream = path.open("rb")
    with stream:
        store = _Store(folder, os.fstat(stream.fileno()).st_size, limits, max_member_bytes)
        try:
            with _reading():
                head = stream.read(tarfile.BLOCKSIZE)
                stream.seek(0)
            opener = next((opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)), None)
            if head[257:262] == b"ustar":
                _unpack_tar(stream, store)
            elif opener:
                _unpack_tar(opener(stream), store)
            elif head and not head.strip(b"\0"):
                raise Refused("empty", "it holds no files")  # as a tar of nothing does
            else:
                _unpack_zip(stream, head, store)
            if not store.members:
                raise Refused("empty", "it holds no files")
        except BaseException:
            for unpacked in folder.iterdir():
                unpacked.unlink()
            raise
    return store.members


def is_archive(name: str) -> bool:
    """Return whether a file's name says that it is a zip or tar archive."""
    return name.lower().endswith(ARCHIVES)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn what a library raises into a refusal; nothing is written within, so that an OSError is the archive's too.

    What hostile bytes lead to is not documented: errors of the libraries' own, of zlib and lzma, NotImplementedError,
    struct.error, EOFError, OverflowError, IndexError, RecursionError. None may end the ingestion of other files.
    """
    try:
        yield
    except (Refused, MemoryError):
        raise
    except Exception as error:
        said = str(error)[:200] or type(error).__name__
        is_cut = isinstance(error, EOFError) or said.startswith(("unexpected end", "truncated", "empty header"))
        raise _Damaged("truncated" if is_cut else "unreadable", f"it cannot be unpacked ({said})") from error


class _Store:
    """The folder that an archive of `packed` bytes is unpacked to, under names of our own."""

    def __init__(self, folder: Path, packed: int, limits: Archives, max_member_bytes: int) -> None:
        self.members: list[Member] = []
        self.max_member_bytes = max_member_bytes
        self._folder, self._packed, self._limits, self._written = folder, packed, limits, 0

    def check_count(self, count: int) -> None:
        """Refuse the archive if it has too many entries of any kind."""
        if count > self._limits.max_members:
            raise Refused("too_large", f"it holds more than max_members ({self._limits.max_members}) files")

    def check_total(self, size: int) -> None:
        """Refuse the archive if that many bytes in all are more than may come out of it."""
        if size > self._limits.max_bytes:
            raise Refused("too_large", f"it unpacks to more than max_bytes ({self._limits.max_bytes})")
        if size > max(_SMALL, self._limits.max_ratio * self._packed):
            ratio = f"{self._limits.max_ratio:g}"
            raise Refused("too_large", f"it unpacks to more than max_ratio ({ratio}) times its own size")

    def take(
        self, name: str, size: int, flaw: tuple[str, str] | None, opener: Callable[[], IO[bytes] | None]
    ) -> None:
        """Unpack a file that declares `size` bytes, or record why not: its name, its size, or its `flaw` if any."""
        if size > self.max_member_bytes:
            flaw = flaw or ("too_large", f"{size} bytes, more than max_bytes ({self.max_member_bytes})")
        if flaw := _flaw_of_name(name) or flaw:
            return self.refuse(name, *flaw)
        self.check_total(self._written + size)
        path = self._folder / f"{len(self.members) + 1:08d}"
        with path.open("xb") as output:
            try:
                for piece in _pieces(opener):
                    self._written += len(piece)
                    self.check_total(self._written)
                    output.write(piece)
                if output.tell() != size:
                    raise _Damaged("unreadable", f"it has {output.tell()} bytes and declares {size}")
            except _Damaged:
                path.unlink()
                raise
        self.members.append(Member(*_split(name), path, None))

    def refuse(self, name: str, code: str, detail: str) -> None:
        """Record a member that is not unpacked."""
        self.members.append(Member(*_split(name), None, (code, detail)))


def _pieces(opener: Callable[[], IO[bytes] | None]) -> Iterator[bytes]:
    with _reading():
        source = opener()
        while source and (piece := source.read(_CHUNK)):
            yield piece


def _unpack_zip(stream: IO[bytes], head: bytes, store: _Store) -> None:
    with _reading():
        if not zipfile.is_zipfile(stream):
            if head.startswith(_LOCAL):
                raise Refused("truncated", "it begins like a zip and its end is missing")
            raise Refused("not_image", _NO_ARCHIVE)
        archive = _open_zip(stream)
    infos = archive.infolist()
    store.check_count(len(infos))
    if not head.startswith((_LOCAL, _END)):
        raise Refused("unreadable", "something stands before its beginning, perhaps a picture; unpack it yourself")
    if head.startswith(_LOCAL) and infos and min(info.header_offset for info in infos) > 0:
        raise Refused("unreadable", "its end is another archive's: several were joined, or its own is missing")
    store.check_total(sum(info.file_size for info in infos if info.file_size <= store.max_member_bytes))
    for info in infos:
        name = info.orig_filename.replace("\\", "/")  # `filename` ends at a NUL
        if name.endswith("/") or stat.S_ISDIR(info.external_attr >> 16) or _is_skipped(name):
            continue
        try:
            store.take(name, info.file_size, _flaw_of_zipped(info), partial(archive.open, info))
        except _Damaged as damage:
            store.refuse(name, damage.code, damage.detail)


def _open_zip(stream: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream, metadata_encoding="utf-8")  # what programs write today, and do not always say
    except UnicodeDecodeError:
        return zipfile.ZipFile(stream)  # the code page of the first PCs


def _flaw_of_zipped(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "not_regular", "it is a link or a device"
    if info.flag_bits & 1:
        return "unreadable", "it is encrypted; pack it without a password"
    if info.compress_type not in _METHODS:
        return "unreadable", f"its compression (method {info.compress_type}) is not supported; pack it with deflate"
    return None


class _Forward:
    """A tar's bytes, counted, and read only onwards and in small pieces, whatever its headers lead `tarfile` to."""

    def __init__(self, stream: IO[bytes], store: _Store) -> None:
        self._stream, self._store, self._position = stream, store, 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise Refused("unreadable", f"it has a header of {size} bytes")
        with _reading():
            self.last = self._stream.read(size)
        self._position += len(self.last)
        self._store.check_total(self._position)
        return self.last

    def seek(self, position: int) -> None:
        if position < self._position:
            raise Refused("unreadable", "it has a header that leads backwards")
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass

    def tell(self) -> int:
        return self._position


def _unpack_tar(unpacked: IO[bytes], store: _Store) -> None:
    stream = _Forward(unpacked, store)
    with _reading():
        try:
            tar = tarfile.TarFile(fileobj=stream, encoding="utf-8")  # type: ignore[arg-type]
        except tarfile.ReadError as error:
            if stream.tell() > tarfile.BLOCKSIZE or b"ustar" in stream.last:
                raise
            raise Refused("not_image", _NO_ARCHIVE) from error
    count = 0
    while True:
        with _reading():
            info = tar.next()
        if info is None:
            break
        tar.members.clear()  # type: ignore[attr-defined]  # else the headers of all stay in memory
        store.check_count(count := count + 1)
        if info.type not in _FOLDERS and not _is_skipped(info.name):
            flaw = None if info.isreg() else ("not_regular", "it is a link or a device")
            store.take(info.name, info.size, flaw, partial(tar.extractfile, info))
    if len(stream.last) < tarfile.BLOCKSIZE:
        raise Refused("truncated", "it ends without the mark of an archive's end")
    if stream.last.strip(b"\0"):  # `tarfile` takes it for the end
        raise Refused("unreadable", "a header's checksum is wrong")
    with _reading():
        while rest := stream.read(_CHUNK):  # to the end, where compressed data has its checksum
            if rest.strip(b"\0"):
                raise Refused("unreadable", "something follows its end; unpack archives that were joined")


def _split(name: str) -> tuple[str, str]:
    """Return the last part of a member's name and the folder, without empty parts and '.'."""
    root = "/" if name.startswith("/") else ""
    parts = [part for part in name[-_LONGEST:].split("/") if part not in ("", ".")] or [""]
    return parts[-1], root + "/".join(parts[:-1])


def _is_skipped(name: str) -> bool:
    """Return whether a member is no file of a person's: macOS packs its own notes beside each. All others count."""
    parts = [part for part in name.split("/") if part != "."] or [""]
    notes = parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._")
    return notes and ".." not in parts


def _flaw_of_name(name: str) -> tuple[str, str] | None:
    """Return the reason code and detail if a member is refused for its name alone."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or re.match("[A-Za-z]:", name) or ".." in plain.split("/") or "\0" in name:
        return "outside", "its name leads out of the archive: it begins with '/' or a drive, or holds '..' or a NUL"
    if not _split(name)[0] or len(name) > _LONGEST:
        return "unreadable", f"its name is empty, or has more than {_LONGEST} letters"
    if is_archive(name):
        return "not_image", "an archive inside an archive is not opened; unpack it and put it into the folder"
    return None
