"""Collections to report on: manifests written by hand, with as many images behind them as a test needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.files import sha256_bytes
from pipeline.intake.quarantine import Refusal, record_refusals
from pipeline.manifest import Entry, write_manifest
from pipeline.params import Params
from pipeline.quality.facts import Facts
from pipeline.workspace import Workspace
from tests.pipeline.pictures import encoded, small_params, texture

HOSTILE = "<script>alert('&')</script>\n\udcff.png"


def inline_params() -> Params:
    """Return small parameters under which files are opened in this process."""
    return small_params(executor="inline")


def entry(number: int, **changes: Any) -> Entry:
    """Return an image of its own group, large, without flags; every fifth is held out."""
    sha256 = f"{number:064x}"
    made = Entry(
        sha256=sha256,
        name=f"{number}.png",
        source="studio",
        width=640,
        height=480,
        bytes=9,
        format="png",
        phash=sha256_bytes(sha256.encode())[:16],
        group=sha256,
        split="test" if number % 5 == 0 else "train",
        flags=(),
        added="2026-01-01",
    )
    return dataclasses.replace(made, **changes)


def facts(*entries: Entry, **others: Any) -> Facts:
    return Facts(others.pop("collection", "monet"), entries, **others)


def store(workspace: Workspace, collection: str, entries: list[Entry]) -> None:
    """Write a manifest without images behind it."""
    workspace.collection(collection).mkdir(parents=True, exist_ok=True)
    write_manifest(workspace.collection(collection), entries)


def picture(workspace: Workspace, number: int, image: Image.Image | None = None, **changes: Any) -> Entry:
    """Store a real image in the style monet and return its entry, not yet in the manifest."""
    image = image or texture(number, 120, 96)
    data = encoded(image)
    sha256 = sha256_bytes(data)
    folder = workspace.collection("monet")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{sha256}.png").write_bytes(data)
    size = {"width": image.width, "height": image.height}
    return entry(number, **{"sha256": sha256, "group": sha256, **size, **changes})


def refuse(workspace: Workspace, number: int, reason: str, data: bytes = b"", name: str = "") -> Refusal:
    """Record a refused file of the style monet, kept if it has data."""
    sha256 = sha256_bytes(data) if data else None
    refusal = Refusal(sha256, name or f"{number}.jpg", "studio", reason, f"because {number}", "2026-01-01")
    folder: Path = workspace.quarantine("monet")
    folder.mkdir(parents=True, exist_ok=True)
    if sha256:
        (folder / f"{sha256}.png").write_bytes(data)
    record_refusals(folder, [refusal])
    return refusal
