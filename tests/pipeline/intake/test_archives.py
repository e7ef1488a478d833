"""Archives: what is in them comes out, once and whole; what is made to do harm does none."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import resource
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images import Refused
from pipeline.intake.archives import Member, is_archive, unpack
from pipeline.params import Archives
from tests.pipeline.intake.packed import END, PACK, SQUEEZE, Z, block, hungry_xz, member, padded, pax, raw_zip, tarred

LIMITS = Archives(max_members=50, max_bytes=30_000_000, max_ratio=100.0, max_seconds=60.0)
MEMBER_BYTES = 1_000_000
FILES = [("a.png", b"one" * 300), ("sub/b.jpg", b"two" * 4000), ("sub/empty", b""), ("a.png", b"the same name")]
ZEROS = bytes(100_000_000)


def opened(data: bytes, folder: Path, limits: Archives = LIMITS, name: str = "archive.zip") -> list[Member]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return unpack(folder / name, folder / "out", limits, MEMBER_BYTES)


def contents(members: list[Member]) -> list[tuple[str, bytes]]:
    """Return names and bytes of members, the reason code of those that are refused."""
    return [
        (f"{m.folder}/{m.name}" if m.folder else m.name, m.path.read_bytes() if m.path else m.refused[0].encode())  # type: ignore[index]
        for m in members
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [(f"Photos.{suffix}", True) for suffix in ("zip", "ZIP", "cbz", "tar", "tar.gz", "tgz", "TAR.BZ2", "tbz2")]
    + [("a.tar.xz", True), ("a.txz", True), ("a.gz", False), ("a.zip.png", False), ("zip", False), ("a.rar", False)],
)
def test_archive_is_told_by_its_name(name: str, expected: bool) -> None:
    assert is_archive(name) is expected


@pytest.mark.parametrize("kind", PACK)
def test_members_come_out_in_order(kind: str, tmp_path: Path) -> None:
    members = opened(PACK[kind](FILES), tmp_path)
    assert contents(members) == FILES
    assert [m.path.name for m in members if m.path] == ["00000001", "00000002", "00000003", "00000004"]
    assert pickle.loads(pickle.dumps(members)) == members
    assert {path.name for path in tmp_path.iterdir()} == {"archive.zip", "out"}


LETTERS = st.characters(exclude_characters="/\\\0:", exclude_categories=["Cs"])
NAMES = st.text(LETTERS, min_size=1, max_size=70).filter(
    lambda name: not name.startswith(".") and name != "__MACOSX" and not is_archive(name)
)


@given(
    st.lists(
        st.tuples(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=3000)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(sorted(PACK.keys() - {"ustar"})),  # ustar has no place for every name
)
def test_what_goes_in_comes_out(files: list[tuple[str, bytes]], kind: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        assert contents(opened(PACK[kind](files), Path(root))) == files


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_streams_that_follow_each_other_are_one(kind: str, tmp_path: Path) -> None:
    data = tarred(FILES)
    streams = SQUEEZE[kind](data[:700]) + SQUEEZE[kind](b"") + SQUEEZE[kind](data[700:])
    assert contents(opened(streams, tmp_path)) == FILES
    if kind != "xz":  # padding of which `lzma` takes for a stream that is cut
        assert contents(opened(streams + bytes(4), tmp_path / "2")) == FILES


def zip64() -> bytes:
    """Return a zip of one member all of whose numbers stand in the wide fields."""
    data = b"content"
    common = struct.pack("<HHHHHIII", 45, 0, 0, 0, 33, zlib.crc32(data), 0xFFFFFFFF, 0xFFFFFFFF)
    body = b"PK\x03\x04" + common + struct.pack("<HH", 5, 20) + b"a.png" + struct.pack("<HHQQ", 1, 16, 7, 7) + data
    extra = struct.pack("<HHH", 0x5455, 2, 0) + struct.pack("<HHQQQ", 1, 24, 7, 7, 0)
    directory = b"PK\x01\x02\x2d\x03" + common + struct.pack("<HHHHHII", 5, len(extra), 0, 0, 0, 0, 0xFFFFFFFF)
    directory += b"a.png" + extra
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), len(body))
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(body) + len(directory), 1)
    narrow = struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + directory + wide + locator + narrow


def descriptors() -> bytes:
    """Return a zip that was written to a pipe: sizes follow the data."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *at: int) -> int:
            raise OSError("a pipe")

        def tell(self) -> int:
            raise OSError("a pipe")

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"content")
    data = pipe.getvalue()
    assert data[6] & 8  # the flag of a data descriptor
    return data


