"""Training state on disk: whole, checksummed, the last few kept, the newest valid one found again."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.files import require_free_space, write_atomic

State = dict[str, Any]
_DIGEST_BYTES = 32


def save_checkpoint(folder: Path, step: int, state: State, keep: int) -> Path:
    """Write `state` as the checkpoint after `step` steps, then drop all but the newest `keep`.

    The file is its SHA-256 followed by what torch.save writes; it appears whole or not at all.

    Raises:
        ValueError: the disk has no room; the checkpoints that are there stay.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()
    require_free_space(folder, 2 * len(body), "a checkpoint")
    path = write_atomic(folder / f"step-{step:08d}.ckpt", hashlib.sha256(body).digest() + body)
    for old in _newest_first(folder)[keep:]:
        old.unlink()
    return path


def load_newest(folder: Path, device: torch.device) -> State | None:
    """Return the newest state that is whole, or None when there is none; a damaged one is named on stderr."""
    for path in _newest_first(folder):
        data = path.read_bytes()
        digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            print(f"warning: {path} is damaged; using the checkpoint before it", file=sys.stderr)
            continue
        state: State = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
        return state
    return None


def clear_checkpoints(folder: Path) -> None:
    """Delete a finished run's checkpoints: its result is in the stage's output, and it is never resumed."""
    for path in _newest_first(folder):
        path.unlink()


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.ckpt"), reverse=True)
