"""One retrain at a time in a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.process import exclusive, held
from pipeline.workspace import Workspace

_held: set[Path] = set()


@contextmanager
def only_one(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's retrain lock during the block.

    The command takes it before Prefect starts, the flow takes it for when a deployment calls it; within one process
    the second taking is free.

    Raises:
        AlreadyRunningError: another process holds it; the message says which.
    """
    path = _lock(workspace)
    if path in _held:
        yield
        return
    with exclusive(path, f"a retrain of {workspace.root}"):
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)


def busy(workspace: Workspace) -> bool:
    """Return whether another process holds the workspace's retrain lock; looking does not stand in its way."""
    return _lock(workspace) not in _held and held(_lock(workspace))


def _lock(workspace: Workspace) -> Path:
    return workspace.var / "retrain.lock"
