"""A folder's files -> what each is: links and pipes told from files, archives unpacked, the rest opened by workers.

A bounded number of files is under way at once, whatever the folder's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.images import Limits, Refused
from pipeline.intake import archives, drops
from pipeline.intake.drops import Drop, StillArriving
from pipeline.intake.executors import limit_reached, open_executor, worker_count
from pipeline.intake.inspection import Finding, Task, inspect
from pipeline.intake.known import Known
from pipeline.params import Archives, Ingest

Identities = Mapping[Path, tuple[int, int, int]]  # see `drops.identity`
_AHEAD = 4  # files a worker: enough that none waits for the next one, few enough for any memory
_ARRIVING = Finding(None, arriving=True)


@dataclass(frozen=True)
class Item:
    """One file to be judged.

    index is its place in the order of all; drop its name and folder for the record; path the regular file to read;
    ours tells that we unpacked it, so that nothing else changes it; origin is the file in the folder that holds it,
    and seen that file's identity when it was looked at.
    """

    index: int
    drop: Drop
    path: Path
    ours: bool
    origin: Path
    seen: tuple[int, int, int] | None


@dataclass(frozen=True)
class Judged:
    """An item, what it is, and where a copy of its bytes lies that may be moved (None: nothing new to keep)."""

    item: Item
    finding: Finding
    copy: Path | None = None


class Gathering:
    """One pass over a folder; use it in a `with` block, which ends its workers."""

    def __init__(
        self,
        root: Path,
        staging: Path,
        quiet: float,
        settings: Ingest,
        known: Known,
        before: Identities | None = None,
    ) -> None:
        """Read files under `root` that have been still for `quiet` seconds; copies go to the folder `staging`.

        If `before` says how files were a while ago, one that is otherwise now is not still, whatever its times say.
        """
        self._before = before
        self._root, self._staging, self._quiet, self._settings, self._known = root, staging, quiet, settings, known
        self._limits = Limits.of(settings)
        self._index = 0
        self._executors: dict[tuple[float, int], Executor] = {}
        self._stack = ExitStack()
        self.total = 0

    def __enter__(self) -> Gathering:
        """Start; workers start when they are needed, so a folder of known files needs none."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the workers, at once after an error or Ctrl-C."""
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def judged(self, found: Sequence[Drop]) -> Iterator[Judged]:
        """Yield what each file is, members of archives instead of these, as they are done."""
        self.total = len(found)
        running: dict[Future[Finding], Item] = {}
        most = _AHEAD * worker_count(self._settings)
        for item in self._items(found):
            if isinstance(item, Judged):
                yield item
                continue
            running[self._inspect(item)] = item
            while len(running) >= most:
                yield from self._completed(running)
        while running:
            yield from self._completed(running)

    def _items(self, found: Sequence[Drop]) -> Iterator[Item | Judged]:
        """Yield what must be opened, and what is decided without."""
        for drop in found:
            item = self._next(drop, drop.path, drop.path)
            try:
                path = drops.target_of(drop, self._root)
                self._check_bytes(drop, path)
                if self._quiet:
                    self._check_still(drop, path)
                item = replace(item, path=path, seen=drops.identity(drop.path))
            except Refused as refusal:
                yield Judged(item, _refused(refusal))
            except (StillArriving, FileNotFoundError):
                yield Judged(item, _ARRIVING)
            else:
                yield from self._members(item) if archives.is_archive(drop.name) else self._looked_up(item)

    def _check_still(self, drop: Drop, path: Path) -> None:
        drops.check_quiet(path, self._quiet, observed=self._before is not None)
        if self._before is not None and self._before.get(drop.path) != drops.identity(drop.path):
            raise StillArriving("it changed since it was first seen")

    def _check_bytes(self, drop: Drop, path: Path) -> None:
        """Refuse by its size alone what would fill the disk if it were copied; it stays where it is."""
        packed = archives.is_archive(drop.name)
        key, limits = ("archives.max_bytes", self._settings.archives) if packed else ("max_bytes", self._settings)
        size, most = path.stat().st_size, limits.max_bytes
        if size > most:
            raise Refused("too_large", f"{size} bytes, more than ingest.{key} ({most})")

    def _looked_up(self, item: Item) -> Iterator[Item | Judged]:
        try:
            finding = self._known.look_up(item.path)
        except Refused as refusal:
            finding = _refused(refusal)
        except (StillArriving, FileNotFoundError):
            finding = _ARRIVING
        yield item if finding is None else Judged(item, finding)

    def _members(self, archive: Item) -> Iterator[Item | Judged]:
        """Yield the members of an archive; one that was refused is kept by keeping the whole archive."""
        folder = self._staging / f"{archive.index:08d}.members"
        folder.mkdir()
        whole = self._copied(archive)
        if whole.copy is None:
            yield whole
            return
        finding = replace(whole.finding, extension=Path(archive.drop.name).suffix[1:].lower())
        try:
            members = self._unpack(whole.copy, folder)
        except Refused as refusal:
            if refusal.code == "not_image":  # its name lies: it may be a picture
                yield from self._looked_up(archive)
            else:
                yield Judged(archive, replace(finding, refusal=(refusal.code, refusal.detail)), whole.copy)
            return
        self.total += len(members) - 1
        for member in members:
            inside = "/".join(part for part in (archive.drop.source, archive.drop.name, member.folder) if part)
            item = self._next(Drop(archive.drop.path, member.name, inside), member.path, archive.origin)
            item = replace(item, ours=True, seen=archive.seen)
            if member.refused:
                yield Judged(item, replace(finding, refusal=member.refused), whole.copy)
            else:
                yield from self._looked_up(item)

    def _next(self, drop: Drop, path: Path | None, origin: Path) -> Item:
        self._index += 1
        return Item(self._index, drop, path or drop.path, ours=False, origin=origin, seen=None)

    def _unpack(self, archive: Path, folder: Path) -> list[archives.Member]:
        executor = self._executor(self._settings.archives.max_seconds, workers=1)
        future = executor.submit(_unpack, archive, folder, self._settings.archives, self._limits.max_bytes)
        try:
            members: list[archives.Member] | tuple[str, str] = future.result()
        except Exception as error:
            raise limit_reached(error, self._settings, "archives.max_seconds") from error
        if isinstance(members, tuple):
            raise Refused(*members)
        return members

    def _inspect(self, item: Item) -> Future[Finding]:
        target = None if item.ours else self._copy_of(item)
        executor = self._executor(self._settings.decode_seconds, worker_count(self._settings))
        return executor.submit(inspect, Task(item.path, target, self._limits))

    def _executor(self, seconds: float, workers: int) -> Executor:
        if (seconds, workers) not in self._executors:
            executor = open_executor(replace(self._settings, workers=workers), seconds)
            self._executors[seconds, workers] = self._stack.enter_context(executor)
        return self._executors[seconds, workers]

    def _completed(self, running: dict[Future[Finding], Item]) -> Iterator[Judged]:
        completed = wait(running, return_when=FIRST_COMPLETED).done
        for future in sorted(completed, key=lambda each: running[each].index):
            item = running.pop(future)
            try:
                finding = future.result()
            except Exception as error:
                refusal = limit_reached(error, self._settings)
                yield self._set_aside(item, refusal)
            else:
                copied = finding.sha256 is not None
                yield Judged(item, finding, self._copy_of(item) if copied else None)

    def _set_aside(self, item: Item, refusal: Refused) -> Judged:
        """Return the refusal of a file that ended its worker, which left no copy, or a part of one."""
        whole = self._copied(item)
        if whole.finding.sha256 is None:
            return whole
        return replace(whole, finding=replace(whole.finding, refusal=(refusal.code, refusal.detail)))

    def _copied(self, item: Item) -> Judged:
        """Copy a file without opening what it holds."""
        try:
            if item.ours:
                sha256, size = drops.sha256_of(item.path)
            else:
                copy = drops.copy_to(item.path, self._copy_of(item))
                sha256, size = copy.sha256, copy.size
        except Refused as refusal:
            return Judged(item, _refused(refusal))
        except StillArriving:
            return Judged(item, _ARRIVING)
        return Judged(item, Finding(sha256, size), self._copy_of(item))

    def _copy_of(self, item: Item) -> Path:
        return item.path if item.ours else self._staging / f"{item.index:08d}"


def _refused(refusal: Refused) -> Finding:
    return Finding(None, refusal=(refusal.code, refusal.detail))


def _unpack(archive: Path, folder: Path, limits: Archives, max_bytes: int) -> list[archives.Member] | tuple[str, str]:
    """Return the members, or the code and detail of a refusal, which as an exception could not be pickled."""
    try:
        return archives.unpack(archive, folder, limits, max_bytes)
    except Refused as refusal:
        return refusal.code, refusal.detail
