"""What `atelier fetch` shows: the offer, the bytes and files as they come, and where everything lies."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import typer
from rich.table import Table

from pipeline.fetch.datasets import DATASETS
from pipeline.fetch.download import kept
from pipeline.fetch.errands import Errand
from pipeline.fetch.fetch import Watcher, fetch, licence_file
from pipeline.fetch.record import part_file
from pipeline.fetch.web import shown_address
from pipeline.ingest import IngestResult
from pipeline.params import Params
from pipeline.progress import Progress
from pipeline.terminal import hint, out, shown
from pipeline.workspace import Workspace

_INTERRUPTED = 130  # as shells say of Ctrl-C


def run(workspace: Workspace, errand: Errand, params: Params, dry_run: bool) -> None:
    """Show an errand, and run it unless only that is wanted."""
    offer(workspace, errand)
    if dry_run:
        out.print("nothing was downloaded (--dry-run)")
        return
    try:
        fetched = fetch(workspace, errand, params, watcher=_Terminal(errand))
    except KeyboardInterrupt:
        rest = kept(errand.target) or "; the same command goes on from there"
        print(f"\ninterrupted{rest}", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    for result in fetched.results:
        _tell(workspace, result)
    out.print(f"where they come from, and their licence: {shown(fetched.licence)}", markup=False)
    out.print(f"the downloaded file is no longer needed: {shown(fetched.file.path)}", markup=False)
    hint(workspace, "plan", "retrain")


def offer(workspace: Workspace, errand: Errand) -> None:
    """Show what would be fetched, from where, to where, and under which licence."""
    first, *others = (shown_address(url) for url in errand.urls)
    lines = [("from", first), *(("or", url) for url in others)]
    lines.append(("size", "told by the server" if errand.size is None else _megabytes(errand.size)))
    lines.append(("sha256", errand.sha256 or "not known beforehand; it is recorded"))
    lines += [("images", f"{folder} -> {name}") for folder, name in errand.folders.items()]
    lines += [] if errand.folders else [("images", f"-> {errand.collection}")]
    lines.append(("file", shown(errand.target) + _there(errand.target)))
    lines.append(("free", f"{_megabytes(_free(errand.target))} on that disk"))
    for name, value in lines:
        out.print(f"{name:8}{value}", markup=False)
    out.print(f"\n{errand.licence}", markup=False)
    out.print(f"This note is kept as {shown(licence_file(workspace, errand))}.", markup=False)


def _there(target: Path) -> str:
    if target.is_file():
        return " (already there)"
    part = part_file(target)
    return f" ({_megabytes(part.stat().st_size)} of it already there)" if part.is_file() else ""


def _free(path: Path) -> int:
    return shutil.disk_usage(next(place for place in path.parents if place.exists())).free


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB".replace(",", " ")


def list_datasets() -> None:
    """Show the datasets that are known by name."""
    table = Table("name", "style", "artworks", "download", box=None, pad_edge=False)
    for each in DATASETS.values():
        size = "unknown" if each.size is None else _megabytes(each.size)
        table.add_row(each.name, each.style, each.artist, size)
    out.print(table)
    out.print("each with the same landscape photographs, for photos (--no-photos leaves them out)")
    hint(None, "fetch NAME --dry-run", "fetch NAME")


def _tell(workspace: Workspace, result: IngestResult) -> None:
    out.print(result.sentence(), markup=False)
    for remark in result.remarks():
        out.print(remark, markup=False)
    if result.refused:
        place = shown(workspace.quarantine(result.collection))
        out.print(f"refused files and reasons: {place}/quarantine.jsonl", markup=False)
    out.print(f"they lie in {shown(workspace.collection(result.collection))}", markup=False)


class _Terminal(Watcher):
    """Bars and sentences for a person."""

    def __init__(self, errand: Errand) -> None:
        self._download = ByteBar(f"download {errand.name}")
        self._files: dict[str, Progress] = {}

    def bytes(self, done: int, total: int | None) -> None:
        """Draw the download's bar."""
        self._download.update(done, total)

    def files(self, collection: str, done: int, total: int) -> None:
        """Draw a collection's bar."""
        bar = self._files.setdefault(collection, Progress(f"ingest {collection}", total))
        bar.total = total
        bar.update(done)

    def say(self, sentence: str) -> None:
        """Print a sentence on a line of its own."""
        self._download.end_line()
        out.print(sentence, markup=False)


class ByteBar:
    """A bar for bytes, in MB or kB, that begins anew when a download does."""

    def __init__(self, label: str) -> None:
        """Draw nothing yet."""
        self._label = label
        self._bar: Progress | None = None
        self._last = 0
        self._open = False  # whether the line on the terminal waits to be redrawn
        self._counted = float("-inf")

    def update(self, done: int, total: int | None) -> None:
        """Show that `done` of `total` bytes are there; where the total is not known, just how many."""
        if total is None:
            self._count(done)
            return
        unit, name = (1_000_000, "MB") if total >= 10_000_000 else (1_000, "kB")
        units = -(-total // unit)
        shown_done = units if done >= total else min(done // unit, units - 1)
        if self._bar is None or done < self._last or self._bar.total != units:
            self._bar = Progress(f"{self._label} ({name})", units, done=shown_done)
        self._last = done
        self._bar.update(shown_done)
        self._open = self._bar.stream.isatty() and done < total

    def _count(self, done: int) -> None:
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if now - self._counted >= (0.2 if terminal else 10):
            self._counted, self._open = now, terminal
            line = f"{self._label} {_megabytes(done)} of an unknown number"
            print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)

    def end_line(self) -> None:
        """Leave a line that waits to be redrawn, so that other text does not run into it."""
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False
