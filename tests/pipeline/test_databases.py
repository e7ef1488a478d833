"""SQLite files: whole, cut off, damaged, copied while others write, moved to another place."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline import databases


def make(path: Path, rows: int = 2000) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("create table t (id integer primary key, uri text, blob blob)")
        database.executemany(
            "insert into t (uri, blob) values (?, ?)", ((f"file:///old/var/{n}", b"x" * 50) for n in range(rows))
        )
    database.close()
    return path


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert databases.trouble(path) == databases.damage(path) == "is missing"
    path.touch()
    assert databases.trouble(path) == databases.damage(path) == "is empty"
    path.write_bytes(b"a page of text, and nothing but text" * 10)
    assert databases.trouble(path) == databases.damage(path) == "is no database"
    make(tmp_path / "b.db")
    assert databases.trouble(tmp_path / "b.db") is databases.damage(tmp_path / "b.db") is None


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_found_without_reading_it(tmp_path: Path, share: float) -> None:
    path = make(tmp_path / "a.db")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "is cut off" in str(databases.trouble(path))
    assert "is cut off" in str(databases.damage(path))


def test_damage_inside_is_found_by_reading_it(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db")
    whole = bytearray(path.read_bytes())
    whole[8192:16384] = b"\xff" * 8192
    path.write_bytes(whole)
    assert databases.trouble(path) is None
    assert databases.damage(path) is not None


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_copy_is_one_moments_state_though_others_write(tmp_path: Path, mode: str) -> None:
    path, stop = make(tmp_path / "a.db", 50), threading.Event()

    def write() -> None:
        with sqlite3.connect(path, timeout=60) as database:
            database.execute(f"pragma journal_mode={mode}")
            while not stop.is_set():
                database.execute("insert into t (uri) values ('a')")
                database.execute("insert into t (uri) values ('b')")
                database.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            copy = tmp_path / f"copy{number}.db"
            databases.copy(path, copy)
            assert databases.damage(copy) is None
            with sqlite3.connect(copy) as found:
                counted = dict(found.execute("select uri, count(*) from t where uri in ('a', 'b') group by uri"))
            assert counted.get("a", 0) == counted.get("b", 0), "a transaction was copied by half"
    finally:
        stop.set()
        writer.join()
    assert sorted(each.name for each in tmp_path.glob("copy0*")) == ["copy0.db"]


def test_what_cannot_be_copied_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"text" * 100)
    with pytest.raises(ValueError, match=r"a\.db cannot be copied"):
        databases.copy(tmp_path / "a.db", tmp_path / "b.db")


def test_paths_are_moved_and_nothing_else(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", 3)
    with sqlite3.connect(path) as database:
        database.execute("insert into t (uri, blob) values ('see file:///old/var/x', 'file:///old/var/y')")
    assert databases.move_paths(path, "file:///old/var", "file:///new place/var") == 4
    with sqlite3.connect(path) as database:
        rows = database.execute("select uri, blob from t order by id").fetchall()
    assert [row[0] for row in rows] == [
        *(f"file:///new place/var/{n}" for n in range(3)),
        "see file:///old/var/x",
    ]
    assert (rows[0][1], rows[3][1]) == (b"x" * 50, "file:///new place/var/y")


def test_what_a_killed_writer_left_half_written_is_undone_for_a_reader(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db")
    script = (
        f"import sqlite3, time; database = sqlite3.connect({str(path)!r}); database.execute('pragma cache_size=5');"
        "database.execute(\"update t set uri = 'half'\"); print('now', flush=True); time.sleep(600)"
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    assert databases.user([path]) == (writer.pid, str(path))
    writer.kill()
    writer.wait()
    assert (tmp_path / "a.db-journal").stat().st_size > 0
    databases.copy(path, tmp_path / "b.db")
    for one in (path, tmp_path / "b.db"):
        assert databases.damage(one) is None
        with databases.reading(one) as database:
            assert database.execute("select count(*) from t where uri = 'half'").fetchone() == (0,)
            assert database.execute("select count(*) from t").fetchone() == (2000,)
    assert databases.user([path]) is None


def test_settled_a_database_is_one_file(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", 10)
    script = (
        f"import os, sqlite3; database = sqlite3.connect({str(path)!r}); database.execute('pragma journal_mode=wal');"
        "database.execute(\"update t set uri = 'later'\"); database.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / "a.db-wal").stat().st_size > 0
    databases.settle(path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.db"]
    with databases.reading(path) as database:
        assert database.execute("select count(*) from t where uri = 'later'").fetchone() == (10,)


def test_one_whose_log_was_half_brought_into_it_is_not_called_cut_off(tmp_path: Path) -> None:
    """So it is for a moment whenever a server writes: the first page counts pages that are not in the file yet."""
    path, ahead = make(tmp_path / "a.db", 10), tmp_path / "ahead.db"
    script = (
        f"import os, sqlite3; database = sqlite3.connect({str(path)!r}); database.execute('pragma journal_mode=wal');"
        "database.executemany('insert into t (uri) values (?)', (('x' * 500,) for _ in range(900)));"
        "database.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    for end in ("", "-wal"):
        (tmp_path / f"ahead.db{end}").write_bytes((tmp_path / f"a.db{end}").read_bytes())
    databases.settle(ahead)
    page = bytearray(ahead.read_bytes()[:4096])
    page[18:20] = b"\2\2"  # it has a log beside it still
    path.write_bytes(page + path.read_bytes()[4096:])
    assert path.stat().st_size < ahead.stat().st_size
    assert databases.trouble(path) is databases.damage(path) is None
    (tmp_path / "a.db-wal").unlink()
    assert "is cut off" in str(databases.trouble(path))
