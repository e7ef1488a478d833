"""SQLite files from outside: are they whole, and a copy of one that others are writing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_MAGIC = b"SQLite format 3\0"
_PATIENCE = 60.0  # seconds that a reader waits for a writer


def trouble(path: Path) -> str | None:
    """Return what is wrong with a database as its header and size tell, or None; takes no time, and makes nothing.

    A file that was cut off is found; for damage inside of it, see `damage`. It is read only where it seems cut off.
    """
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(100)
    if not header:
        return "is empty"
    if not header.startswith(_MAGIC) or len(header) < 100:
        return "is no database"
    page = int.from_bytes(header[16:18], "big")
    # The size in the header is valid only if the last writer was one that keeps it, and said so.
    counted = header[24:28] == header[92:96]
    pages = int.from_bytes(header[28:32], "big")
    if counted and size < pages * (65536 if page == 1 else page):
        # For a moment it is that while another process writes, and when that was killed its log holds the rest.
        return None if _is_whole(path) else f"is cut off at {size} bytes"
    return None


def _is_whole(path: Path) -> bool:
    """Whether SQLite, which waits for writers and reads the log beside a database, finds it sound."""
    try:
        with reading(path) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")  # a writer that takes long is none


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read it; what a writer that was killed left half written is undone first.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_PATIENCE)) as database:
        try:
            _touch(database)
        except sqlite3.OperationalError as error:
            # A reader may not undo that, so everybody who only reads would find the database broken.
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_PATIENCE)) as writer:
                _touch(writer)
        yield database


def _touch(database: sqlite3.Connection) -> None:
    database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def damage(path: Path) -> str | None:
    """Return what is wrong with a database after reading all of it, or None."""
    if (why := trouble(path)) is not None:
        return why
    try:
        with reading(path) as database:
            verdict = str(database.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    return None if verdict == "ok" else f"is damaged: {verdict}"


def copy(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, though others write to it meanwhile.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        with reading(source) as there, closing(sqlite3.connect(target)) as here:
            there.backup(here)
            here.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except sqlite3.Error as error:
        raise ValueError(f"{source} cannot be copied: {error}") from error


def settle(path: Path) -> None:
    """Bring what stands in the log beside a database into it: afterwards it is one file, whole by itself.

    Raises:
        ValueError: it cannot be read, or a process that has it open stands in the way.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_PATIENCE)) as database:
            database.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.Error as error:
        raise ValueError(f"{path} cannot be written to ({error}); is a process using it?") from error


def move_paths(path: Path, old: str, new: str) -> int:
    """Replace the beginning `old` by `new` in every text of a database that begins with it; return how many."""
    changed = 0
    with closing(sqlite3.connect(path)) as database, database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]:
                done = database.execute(
                    f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) '
                    f'WHERE typeof("{column}") = \'text\' AND substr("{column}", 1, ?) = ?',
                    (new, len(old) + 1, len(old), old),
                )
                changed += done.rowcount
    return changed


def refuse_while_used(paths: Iterable[Path]) -> None:
    """Return when no other process has one of these databases open: it would go on with what is moved away.

    Raises:
        ValueError: one has; the message names it.
    """
    if (used := user(paths)) is not None:
        raise ValueError(f"process {used[0]} has {used[1]} open; stop it (a server?), then try again")


def user(paths: Iterable[Path]) -> tuple[int, str] | None:
    """Return the number of another process that has one of these files open, and which, or None.

    Of another user's processes nobody is told.
    """
    wanted = {str(path.resolve()) for path in paths}
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        number = int(descriptors.parent.name)
        if number == os.getpid():
            continue
        try:
            opened = {str(descriptor.readlink()) for descriptor in descriptors.iterdir()}
        except OSError:  # another user's, or gone
            continue
        if used := wanted & opened:
            return number, min(used)
    return None
