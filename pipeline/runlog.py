"""The trainer's local log: JSON lines that outlive a crash and that a flow can read while they are written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO

from pipeline.files import write_atomic, write_json


class RunLog:
    """Appends events to `log.jsonl` and says in `work/logs/<recipe>.json` where that is."""

    def __init__(self, path: Path, pointer: Path, workspace_root: Path, key: str, resume_step: int) -> None:
        """Open the log, dropping what a crashed run wrote after `resume_step`: those steps run again."""
        self._path = path
        self._stream: TextIO | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rewind(resume_step or -1)  # of a run that begins, nothing is kept
        write_json(pointer, {"log": path.relative_to(workspace_root).as_posix(), "key": key})

    def rewind(self, step: int) -> None:
        """Drop what was written after `step`, from which training goes on."""
        self.close()
        kept = [line for line in _events(self._path) if line["step"] <= step]
        write_atomic(self._path, "".join(json.dumps(event) + "\n" for event in kept))
        self._stream = self._path.open("a")

    def write(self, event: str, step: int, steps: int, values: dict[str, Any]) -> None:
        """Append one event; the line is flushed, so a reader sees it whole."""
        line = {"event": event, "step": step, "steps": steps, "time": time.time(), "values": values}
        assert self._stream is not None, "the log is closed"
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def values(self, event: str) -> list[dict[str, Any]]:
        """Return all events of a kind so far, as {"step": n, name: value, ...}."""
        return [{"step": e["step"], **e["values"]} for e in _events(self._path) if e["event"] == event]

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _events(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    events = []
    for line in path.read_text().splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the last line of a killed run may be torn; what follows it is not ours
    return events
