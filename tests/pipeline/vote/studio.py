"""What the votes' tests vote on: exhibits of plain pictures, ballots, and held-out photographs for a workspace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.files import sha256_bytes, write_json
from pipeline.manifest import Entry, write_manifest
from pipeline.vote.ballots import Ballot
from pipeline.vote.booth import Booth
from pipeline.vote.pictures import Exhibit
from pipeline.workspace import PHOTOS, Workspace
from tests.pipeline.pictures import encoded, texture

OURS, THEIRS = "a" * 64, "lab_transfer"
_NUMBERS = iter(range(1, 1_000_000))


def ballot(choice: str = "left", **changes: Any) -> Ballot:
    """Return a ballot of its own id, visit and photograph."""
    number = f"{next(_NUMBERS):06d}"
    record = {
        "time": "2026-01-01T00:00:00Z",
        "ballot": f"ballot-{number}",
        "visit": f"visit-{number}",
        "voter": "",
        "photograph": number,
        "left": OURS,
        "right": THEIRS,
        "choice": choice,
    }
    return Ballot(**(record | changes))


def exhibits(folder: Path, count: int = 3, width: int = 90, height: int = 60) -> list[Exhibit]:
    """Return exhibits whose three pictures differ."""
    made = []
    for number in range(count):
        files = [folder / f"{number}-{kind}.jpg" for kind in range(3)]
        for kind, file in enumerate(files):
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(texture(3 * number + kind, width, height), "JPEG"))
        made.append(Exhibit(f"{number:064x}", files[0], {OURS: files[1], THEIRS: files[2]}, width, height))
    return made


@contextmanager
def served(booth: Booth) -> Iterator[str]:
    """Serve a booth in a thread; yield the address."""
    from pipeline.vote.server import listen, server

    listener = listen(0)
    running = server(booth)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def hold_out(workspace: Workspace, count: int, box: tuple[int, int, int, int] | None = None) -> list[str]:
    """Store photographs of 1000 x 700 px with their prepared views, all held out; return their sha256s, sorted."""
    folder, prepared = workspace.collection(PHOTOS), workspace.prepared(PHOTOS)
    folder.mkdir(parents=True)
    (prepared / "test").mkdir(parents=True)
    entries = []
    for number in range(count):
        picture = texture(number, 1000, 700)
        data = encoded(picture, "JPEG")
        sha256 = sha256_bytes(data)
        (folder / f"{sha256}.jpg").write_bytes(data)
        picture.crop((150, 0, 850, 700)).resize((48, 48)).save(prepared / "test" / f"{sha256}.png")
        entries.append(
            Entry(
                sha256=sha256,
                name=f"{number}.jpg",
                source="studio",
                width=1000,
                height=700,
                bytes=len(data),
                format="jpg",
                phash=sha256[:16],
                group=sha256,
                split="test",
                flags=(),
                added="2026-01-01",
                box=box,
            )
        )
    write_manifest(folder, entries)
    hashes = sorted(entry.sha256 for entry in entries)
    write_json(prepared / "index.json", {"test": [{"image": one, "file": f"test/{one}.png"} for one in hashes]})
    return hashes
