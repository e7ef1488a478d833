"""What comes out of an archive: members under numbers of our own, names that are only recorded, limits on both."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.images import Refused
from pipeline.params import Archives

ARCHIVES = (".zip", ".cbz", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_SMALL = 10_000_000  # unpacked bytes up to which any ratio is harmless, and flat scans legitimately reach a high one
_LONGEST = 4096  # bytes of a name; no file system takes more
_NAMES = 512  # bytes of names, for each member that is allowed
_DRIVE = re.compile(r"[A-Za-z]:")


class Damaged(Exception):  # noqa: N818 (a finding about bytes, as `Refused` is)
    """Bytes that cannot be unpacked: a reason `code` (truncated, unreadable, too_large) and the `detail` in words.

    Whether it costs one member or the archive is for the archive's format to say.
    """

    def __init__(self, code: str, detail: str) -> None:
        """Say why."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Member:
    """One file of an archive: unpacked at `path`, or `refused` with a reason code and the detail.

    `name` is the last part of its name and `folder` the rest ('' at the top): to be recorded, never used as a path.
    """

    name: str
    folder: str
    path: Path | None
    refused: tuple[str, str] | None


class Store:
    """The folder that an archive is unpacked to, and how much may still be written there."""

    def __init__(self, folder: Path, packed: int, limits: Archives, max_member_bytes: int) -> None:
        """Begin with nothing unpacked from an archive of `packed` bytes."""
        self.members: list[Member] = []
        self.max_member_bytes = max_member_bytes
        self._folder = folder
        self._packed = packed
        self._limits = limits
        self._written: list[Path] = []
        self._entries = 0
        self._names = 0
        self._spent = 0

    def meet(self) -> None:
        """Count one more entry of the archive, of any kind.

        Raises:
            Refused: too_large, there are too many.
        """
        self._entries += 1
        if self._entries > self._limits.max_members:
            raise Refused("too_large", f"it holds more than max_members ({self._limits.max_members}) files")

    def spend(self, size: int) -> None:
        """Count bytes that are being unpacked, kept or not.

        Raises:
            Refused: too_large, see `require`.
        """
        self.require(size)
        self._spent += size

    def require(self, size: int) -> None:
        """Refuse the archive if `size` more bytes are more than it may unpack to.

        Raises:
            Refused: too_large.
        """
        total = self._spent + size
        if total > self._limits.max_bytes:
            raise Refused("too_large", f"it unpacks to more than max_bytes ({self._limits.max_bytes})")
        if total > _SMALL and total > self._limits.max_ratio * self._packed:
            ratio = f"{self._limits.max_ratio:g}"
            raise Refused("too_large", f"it unpacks to more than max_ratio ({ratio}) times its own size")

    def refuse(self, text: str, code: str, detail: str) -> None:
        """Record a member that is not unpacked."""
        self._record(text, None, (code, detail))

    def keep(self, text: str, pieces: Iterable[tuple[int, bytes]], size: int) -> None:
        """Write a member: each piece at its offset, `size` bytes in all; what is damaged is refused and removed."""
        path = self._folder / f"{len(self.members) + 1:08d}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._written.append(path)
        try:
            with os.fdopen(handle, "wb") as output:
                for offset, piece in pieces:
                    if output.tell() != offset:
                        output.seek(offset)
                    output.write(piece)
                output.truncate(size)  # a sparse member may end with a hole
        except Damaged as error:
            self._written.pop().unlink()
            self.refuse(text, error.code, error.detail)
        else:
            self._record(text, path, None)

    def discard(self) -> None:
        """Remove everything that was unpacked."""
        for path in self._written:
            path.unlink(missing_ok=True)
        self._written.clear()
        self.members.clear()

    def _record(self, text: str, path: Path | None, refused: tuple[str, str] | None) -> None:
        folder, name = split(text)
        self._names += len(folder) + len(name)
        if self._names > _NAMES * self._limits.max_members + 2 * _LONGEST:
            raise Refused("too_large", "the names of its members fill more memory than max_members allows")
        self.members.append(Member(name, folder, path, refused))


def split(text: str) -> tuple[str, str]:
    """Return the folder and the last part of a member's name, without empty parts and '.'."""
    root = "/" if text.startswith("/") else ""
    parts = [part for part in text[-_LONGEST:].split("/") if part not in ("", ".")]
    return root + "/".join(parts[:-1]), parts[-1] if parts else ""


def is_skipped(text: str) -> bool:
    """Return whether a member is left out without a word: a part of its name begins with a dot, or is `__MACOSX`."""
    if _leads_outside(text):
        return False
    folder, name = split(text)
    return any(part.startswith(".") or part == "__MACOSX" for part in (*folder.split("/"), name))


def refusal_of_name(text: str) -> tuple[str, str] | None:
    """Return the reason code and detail if a member is refused for its name alone."""
    if outside := _leads_outside(text):
        return "outside", outside
    if len(text) > _LONGEST:
        return "unreadable", f"its name has more than {_LONGEST} letters"
    if not split(text)[1]:
        return "unreadable", "it has no name"
    if is_archive(text):
        return "not_image", "an archive inside an archive is not opened; unpack it and put it into the folder"
    return None


def _leads_outside(text: str) -> str:
    """Return how a name leads out of the folder that it would be unpacked to, '' if it does not."""
    parts = text.replace("\\", "/").split("/")
    if parts[0] == "" and len(parts) > 1:
        return "its name is an absolute path"
    if _DRIVE.match(text):
        return "its name begins with a drive"
    if ".." in parts:
        return "its name leads out of the archive with '..'"
    return "its name holds a NUL" if "\0" in text else ""


def is_archive(name: str) -> bool:
    """Return whether a file's name says that it is a zip or tar archive."""
    return name.lower().endswith(ARCHIVES)
