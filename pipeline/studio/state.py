"""What a workspace has been doing: what landed, what runs, what was promoted and why. Read from its own files."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline import services
from pipeline.files import read_json
from pipeline.manifest import Entry, counts, read_manifest
from pipeline.params import Serve
from pipeline.process import held
from pipeline.workspace import PHOTOS, Workspace

_NEWEST = 3  # images of a collection that are named
_STORY = 12  # decisions that are told
_TAIL = 65_536  # bytes of a file in which its last lines are looked for
_ACTIONS: Mapping[str, str] = {
    "promote": "{name} version {to} became the champion",
    "approve": "{name} version {to} was approved",
    "rollback": "{name} went back to version {to}",
    "hold": "{name} version {version} is held: only a person promotes it",
}


@dataclass(frozen=True)
class Landed:
    """A collection: how many images train and are held out, how many were refused, and the newest by name."""

    name: str
    train: int
    test: int
    refused: int
    last: str
    newest: tuple[str, ...]


@dataclass(frozen=True)
class Training:
    """A training that writes its log: how many of its steps are done, and the Unix time of the last line."""

    recipe: str
    step: int
    steps: int
    when: float


@dataclass(frozen=True)
class Decision:
    """A promotion, a rollback or a hold: when, what, why, and by whom."""

    time: str
    what: str
    why: str
    by: str


@dataclass(frozen=True)
class Link:
    """A page of another server, and whether anything listens there."""

    title: str
    address: str
    answers: bool
    start: str


def landed(workspace: Workspace) -> list[Landed]:
    """Return every collection, photographs first; a damaged manifest is left out."""
    found = []
    for name in workspace.collections():
        try:
            entries = read_manifest(workspace.collection(name))
        except ValueError:
            continue
        found.append(_landed(workspace, name, entries))
    return found


def _landed(workspace: Workspace, name: str, entries: list[Entry]) -> Landed:
    split = counts(entries)
    refused = workspace.quarantine(name) / "quarantine.jsonl"
    number = len(refused.read_bytes().splitlines()) if refused.is_file() else 0
    newest = sorted(entries, key=lambda entry: entry.added)[-_NEWEST:][::-1]
    title = "photographs" if name == PHOTOS else name
    last = newest[0].added if newest else ""
    return Landed(title, split["train"], split["test"], number, _moment(last), tuple(one.name for one in newest))


def running(workspace: Workspace) -> bool:
    """Return whether a retrain holds the workspace's lock; looking does not stand in its way."""
    return held(workspace.var / "retrain.lock")


def trainings(workspace: Workspace, now: float, recent: float = 600.0) -> list[Training]:
    """Return the trainings that wrote a line within `recent` seconds and are not at their end."""
    found = []
    for pointer in sorted((workspace.work / "logs").glob("*.json")):
        try:
            line = _last_lines(workspace.root / str(read_json(pointer)["log"]))[-1]
            at = Training(pointer.stem, int(line["step"]), int(line["steps"]), float(line["time"]))
        except (OSError, ValueError, TypeError, KeyError, IndexError):
            continue  # a log of another time says nothing of now
        if now - at.when < recent and at.step < at.steps:
            found.append(at)
    return found


def last_retrain(workspace: Workspace) -> dict[str, Any] | None:
    """Return what the last retrain ended with: `finished`, and `recipes` with name, state and why; or None."""
    try:
        whole = read_json(workspace.var / "last_retrain.json")
        recipes = [{key: str(one.get(key, "")) for key in ("recipe", "state", "why")} for one in whole["recipes"]]
        return {"finished": _moment(str(whole["finished"])), "recipes": recipes}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def decisions(workspace: Workspace) -> list[Decision]:
    """Return the last decisions on champions, the newest first."""
    try:
        lines = _last_lines(workspace.var / "promotions.jsonl")
    except OSError:
        return []
    return list(_told(lines))[: -_STORY - 1 : -1]


def _told(lines: Iterable[Mapping[str, Any]]) -> Iterator[Decision]:
    """Yield what was carried out. Lines of one `id` belong together: the first says why, the last that it is done."""
    begun: dict[str, dict[str, Any]] = {}
    for line in lines:
        whole = {**begun.get(str(line.get("id")), {}), **line}
        if "id" in line:
            begun[str(line["id"])] = whole
        if line.get("phase") == "done" and (words := _ACTIONS.get(str(line.get("action")))):
            what = words.format_map({"name": "", "to": "", "version": "", **whole})
            why, by = str(whole.get("reason", "")), str(whole.get("by", ""))
            yield Decision(_moment(str(line.get("time", ""))), what, why, "the gate" if by == "gate" else by)


def links(settings: Serve, workspace: Workspace) -> list[Link]:
    """Return where Prefect and MLflow have their pages, and whether they are there.

    Those that `atelier up` keeps, or else those that the settings name.
    """
    prefect = services.prefect_url(workspace) or settings.prefect
    mlflow = services.mlflow_url(workspace) or settings.mlflow
    return [
        Link("Prefect", prefect, _answers(prefect), "atelier up"),
        Link("MLflow", mlflow, _answers(mlflow), "atelier up"),
    ]


def _answers(address: str) -> bool:
    """Return whether anything listens at an address of params.yaml."""
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), timeout=0.3):
            return True
    except (OSError, ValueError):
        return False


def _last_lines(path: Path) -> list[Mapping[str, Any]]:
    """Return the whole JSON lines at the end of a file."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TAIL))
        lines = stream.read().splitlines()
    found: list[Mapping[str, Any]] = []
    for line in lines[1:] if size > _TAIL else lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # torn by a crash
        if isinstance(record, dict):
            found.append(record)
    return found


def _moment(text: str) -> str:
    """Return a time as a person reads it: 2026-11-23T18:40:12Z -> 2026-11-23 18:40 UTC."""
    day, _, clock = text.partition("T")
    return f"{day} {clock[:5]} UTC" if clock else day
