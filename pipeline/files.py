"""Files that are whole or absent: atomic writes, digests, staged directories."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no optional spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_json(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`."""
    return sha256_bytes(canonical_json(value).encode())


def fsync_directory(directory: Path) -> None:
    """Make renames inside `directory` durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_filesystem(directory: Path) -> None:
    """Make everything written so far to the file system of `directory` durable: for thousands of files at once.

    Raises:
        OSError: some of it could not be written.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(directory))
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes | str) -> Path:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part.

    The temporary file is in the same directory; it is synced before the rename, the directory after.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_directory(path.parent)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write `value` as readable JSON (sorted keys, two spaces) atomically. NaN and infinity are refused."""
    return write_atomic(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        ValueError: the file is not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); delete it and run the stage again") from error


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder at `path`, whatever lay there; afterwards it is gone. The caller holds a lock on it."""
    shutil.rmtree(path, ignore_errors=True)  # of a run that was killed
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def staged_directory(final: Path) -> Iterator[Path]:
    """Yield an empty sibling directory that takes the place of `final` when the block succeeds.

    On an exception the staging directory is removed and `final` stays as it was.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    staging = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        if final.exists():
            shutil.rmtree(final)
        staging.replace(final)
        fsync_directory(final.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def sweep(folder: Path, name: str = "*") -> None:
    """Delete the temporary files and folders of `name` that killed processes left in `folder`, at any depth.

    The caller holds the lock of all that could be writing them.
    """
    for path in list(folder.rglob(f".{name}.*.tmp")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def require_free_space(directory: Path, needed: int, purpose: str) -> None:
    """Refuse to start work that the disk cannot hold.

    Args:
        directory: where the work will write; its nearest existing parent is measured.
        needed: bytes the work will write.
        purpose: what the space is for, as it reads after "for".

    Raises:
        ValueError: fewer than `needed` bytes are free.
    """
    existing = next(place for place in (directory, *directory.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ValueError(
            f"the disk holding {existing} has {free / 1e9:.2f} GB free, fewer than the {needed / 1e9:.2f} GB "
            f"needed for {purpose}; free some space, or move the workspace to a larger disk"
        )
