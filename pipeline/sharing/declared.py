"""`var/declared.jsonl`: what a person declared of a recipe (its code is as good as before, its training came from
elsewhere), one synced JSON line each. The recipe's next version says it in its tags.
"""

from __future__ import annotations

import getpass
import json
import os
import time
from pathlib import Path
from typing import Any

from pipeline.registry.names import LONGEST_TAG
from pipeline.workspace import Workspace

ACCEPTED, ADOPTED = "accepted_code", "adopted"
_TOLD = "told"


def declare(workspace: Workspace, what: str, recipe: str, sentence: str) -> None:
    """Write down what a person declares of a recipe: `what` is the tag that its next version has, with `sentence`."""
    _append(workspace, {"what": what, "recipe": recipe, "sentence": sentence, "by": person()})


def pending(workspace: Workspace, recipe: str) -> dict[str, str]:
    """Return what was declared of a recipe since its last new version, as tags."""
    found: dict[str, list[str]] = {}
    for line in _lines(declared_file(workspace)):
        if line.get("recipe") == recipe and line.get("what") == _TOLD:
            found = {}
        elif line.get("recipe") == recipe:
            found.setdefault(str(line["what"]), []).append(f"{line['time']} {line['by']}: {line['sentence']}")
    return {what: "; ".join(said)[:LONGEST_TAG] for what, said in found.items()}


def told(workspace: Workspace, recipe: str, version: int) -> None:
    """Write down that a version has it all in its tags."""
    if pending(workspace, recipe):
        _append(workspace, {"what": _TOLD, "recipe": recipe, "version": version})


def declared_file(workspace: Workspace) -> Path:
    """Return where it stands."""
    return workspace.var / "declared.jsonl"


def person() -> str:
    """Return who calls."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"


def _append(workspace: Workspace, entry: dict[str, Any]) -> None:
    path = declared_file(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with path.open("a+b") as stream:
        stream.seek(0)
        torn = not stream.read().endswith(b"\n") and stream.tell() > 0  # a line that a power cut left
        stream.write((b"\n" if torn else b"") + json.dumps({"time": when, **entry}).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and "what" in entry:
            found.append(entry)
    return found
