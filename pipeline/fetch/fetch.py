"""An errand, run: the file downloaded, unpacked where it must be sorted, ingested, and its licence noted."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import httpx

from pipeline.fetch.download import Downloaded, download
from pipeline.fetch.errands import Errand
from pipeline.fetch.web import Patience, Unavailable, file_name, shown_address
from pipeline.files import require_free_space, scratch_folder, write_atomic
from pipeline.images import Refused
from pipeline.ingest import IngestResult, ingest
from pipeline.intake.archives import Member, is_archive, unpack
from pipeline.params import Params
from pipeline.process import exclusive
from pipeline.workspace import Workspace

# What this program writes into a note: where images went, and the other facts.
_WENT = re.compile(r"(\S+ )?-> [a-z0-9][a-z0-9_-]*")
_FACT = re.compile(rf"from \S+|[0-9]+ bytes, SHA-256 [0-9a-f]{{64}}|{_WENT.pattern}")
# Where in a file which bytes tell an archive, and the name that it then gets.
_MAGIC = (
    (0, b"PK\x03\x04", ".zip"),
    (0, b"\x1f\x8b", ".tar.gz"),
    (0, b"BZh", ".tar.bz2"),
    (0, b"\xfd7zXZ\0", ".tar.xz"),
    (257, b"ustar", ".tar"),
)


class Watcher:
    """Whoever wants to know how it goes; this one does not."""

    def bytes(self, done: int, total: int | None) -> None:
        """Bytes of the download that are here, and in all if that is known."""

    def files(self, collection: str, done: int, total: int) -> None:
        """Files of a collection that were looked at, and in all."""

    def say(self, sentence: str) -> None:
        """Something that a person may want to know."""


@dataclass(frozen=True)
class Fetched:
    """What came of an errand: the file, the licence's note, and the result for each collection."""

    file: Downloaded
    licence: Path
    results: tuple[IngestResult, ...]


def fetch(
    workspace: Workspace,
    errand: Errand,
    params: Params,
    *,
    patience: Patience | None = None,
    watcher: Watcher | None = None,
    tracked: bool = True,
) -> Fetched:
    """Download what an errand names and take its images into their collections.

    Whatever ends it, the same errand goes on from there: bytes that came are kept, and images that were taken are
    duplicates.

    Raises:
        ValueError: no address gives the file, it does not hold what it should, this errand is under way elsewhere, or
            see `ingest`.
    """
    watcher = watcher or Watcher()
    with exclusive(workspace.var / "locks" / f"fetch-{errand.name}.lock", f"a fetch of {errand.name}"):
        url, file = _download(errand, patience, watcher)
        note = write_licence(workspace, errand, url, file)
        with scratch_folder(workspace.work / "fetch" / errand.name) as staging:
            sources = _sorted_out(errand, file, staging, params, watcher) if errand.folders else None
            sources = sources or {errand.collection: _alone(url, file, staging)}
            results = tuple(
                ingest(workspace, folder, name, params, progress=_progress(watcher, name), tracked=tracked)
                for name, folder in sources.items()
            )
    return Fetched(file, note, results)


def licence_file(workspace: Workspace, errand: Errand) -> Path:
    """Return where the note on an errand's licence lies: beside the data, for git to track."""
    return workspace.root / "data" / "licences" / f"{errand.name}.txt"


def write_licence(workspace: Workspace, errand: Errand, url: str, file: Downloaded) -> Path:
    """Note where images came from and went, and whose they are.

    Where there is a note already, its facts are those of now and what else it says, a person's words, stays to the
    letter. Where images went earlier stays too: they are still there.
    """
    path = licence_file(workspace, errand)
    gone, text = _noted(path)
    gone += [f"{folder} -> {name}" for folder, name in errand.folders.items()] or [f"-> {errand.collection}"]
    facts = [f"from {shown_address(url)}", f"{file.size} bytes, SHA-256 {file.sha256}", *dict.fromkeys(gone)]
    note = "\n".join([*facts, "", text or errand.licence])
    return write_atomic(path, note.encode("utf-8", "surrogateescape"))