SPARSE_MAP = b"2\n0\n3\n1000\n4\n"
TAR = member(b"a.png") + END
# What is in each, as (name, bytes); the bytes are the reason code of a member that is refused.
TAKEN: dict[str, tuple[Callable[[], bytes], list[tuple[str, bytes]]]] = {
    "zip64": (zip64, [("a.png", b"content")]),
    "zip from a pipe": (descriptors, [("a.png", b"content")]),
    "zip with garbage behind": (lambda: raw_zip([Z(b"a.png")]) + b"garbage" * 900, [("a.png", b"content")]),
    "more zip members than 16 bits count": (
        lambda: raw_zip([Z(b"%d" % n, b"", 0) for n in range(20)], count=20), [(str(n), b"") for n in range(20)],
    ),
    "zip names in utf-8 with the flag": (
        lambda: raw_zip([Z("画.png".encode(), flags=0x800)]), [("画.png", b"content")],
    ),
    "zip names in utf-8 without the flag": (lambda: raw_zip([Z("é.png".encode())]), [("é.png", b"content")]),
    "zip names of old PCs": (lambda: raw_zip([Z(b"caf\x82.png")]), [("café.png", b"content")]),
    "tar names that are not utf-8": (lambda: member(b"caf\xe9.png") + END, [("caf\udce9.png", b"content")]),
    "zip names with backslashes": (lambda: raw_zip([Z(b"sub\\a.png")]), [("sub/a.png", b"content")]),
    "tar names with backslashes": (lambda: member(b"AC\\DC.png") + END, [("AC\\DC.png", b"content")]),
    "names with dots": (
        lambda: raw_zip([Z(b"./a..png"), Z(b"x/./b...")]), [("a..png", b"content"), ("x/b...", b"content")],
    ),
    "newlines in names": (lambda: member(b"two\nlines.png") + END, [("two\nlines.png", b"content")]),
    "folders and hidden files of a zip": (
        lambda: raw_zip([
            Z(b"sub/", b"", 0), Z(b"old", b"", 0, mode=stat.S_IFDIR), Z(b".DS_Store"), Z(b"__MACOSX/sub/._a.png"),
            Z(b"a/.git/x"), Z(b"a/.x.zip"), Z(b"sub/a.png"),
        ]),
        [("a/.git/x", b"content"), ("a/.x.zip", b"not_image"), ("sub/a.png", b"content")],
    ),
    "folders and hidden files of a tar": (
        lambda: b"".join([
            block(b"./", 0, b"5"), block(b"old/", 0, b"\0"), member(b"./._a.png"), member(b"__MACOSX/x.png"),
            member(b"./a.png"), member(b"d", b"list", b"D"), block(b"label", 0, b"V"), END,
        ]),
        [("a.png", b"content")],
    ),
    "names that lead out of a zip": (
        lambda: raw_zip([
            Z(b"../a.png"), Z(b"/etc/a.png"), Z(b"C:\\a.png"), Z(b"c:a.png"), Z(b"x/../../a.png"), Z(b"..\\a.png"),
            Z(b"\\\\host\\a.png"), Z(b"x/.."), Z(b"a\0.png"), Z(b".hidden/../a.png"), Z(b"good.png"),
        ]),
        [
            ("../a.png", b"outside"), ("/etc/a.png", b"outside"), ("C:/a.png", b"outside"), ("c:a.png", b"outside"),
            ("x/../../a.png", b"outside"), ("../a.png", b"outside"), ("/host/a.png", b"outside"),
            ("x/..", b"outside"), ("a\0.png", b"outside"), (".hidden/../a.png", b"outside"),
            ("good.png", b"content"),
        ],
    ),
    "names that lead out of a tar": (
        lambda: b"".join([
            member(b"../a.png"), member(b"/etc/a.png"), member(b"x\\..\\a.png"), pax({"path": b"../p.png"}),
            member(b"x"), TAR,
        ]),
        [
            ("../a.png", b"outside"), ("/etc/a.png", b"outside"), ("x\\..\\a.png", b"outside"),
            ("../p.png", b"outside"), ("a.png", b"content"),
        ],
    ),
    "no names": (
        lambda: raw_zip([Z(b""), Z(b"."), Z(b"a.png")]),
        [("", b"unreadable"), ("", b"unreadable"), ("a.png", b"content")],
    ),
    "long names": (
        lambda: raw_zip([Z(b"x" * 5000 + b"/a.png"), Z(b"a.png")]),
        [("x" * 1018 + "/a.png", b"unreadable"), ("a.png", b"content")],
    ),
    "links and devices of a zip": (
        lambda: raw_zip([
            Z(b"link", b"/etc/passwd", mode=stat.S_IFLNK | 0o777), Z(b"pipe", mode=stat.S_IFIFO),
            Z(b"disk", mode=stat.S_IFBLK), Z(b"a.png", mode=stat.S_IFREG | 0o644),
        ]),
        [("link", b"not_regular"), ("pipe", b"not_regular"), ("disk", b"not_regular"), ("a.png", b"content")],
    ),
    "links and devices of a tar": (
        lambda: b"".join([block(b"kind %d" % n, 0, b"%d" % n) for n in (1, 2, 3, 4, 6)])
        + member(b"odd", kind=b"Z") + TAR,
        [(f"kind {n}", b"not_regular") for n in (1, 2, 3, 4, 6)] + [("odd", b"not_regular"), ("a.png", b"content")],
    ),
    "archives inside": (
        lambda: raw_zip([Z(b"more.ZIP", raw_zip([])), Z(b"x.tar.gz"), Z(b"a.png")]),
        [("more.ZIP", b"not_image"), ("x.tar.gz", b"not_image"), ("a.png", b"content")],
    ),
    "encrypted members": (
        lambda: raw_zip([Z(b"a", flags=1), Z(b"b", flags=0x41), Z(b"c", method=99), Z(b"d")]),
        [*((name, b"unreadable") for name in "abc"), ("d", b"content")],
    ),
    "unsupported compression": (
        lambda: raw_zip([Z(b"a", method=14), Z(b"b", method=9), Z(b"c", method=12), Z(b"d", method=0)]),
        [("a", b"unreadable"), ("b", b"unreadable"), ("c", b"unreadable"), ("d", b"content")],
    ),
    "lies about one member": (
        lambda: raw_zip([
            Z(b"crc", crc=1), Z(b"longer", b"x" * 200_000, size=7), Z(b"shorter", size=8),
            Z(b"stored", method=0, size=99), Z(b"cut", b"x" * 90, packed=2), Z(b"a.png"),
        ]),
        [*((name, b"unreadable") for name in ("crc", "longer", "shorter", "stored", "cut")), ("a.png", b"content")],
    ),
    "no deflate at all": (
        lambda: raw_zip([Z(b"a", b"\xff" * 50, 0), Z(b"b")]).replace(
            struct.pack("<HH", 0, 0) + struct.pack("<H", 33), struct.pack("<HH", 8, 0) + struct.pack("<H", 33), 2),
        [("a", b"unreadable"), ("b", b"content")],
    ),
    "a member elsewhere": (
        lambda: raw_zip([Z(b"b"), Z(b"a", lead=b"nope")]), [("b", b"content"), ("a", b"unreadable")],
    ),
    "large members of a zip": (
        lambda: raw_zip([Z(b"a", os.urandom(100) * 20_000), Z(b"b", size=4_000_000_000), Z(b"c")]),
        [("a", b"too_large"), ("b", b"too_large"), ("c", b"content")],
    ),
    "large members of a tar": (
        lambda: member(b"a", bytes(1_000_001)) + TAR, [("a", b"too_large"), ("a.png", b"content")],
    ),
    "gnu's long names": (
        lambda: member(b"././@LongLink", b"n" * 200 + b".png\0", b"L") + member(b"l", b"x" * 150, b"K") + TAR,
        [("n" * 200 + ".png", b"content")],
    ),
    "ustar's prefix": (lambda: member(b"a.png", prefix=b"long/folder") + END, [("long/folder/a.png", b"content")]),
    "pax for all members": (lambda: pax({"comment": b"x"}, b"g") + TAR, [("a.png", b"content")]),
    "pax names and size": (
        lambda: pax({"path": "é/ü.png".encode(), "mtime": b"1.5", "size": b"7"}) + block(b"x", 1) + padded(b"content")
        + END,
        [("é/ü.png", b"content")],
    ),
    "binary size": (
        lambda: block(b"a.png", size_field=b"\x80" + (7).to_bytes(11, "big")) + padded(b"content") + END,
        [("a.png", b"content")],
    ),
    "tar whose first name looks compressed": (lambda: member(b"BZh9.png") + END, [("BZh9.png", b"content")]),
    "sparse, gnu": (
        lambda: member(b"a.png", b"abcdefg", b"S", tail=b"%011o\0%011o\0%011o\0%011o\0" % (0, 3, 1000, 4)
                       + bytes(48) + b"\0" + b"%011o\0" % 2000) + TAR,
        [("a.png", b"abc" + bytes(997) + b"defg" + bytes(996)), ("a.png", b"content")],
    ),
    "sparse, gnu, in several blocks": (
        lambda: block(
            b"a.png", 7, b"S", tail=(b"%011o\0%011o\0" % (0, 3)).ljust(96, b"\0") + b"\1" + b"%011o\0" % 2000
        )
        + (b"%011o\0%011o\0" % (1000, 4)).ljust(512, b"\0") + padded(b"abcdefg") + TAR,
        [("a.png", b"abc" + bytes(997) + b"defg" + bytes(996)), ("a.png", b"content")],
    ),
    "sparse, pax": (
        lambda: pax({"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.name": b"s.png",
                     "GNU.sparse.realsize": b"2000"})
        + member(b"GNUSparseFile.0/s.png", padded(SPARSE_MAP) + b"abcdefg") + TAR,
        [("s.png", b"abc" + bytes(997) + b"defg" + bytes(996)), ("a.png", b"content")],
    ),
    "sparse as it once was": (
        lambda: pax({"GNU.sparse.major": b"0", "GNU.sparse.map": b"0,7"}) + member(b"a") + TAR,
        [("a", b"content"), ("a.png", b"content")],
    ),
    "sparse and huge": (
        lambda: member(b"a.png", b"", b"S", tail=bytes(96) + b"\0" + b"%011o\0" % 8_000_000_000) + TAR,
        [("a.png", b"too_large"), ("a.png", b"content")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_each_member_is_taken_or_refused_alone(kind: str, tmp_path: Path) -> None:
    make, expected = TAKEN[kind]
    members = opened(make(), tmp_path)
    assert contents(members) == expected
    written = {m.path for m in members if m.path}
    assert set((tmp_path / "out").iterdir()) == written
    assert all(m.refused[1] for m in members if m.refused)


def fifield(count: int = 40) -> bytes:
    """Return a zip in which many entries of the directory share one body."""
    return raw_zip([Z(b"%d" % n, ZEROS[:900_000], offset=0) for n in range(count)])


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


GOOD = raw_zip([Z(b"a.png"), Z(b"b.png")])
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not_image"),
    "a page": (lambda: b"<!doctype html><title>404</title>" * 40, "not_image"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(2000), "not_image"),
    "another packer": (lambda: b"Rar!\x1a\x07\x01\x00" + bytes(2000), "not_image"),
    "zeros": (lambda: bytes(10_240), "empty"),
    "empty zip": (lambda: raw_zip([]), "empty"),
    "zip of folders and notes": (lambda: raw_zip([Z(b"sub/", b"", 0), Z(b"sub/.DS_Store")]), "empty"),
    "zip behind a program": (lambda: b"MZ program" * 99 + raw_zip([Z(b"a.png")]), "unreadable"),
    "gzip of no tar": (lambda: gzip.compress(b"a picture" * 999), "not_image"),
    "zip without its end": (lambda: GOOD[:-30], "truncated"),
    "zips joined": (lambda: GOOD + GOOD, "unreadable"),
    "zip cut inside a stored zip": (
        lambda: raw_zip([Z(b"a"), Z(b"in.zip", GOOD, 0), Z(b"b", b"x" * 99)])[: 80 + len(GOOD)], "unreadable",
    ),
    "encrypted directory": (
        lambda: raw_zip([Z(b"a")]).replace(b"PK\x01\x02", b"\x9d\x13\xc0\x55"), "unreadable",
    ),
    "damaged directory": (lambda: damaged(GOOD, GOOD.rindex(b"PK\x01\x02")), "unreadable"),
    "directory that is shorter": (lambda: raw_zip([Z(b"a"), Z(b"b")], size=47), "unreadable"),
    "one body for many": (fifield, "too_large"),
    "a member beyond the end": (lambda: raw_zip([Z(b"a", offset=900_000)]), "unreadable"),
    "a member far beyond the end": (
        lambda: raw_zip([Z(b"a", offset=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 2**63))]), "unreadable",
    ),
    "zip of too many": (lambda: raw_zip([Z(b"%d" % n, b"", 0) for n in range(51)]), "too_large"),
    "tar of too many": (lambda: b"".join(block(b"%d" % n) for n in range(51)) + END, "too_large"),
    "too many links": (lambda: b"".join(block(b"%d" % n, 0, b"2") for n in range(51)) + END, "too_large"),
    "zip of zeros": (lambda: raw_zip([Z(b"%d" % n, ZEROS[:999_999]) for n in range(12)]), "too_large"),
    "zip that says more than allowed": (
        lambda: raw_zip([Z(b"%d" % n, os.urandom(9), size=999_999) for n in range(31)]), "too_large",
    ),
    "plain tar of more than allowed": (
        lambda: b"".join(member(b"%d" % n, ZEROS[:999_999]) for n in range(31)) + END, "too_large",
    ),
    "holes of more than allowed": (
        lambda: b"".join(
            member(b"%d" % n, b"", b"S", tail=bytes(96) + b"\0" + b"%011o\0" % 999_999) for n in range(40)
        ) + END,
        "too_large",
    ),
    **{
        f"{kind} of zeros": (lambda kind=kind: SQUEEZE[kind](member(b"a", ZEROS) + END), "too_large")  # type: ignore[misc]
        for kind in ("gzip", "bzip2", "xz")
    },
    "zeros behind the end": (lambda: gzip.compress(TAR + ZEROS), "too_large"),
    "a long name of a gigabyte": (lambda: block(b"l", 1 << 30, b"L") + ZEROS[:5000], "unreadable"),
    "pax of a gigabyte": (lambda: block(b"l", 1 << 30, b"x") + ZEROS[:5000], "unreadable"),
    "pax for all of a gigabyte": (lambda: block(b"l", 1 << 30, b"g") + ZEROS[:5000], "unreadable"),
    "headers without a member": (lambda: member(b"l", b"name", b"L") * 2000 + TAR, "unreadable"),
    "sparse map that is damaged": (
        lambda: pax({"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"9"})
        + member(b"s", padded(b"two")) + END,
        "unreadable",
    ),
    "zip names in broken utf-8": (lambda: raw_zip([Z(b"caf\xe9.png", flags=0x800)]), "unreadable"),
    "tars joined": (lambda: TAR + member(b"b.png") + END, "unreadable"),
    "tar with garbage behind": (lambda: TAR + b"garbage" * 99, "unreadable"),
    "sparse parts that lead backwards": (
        lambda: member(
            b"s", b"x" * 99, b"S",
            tail=b"%011o\0%011o\0%011o\0\xff%s%011o\0%011o\0" % (0, 50, 60, (256**11 - 40).to_bytes(11, "big"), 99, 5)
            + bytes(25) + b"%011o\0" % 104,
        ) + TAR,
        "unreadable",
    ),
    "a size that leads backwards": (lambda: pax({"size": b"-1024"}) + TAR, "unreadable"),
    "tar without its end": (lambda: TAR[:-1024], "truncated"),
    "tar cut in a member": (lambda: TAR[:515], "truncated"),
    "tar cut after an extended header": (lambda: pax({"path": b"a"}), "truncated"),
    "a wrong checksum": (lambda: member(b"a") + damaged(TAR, 3), "unreadable"),
    "a wrong checksum in the first header": (lambda: damaged(TAR, 3), "unreadable"),
    "a wrong checksum in the last header": (lambda: member(b"a") + damaged(block(b"b"), 3) + END, "unreadable"),
    "a wrong checksum behind an extended header": (lambda: pax({"path": b"a"}) + damaged(TAR, 3), "unreadable"),
    "negative size": (lambda: block(b"a", size_field=b"\xff" * 12) + END, "unreadable"),
    "size of no digits": (lambda: block(b"a", size_field=b"12x45678901\0") + END, "unreadable"),
    "size beyond all": (lambda: block(b"a", size_field=b"\x80" + b"\x7f" * 11) + END, "truncated"),
    "pax of a length that stands still": (lambda: member(b"p", b"0 path=x\n", b"x") + TAR, "unreadable"),
    "pax size of no digits": (lambda: pax({"size": b"-7"}) + TAR, "unreadable"),
    "gzip with a wrong checksum": (lambda: damaged(gzip.compress(TAR), -6 + len(gzip.compress(TAR))), "unreadable"),
    "gzip that is damaged": (lambda: damaged(gzip.compress(tarred(FILES)), 40), "unreadable"),
    "bzip2 that is damaged": (lambda: damaged(SQUEEZE["bzip2"](tarred(FILES)), 40), "unreadable"),
    "xz that is damaged": (lambda: damaged(SQUEEZE["xz"](tarred(FILES)), 40), "unreadable"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_archive_is_refused_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    make, code = REFUSED[kind]
    with pytest.raises(Refused) as caught:
        opened(make(), tmp_path)
    assert caught.value.code == code, caught.value
    assert caught.value.detail
    assert list((tmp_path / "out").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"archive.zip", "out"}


@pytest.mark.parametrize("kind", ["zip of zeros", "zip that says more than allowed", "one body for many"])
def test_declared_sizes_are_believed_before_a_byte_is_unpacked(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *arguments: pytest.fail("unpacked"))
    with pytest.raises(Refused):
        opened(REFUSED[kind][0](), tmp_path)


def test_high_ratio_is_allowed_to_small_archives(tmp_path: Path) -> None:
    members = opened(raw_zip([Z(b"%d" % n, ZEROS[:999_999]) for n in range(10)]), tmp_path)
    assert len(members) == 10


def test_own_limit_of_a_member_does_not_count_against_the_archive(tmp_path: Path) -> None:
    data = raw_zip([Z(b"film", b"", size=4_000_000_000), Z(b"a.png")])
    assert contents(opened(data, tmp_path)) == [("film", b"too_large"), ("a.png", b"content")]


@pytest.mark.parametrize("kind", PACK)
def test_cut_archive_is_never_taken_for_a_whole_one(kind: str, tmp_path: Path) -> None:
    data = PACK[kind](FILES)
    plain = kind in ("ustar", "gnu", "pax")
    end = len(data.rstrip(b"\0")) // 512 * 512 + 1024 if plain else len(data)  # the first block of zeros is the end
    codes = set()
    for at in sorted({*range(0, end, 97), *range(end - 40, end)}):
        with pytest.raises(Refused) as caught:
            opened(data[:at], tmp_path)
        codes.add(caught.value.code)
        assert list((tmp_path / "out").iterdir()) == []
    assert codes <= {"truncated", "not_image", "unreadable"}
    assert "truncated" in codes


def test_missing_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="unreadable"):
        unpack(tmp_path / "none.zip", tmp_path / "out", LIMITS, MEMBER_BYTES)


def test_full_disk_is_not_blamed_on_the_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(raw_zip([Z(b"small"), Z(b"a", os.urandom(500_000))]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            unpack(tmp_path / "a.zip", tmp_path / "out", LIMITS, MEMBER_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_written_through_a_link_that_waits_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "00000001").symlink_to("../precious")
    with pytest.raises(FileExistsError):
        opened(GOOD, tmp_path)
    assert (tmp_path / "precious").read_bytes() == b"precious"


def checked(data: bytes, name: str = "archive.zip") -> list[Member]:
    """Unpack anything at all: the outcome is a list within the limits, or `Refused` and nothing left."""
    limits = Archives(max_members=9, max_bytes=20_000, max_ratio=10.0, max_seconds=60.0)
    root = Path(tempfile.mkdtemp())
    try:
        members = []
        try:
            members = opened(data, root / "in", limits, name)
        except Refused:
            assert list((root / "in" / "out").iterdir()) == []
        paths = [m.path for m in members if m.path]
        assert set((root / "in").rglob("*")) == {root / "in" / name, root / "in" / "out", *paths}
        assert list(root.iterdir()) == [root / "in"]
        assert all(path.is_file() and not path.is_symlink() and path.parent.name == "out" for path in paths)
        assert sum(path.stat().st_size for path in paths) <= 20_000
        assert len(members) <= 9
        assert all((m.path is None) != (m.refused is None) for m in members)
        return members
    finally:
        shutil.rmtree(root)


STARTS = [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\x00", b"BZh9", b"\xfd7zXZ\x00", b"ustar"]


@given(st.sampled_from(STARTS), st.binary(max_size=1500), st.sampled_from(["", "end", "header"]))
def test_any_bytes_are_unpacked_or_refused(start: bytes, data: bytes, more: str) -> None:
    if more == "end":
        data += raw_zip([], offset=len(data) // 2, size=len(data) - len(data) // 2, count=1)
    checked(block(b"a", len(data)) + data if more == "header" else start + data)


SMALL = [("a.png", b"one" * 9), ("sub/b.jpg", bytes(900)), ("c", b"x" * 700)]
SEEDS = {
    **{kind: pack(SMALL) for kind, pack in PACK.items()},
    "zip64": zip64(),
    "from a pipe": descriptors(),
    "sparse": TAKEN["sparse, pax"][0](),
    "sparse, gnu": TAKEN["sparse, gnu, in several blocks"][0](),
    "names": TAKEN["gnu's long names"][0](),
}


def mutated(draw: st.DataObject, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(data) - 1))
        change = draw.draw(st.sampled_from(["bit", "byte", "full", "cut", "repeat", "drop"]))
        length = draw.draw(st.integers(1, 40))
        if change == "bit":
            data[at] ^= 1 << draw.draw(st.integers(0, 7))
        elif change == "byte":
            data[at] = draw.draw(st.integers(0, 255))
        elif change == "full":
            data[at : at + 4] = b"\xff" * 4
        elif change == "cut":
            del data[at + 1 :]
        elif change == "repeat":
            data[at:at] = data[at : at + length]
        else:
            del data[at : min(at + length, len(data) - 1)]
    return bytes(data)


@given(st.data(), st.sampled_from(sorted(SEEDS)))
def test_damaged_archive_is_unpacked_or_refused(draw: st.DataObject, kind: str) -> None:
    checked(mutated(draw, SEEDS[kind]))


@given(st.data(), st.sampled_from(["pax", "gnu", "sparse", "sparse, gnu", "names"]), st.integers(0, 3))
def test_tar_with_damaged_fields_and_sound_checksums(draw: st.DataObject, kind: str, headers: int) -> None:
    """Random damage hardly gets beyond a checksum, so here the checksums are made good again."""
    data = bytearray(mutated(draw, SEEDS[kind]))
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % (sum(data[at : at + 512]) & 0o777777)
    checked(SQUEEZE["gzip"](bytes(data)) if headers == 0 else bytes(data))


FIELDS = {"crc": 32, "packed": 32, "size": 32, "offset": 32, "flags": 16, "method": 16, "mode": 16}


@given(st.data())
def test_zip_with_any_values_in_its_fields(draw: st.DataObject) -> None:
    members = [Z(name, data, draw.draw(st.sampled_from([0, 8]))) for name, data in [(b"a", b"x" * 99), (b"b", b"yy")]]
    for _ in range(draw.draw(st.integers(1, 4))):
        field = draw.draw(st.sampled_from(sorted(FIELDS)))
        value = draw.draw(st.one_of(st.integers(0, 300), st.integers(0, 2 ** FIELDS[field] - 1)))
        if field != "method" or value not in (8, 12):  # as for those data is really compressed
            setattr(draw.draw(st.sampled_from(members)), field, value)
    names = draw.draw(st.sets(st.sampled_from(["count", "size", "offset"])))
    end = {name: draw.draw(st.integers(0, 300)) for name in sorted(names)}
    checked(raw_zip(members, **end))


PEAK = """
import sys, tempfile
from pathlib import Path
from pipeline.intake.archives import unpack
from pipeline.images import Refused
from pipeline.params import Archives
def peak():  # not rusage's, which begins with that of the process that started this one
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
limits = Archives(max_members=1000, max_bytes=200_000_000, max_ratio=1e9, max_seconds=60.0)
before = peak()
with tempfile.TemporaryDirectory() as out:
    try:
        outcome = len(unpack(Path(sys.argv[1]), Path(out), limits, 10**12))
    except Refused as refusal:
        outcome = refusal.code
print(outcome, peak() - before)
"""
LONG = block(b"l", 90_000_000, b"L") + ZEROS[: 90_000_000 // 512 * 512 + 512] + TAR
HUNGRY: dict[str, tuple[Callable[[], bytes], str]] = {
    "zip": (lambda: raw_zip([Z(b"a", ZEROS)]), "1"),
    "zip that lies": (lambda: raw_zip([Z(b"a", ZEROS, size=9)]), "1"),
    **{kind: (lambda kind=kind: SQUEEZE[kind](member(b"a", ZEROS) + END), "1") for kind in SQUEEZE},  # type: ignore[misc]
    "long name": (lambda: gzip.compress(LONG, 1), "unreadable"),
    "pax headers": (
        lambda: gzip.compress((pax({"a": bytes(250_000), "path": b"x"}) + block(b"x")) * 400 + END), "400",
    ),
    "sparse holes": (
        lambda: member(b"a", b"", b"S", tail=bytes(96) + b"\0" + b"%011o\0" % 190_000_000) + END, "1",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", HUNGRY)
def test_memory_stays_flat(kind: str, tmp_path: Path) -> None:
    make, expected = HUNGRY[kind]
    (tmp_path / "a.zip").write_bytes(make())
    command = [sys.executable, "-c", PEAK, str(tmp_path / "a.zip")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    outcome, kilobytes = done.stdout.split()
    assert outcome == expected
    assert int(kilobytes) < 16_000, kilobytes


STARVED = """
import resource, sys
from pathlib import Path
from pipeline.intake.archives import unpack
from pipeline.params import Archives
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**29,) * 2)
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]), Archives(50, 10**9, 100.0, 60.0), 10**9)
except MemoryError:
    print("MemoryError")
"""


def test_what_takes_more_than_a_worker_may_have_is_a_memory_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar.xz").write_bytes(hungry_xz(member(b"a", b"x" * 99) + END))
    command = [sys.executable, "-c", STARVED, str(tmp_path / "a.tar.xz"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout == "MemoryError\n"
    assert list((tmp_path / "out").iterdir()) == []
