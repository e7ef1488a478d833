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
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _events(path) if line["step"] <= resume_step] if resume_step else []
        write_atomic(path, "".join(json.dumps(event) + "\n" for event in kept))
        write_json(pointer, {"log": path.relative_to(workspace_root).as_posix(), "key": key})
        self._stream: TextIO = path.open("a")
        self._path = path

    def write(self, event: str, step: int, steps: int, values: dict[str, Any]) -> None:
        """Append one event; the line is flushed, so a reader sees it whole."""
        line = {"event": event, "step": step, "steps": steps, "time": time.time(), "values": values}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def history(self) -> list[dict[str, Any]]:
        """Return all metric events so far, as {"step": n, name: value, ...}."""
        return [{"step": e["step"], **e["values"]} for e in _events(self._path) if e["event"] == "metrics"]

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


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
