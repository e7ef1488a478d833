"""Training state on disk: whole, checksummed, the last few kept, the newest valid one found again."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.files import require_free_space, write_atomic

State = dict[str, Any]
_DIGEST_BYTES = 32


def save_checkpoint(folder: Path, step: int, state: State, keep: int, spare: int | None = None) -> Path:
    """Write `state` as the checkpoint after `step` steps, then drop all but the newest `keep` and step `spare`.

    The file is its SHA-256 followed by what torch.save writes; it appears whole or not at all.

    Raises:
        ValueError: the disk has no room; the checkpoints that are there stay.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()
    require_free_space(folder, 2 * len(body), "a checkpoint")
    path = _path(folder, step)
    try:
        write_atomic(path, hashlib.sha256(body).digest() + body)
    except OSError as error:
        raise ValueError(
            f"{path} could not be written ({error.strerror}); the checkpoint before it is kept: mend the disk (free "
            f"some space) and run the same command again"
        ) from error
    for old in _newest_first(folder)[keep:]:
        if spare is None or old != _path(folder, spare):
            old.unlink()
    return path


def load_newest(folder: Path, device: torch.device, until: int | None = None) -> State | None:
    """Return the newest state that is whole, or None when there is none; a damaged one is named on stderr.

    Args:
        folder: where the checkpoints are.
        device: where the tensors go.
        until: the last step that counts; without it, all do.
    """
    for path in _newest_first(folder):
        if until is not None and path > _path(folder, until):
            continue
        body = _body(path)
        if body is None:
            print(f"warning: {path} is damaged; using the checkpoint before it", file=sys.stderr)
            continue
        state: State = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
        return state
    return None


def drop_checkpoints(folder: Path, after: int = -1) -> None:
    """Delete the checkpoints of all steps behind `after`, the newest first.

    Raises:
        OSError: one could not be deleted.
    """
    for path in _newest_first(folder):
        if path > _path(folder, after):
            path.unlink()


def drop_other_keys(folder: Path) -> None:
    """Delete the state of all other runs of the same recipe: its data, parameters or code are no more."""
    for other in folder.parent.iterdir():
        if other.is_dir() and other != folder:
            shutil.rmtree(other)


def _body(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None  # a bad sector reads as an error
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return body if hashlib.sha256(body).digest() == digest else None


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.ckpt"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.ckpt"), reverse=True)
