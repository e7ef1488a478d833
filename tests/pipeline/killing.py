"""`python -m tests.pipeline.killing ROOT N`: an ingest of ROOT's inbox that kills itself at its Nth change of a file.

Changes are what Python's audit hooks tell: files opened to be written, renamed, removed, folders made, programs
started. At N = 0 nothing is killed, and the number of changes is printed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pipeline import ingest
from pipeline.workspace import Workspace
from tests.pipeline.pictures import small_params

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "shutil.rmtree", "subprocess.Popen"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main(root: Path, kill_at: int) -> None:
    """Ingest, and be killed at change number `kill_at`."""
    changes = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal changes
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if event in _CHANGES or (opened and str(root) in str(arguments[0])):
            changes += 1
            if changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    ingest.utc_now = lambda: "2026-01-01T00:00:00+00:00"  # so that manifests can be compared to the byte
    sys.addaudithook(watch)
    ingest.ingest_inbox(Workspace(root), small_params(quiet_seconds=0.0, workers=2))
    print(changes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
