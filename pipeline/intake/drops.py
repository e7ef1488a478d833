"""A folder that somebody else fills: what lies in it, and each file's bytes copied once and unchanged."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.images import Refused

_CHUNK = 1 << 20


class StillArriving(Exception):  # noqa: N818 (a state, not a failure)
    """A file that is being written, or was replaced or removed while it was read; it is left where it is."""


@dataclass(frozen=True)
class Drop:
    """One thing found in a folder: its path as found, and its name and folder as they go into the manifest."""

    path: Path
    name: str
    source: str

    @property
    def shown(self) -> str:
        """Folder and name fit to print."""
        return printable(f"{self.source}/{self.name}")


@dataclass(frozen=True)
class Copy:
    """A file's bytes in a place of our own."""

    path: Path
    sha256: str
    size: int


def printable(name: str) -> str:
    """Return a file's name fit to print, also when it is not UTF-8 or holds a newline."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def find_drops(root: Path) -> list[Drop]:
    """Return everything under `root` that is not a folder, in a fixed order; names beginning with a dot are skipped.

    Links to folders are returned and not followed, and so are subfolders that cannot be read.

    Raises:
        ValueError: `root` is not a folder that can be read.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder")
    closed: list[OSError] = []
    found = list(_walk(root, closed))
    for error in closed:
        path = Path(error.filename)
        if path == root:
            raise ValueError(f"{root} cannot be read: {error.strerror}; change its permissions") from error
        place = path.parent.relative_to(root).as_posix()
        found.append(Drop(path, path.name, f"{root.absolute().name}/{place}".removesuffix("/.")))
    return found


def _walk(root: Path, closed: list[OSError]) -> Iterator[Drop]:
    base = os.fspath(root)
    top = root.absolute().name  # `.` has no name of its own
    for folder, subfolders, names in os.walk(base, onerror=closed.append):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        links = [name for name in subfolders if Path(folder, name).is_symlink()]
        relative = os.path.relpath(folder, base)
        source = top if relative == "." else f"{top}/{relative}"
        for name in sorted([*names, *links]):
            if not name.startswith("."):
                yield Drop(Path(folder, name), name, source)


def target_of(drop: Drop, root: Path) -> Path:
    """Return the regular file that a drop is or, inside `root` only, links to.

    Raises:
        Refused: outside, not_regular, unreadable.
        StillArriving: it is gone.
    """
    path = drop.path
    try:
        if path.is_symlink():
            path = Path(os.path.realpath(path))  # Path.resolve would raise RuntimeError on a loop
            if not path.is_relative_to(os.path.realpath(root)):
                raise Refused("outside", f"it links to {str(path)!r}, which is not in the folder")
            if not path.exists():
                raise Refused("unreadable", "it links to nothing")
        mode = path.lstat().st_mode
    except FileNotFoundError as error:
        raise StillArriving("it was removed") from error
    except OSError as error:
        raise Refused("unreadable", error.strerror or str(error)) from error
    if stat.S_ISDIR(mode) and path == drop.path:
        raise Refused("unreadable", "the folder cannot be read; change its permissions")
    if not stat.S_ISREG(mode):
        kind = "a link to a folder, whose files are taken where they lie" if stat.S_ISDIR(mode) else "no file"
        raise Refused("not_regular", f"it is {kind}")
    return path


def check_quiet(path: Path, seconds: float, observed: bool = False) -> None:
    """Refuse for now a file that changed less than `seconds` ago.

    Args:
        path: the file.
        seconds: how long it must have been as it is.
        observed: it was looked at twice besides. Then a file whose times are all to come counts as still: the
            machine's clock was set back after it landed.

    Raises:
        StillArriving: it did, or it is gone.
    """
    try:
        status = path.lstat()
    except FileNotFoundError as error:
        raise StillArriving("it was removed") from error
    now = time.time()
    # A camera with a wrong clock leaves times in the future; then the file system's own time of change decides.
    changed = status.st_mtime if status.st_mtime <= now else status.st_ctime
    if changed > now and observed:
        return
    if now - changed < seconds:
        raise StillArriving(f"it changed less than {seconds:g} s ago")


def sha256_of(path: Path) -> tuple[str, int]:
    """Return the hash and size of a regular file that does not change meanwhile.

    Raises:
        Refused: unreadable, not_regular.
        StillArriving: it changed.
    """
    return _read(path, lambda chunk: None)


def copy_to(path: Path, target: Path) -> Copy:
    """Copy a regular file in one pass (not synced) and return the copy.

    Raises:
        Refused: unreadable, not_regular.
        StillArriving: it changed meanwhile.
        OSError: the copy cannot be written.
    """
    with target.open("wb") as output:
        sha256, size = _read(path, output.write)
    return Copy(target, sha256, size)


def identity(path: Path) -> tuple[int, int, int]:
    """Return what tells a file from a changed or replaced one: inode, size, time of change in ns."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path, use: Callable[[bytes], object]) -> tuple[str, int]:
    """Hash a file, give each of its parts to `use`, and return hash and size."""
    try:
        # No link is followed and no FIFO waited for, whatever took the file's place since it was looked at.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise StillArriving("it was removed") from error
    except OSError as error:
        raise Refused("unreadable", error.strerror or str(error)) from error
    with os.fdopen(handle, "rb") as stream:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise Refused("not_regular", "it is no file")
        digest = hashlib.sha256()
        while chunk := _chunk(stream):
            digest.update(chunk)
            use(chunk)
        after = os.fstat(handle)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StillArriving("it changed while it was read")
    return digest.hexdigest(), after.st_size


def _chunk(stream: object) -> bytes:
    try:
        return stream.read(_CHUNK)  # type: ignore[attr-defined, no-any-return]
    except OSError as error:  # a bad sector or a lost network folder
        raise Refused("unreadable", error.strerror or str(error)) from error