def _noted(path: Path) -> tuple[list[str], str]:
    """Return a note's lines on where images went, and all that is no fact of this program's; both may be empty."""
    if not path.is_file():
        return [], ""
    lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines(keepends=True)
    head = list(takewhile(str.strip, lines))  # facts stand at the top, up to the first empty line
    own = [line for line in head if not _FACT.fullmatch(line.strip())]
    gone = [line.strip() for line in head if _WENT.fullmatch(line.strip())]
    rest = lines[len(head) :]
    if not own:
        rest = rest[1:]  # that empty line
    return gone, "".join([*own, *rest])


def _download(errand: Errand, patience: Patience | None, watcher: Watcher) -> tuple[str, Downloaded]:
    """Return the address that gave the file, and the file."""
    problems = []
    for url in errand.urls:
        try:
            return url, download(
                url,
                errand.target,
                max_bytes=errand.max_bytes,
                sha256=errand.sha256,
                size=errand.size,
                patience=patience,
                progress=watcher.bytes,
                say=watcher.say,
            )
        except Unavailable as error:
            problems.append(str(error))
            if url != errand.urls[-1]:
                watcher.say(f"{error}; trying another server")
    raise Unavailable("; ".join(problems))


def _sorted_out(errand: Errand, file: Downloaded, staging: Path, params: Params, watcher: Watcher) -> dict[str, Path]:
    """Unpack a dataset and return a folder for each collection, with the archive's folders in it."""
    require_free_space(staging, file.size, f"the images of {errand.name}")
    try:
        members = unpack(file.path, staging / "members", params.ingest.archives, params.ingest.max_bytes)
    except Refused as error:
        raise ValueError(f"{file.path} cannot be unpacked: {error.detail}; delete it and fetch again") from error
    damaged = sum(1 for member in members if member.refused)
    left_out = f", {damaged} damaged ones left out" if damaged else ""
    watcher.say(f"{len(members) - damaged} files unpacked{left_out}")
    sources: dict[str, Path] = {}
    for member in members:
        folder = _folder_of(member, errand)
        if folder and member.path:
            source = staging / errand.folders[folder] / errand.name
            sources[errand.folders[folder]] = source
            _place(member.path, source / folder, member.name)
    missing = [name for name in errand.collections if name not in sources]
    if missing:
        folders = [folder for folder, name in errand.folders.items() if name in missing]
        raise ValueError(f"{file.path} holds no files for {missing[0]}, which should be in {' or '.join(folders)}")
    return {name: sources[name] for name in errand.collections}


def _folder_of(member: Member, errand: Errand) -> str | None:
    """Return which of the errand's folders a member is in: at the top of the archive, or one below."""
    return next((part for part in member.folder.split("/")[:2] if part in errand.folders), None)


def _place(path: Path, folder: Path, name: str) -> None:
    """Give an unpacked file its name back, or a number where the file system does not take that."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    try:
        if target.exists():
            raise FileExistsError(name)
        path.rename(target)
    except (OSError, ValueError):  # two of one name, one too long, one that cannot be encoded
        path.rename(folder / path.name)


def _alone(url: str, file: Downloaded, staging: Path) -> Path:
    """Return a folder that is named after the server and holds the file, under a name that tells an archive."""
    folder = staging / httpx.URL(url).host
    folder.mkdir()
    name = file_name(url)
    if not is_archive(name):
        name += _archive_suffix(file.path)
    try:
        os.link(file.path, folder / name)
    except OSError:  # a file system without links
        shutil.copyfile(file.path, folder / name)
    return folder


def _archive_suffix(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(512)
    return next((suffix for at, magic, suffix in _MAGIC if head.startswith(magic, at)), "")


def _progress(watcher: Watcher, collection: str) -> Callable[[int, int], None]:
    return lambda done, total: watcher.files(collection, done, total)
