"""Collections made by hand, with bytes that only look like images to a manifest; and a way to be killed anywhere."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.files import sha256_bytes
from pipeline.intake.copies import Copy, record_copies
from pipeline.manifest import Entry, Split, write_manifest
from pipeline.removal.matches import Match, find
from pipeline.workspace import Workspace
from tests.pipeline.pictures import make_workspace, small_params

PARAMS = small_params(min_artworks=4, min_photos=4)
NOW = "2026-01-02T03:04:05+00:00"
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "shutil.rmtree", "subprocess.Popen"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def content(name: str) -> bytes:
    return f"the bytes of {name}".encode("utf-8", "surrogatepass")


def sha(name: str) -> str:
    return sha256_bytes(content(name))


def entry(name: str, source: str = "in", split: Split = "train", like: str = "") -> Entry:
    """Return the line of the image `name`, in the group of the image `like`."""
    group = sha(like or name)
    return Entry(sha(name), name, source, 80, 60, 999, "png", "0" * 16, group, split, (), NOW)


def store(workspace: Workspace, collection: str, entries: Sequence[Entry]) -> None:
    """Make a collection of these images, with what the prepare stage would remember of each."""
    folder = workspace.collection(collection)
    folder.mkdir(parents=True, exist_ok=True)
    made = workspace.work / "cache" / "prepared" / collection
    made.mkdir(parents=True, exist_ok=True)
    for each in entries:
        (folder / each.file).write_bytes(content(each.name))
        for settings in ("1" * 64, "2" * 64):
            (made / f"{each.sha256}-{settings}.png").write_bytes(b"crops")
    sheets = workspace.work / "cache" / "sheets"
    sheets.mkdir(exist_ok=True)
    (sheets / f"{collection}-{'a' * 64}.jpg").write_bytes(b"originals")
    page = workspace.quality(collection)
    page.parent.mkdir(exist_ok=True)
    page.write_text("thumbnails, of what another collection has in common with it too")
    write_manifest(folder, entries)


def studio(root: Path) -> Workspace:
    """A workspace with photographs and two styles; `shared` hangs in both, `lily` has a near duplicate."""
    workspace = make_workspace(root)
    names = [f"p{number}" for number in range(6)]
    store(workspace, "photos", [entry(name, split="test" if name < "p2" else "train") for name in names])
    lilies = [
        entry("lily", "in/sub"),
        entry("lily again", like="lily"),
        entry("shared", "bob"),
        entry("rose", "bob/x"),
    ]
    store(workspace, "monet", [*lilies, *(entry(name, split="test") for name in ("pond", "bridge"))])
    store(workspace, "manet", [entry("shared", "carol"), *(entry(f"m{n}", split="test") for n in range(4))])
    record_copies(workspace, "monet", [Copy(sha("rose"), "rosa.jpg", "dave", NOW)])
    return workspace


def found(workspace: Workspace, what: str, collection: str | None = None) -> list[tuple[str, str]]:
    return [(match.collection, match.name) for match in find(workspace, what, collection)]


def match(workspace: Workspace, what: str, collection: str | None = None) -> Match:
    (only,) = find(workspace, what, collection)
    return only


def snapshot(root: Path) -> dict[str, bytes]:
    """Return every file but locks."""
    paths = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def copied(workspace: Workspace, target: Path) -> Workspace:
    """Return a copy at `target`, anew; it shares files, since none is written into but replaced."""
    shutil.rmtree(target, ignore_errors=True)
    return Workspace(Path(shutil.copytree(workspace.root, target, copy_function=os.link)))


def killed(work: Callable[[], object], at: int | None) -> bool:
    """Do `work` in a process that kills itself at its `at`th change of a file; return whether it came to that.

    Where `at` is None it is killed when it starts a program.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), f"the work failed when it was to be killed at change {at}"
        return status == signal.SIGKILL
    changes = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal changes
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if event in _CHANGES or writing:  # to kill is an event too
            changes += 1
            if changes == at or (at is None and event == "subprocess.Popen"):
                os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        sys.addaudithook(watch)
        work()
        status = 0
    finally:
        os._exit(status)
