"""zip and tar archives among the files to ingest: unpacked under limits, each member on its own."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.images import Refused
from pipeline.intake.tars import BLOCK, is_tar, unpack_tar
from pipeline.intake.unpacked import Member, Store, is_archive
from pipeline.intake.zips import unpack_zip
from pipeline.params import Archives

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Member", "is_archive", "unpack"]


class _File(io.FileIO):
    """A file to read, whose own failures refuse it; failures to write what is unpacked are not the archive's."""

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path)
        except OSError as error:
            raise Refused("unreadable", error.strerror or str(error)) from error

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:  # a bad sector, a lost network folder
            raise Refused("unreadable", error.strerror or str(error)) from error


def unpack(path: Path, folder: Path, limits: Archives, max_member_bytes: int) -> list[Member]:
    """Unpack the regular files of an archive and return them, and those refused, in the archive's order.

    Left out without a word: folders, and names with a part that begins with a dot or is `__MACOSX`. Files of one name
    are all taken. Whether it is a zip or a tar (plain, or with gzip, bzip2, xz) its content decides. Memory does not
    grow with what is unpacked.

    Args:
        path: the archive.
        folder: written to, as 00000001 and so on; made if it is missing.
        limits: how many members, unpacked bytes (those that are left out count where they have to be unpacked to
            reach the next ones), and unpacked bytes per packed byte (beyond the first 10 MB).
        max_member_bytes: a larger member is refused.

    Raises:
        Refused: the archive as a whole, and everything unpacked is removed. not_image: it is no archive. truncated.
            unreadable: damaged, or of an unsupported kind. too_large: beyond `limits`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with io.BufferedReader(_File(path)) as stream:
        size = os.fstat(stream.fileno()).st_size
        store = Store(folder, size, limits, max_member_bytes)
        try:
            head = stream.read(BLOCK)
            stream.seek(0)
            if is_tar(head):
                unpack_tar(stream, store)
            else:
                unpack_zip(stream, size, store)
        except BaseException:
            store.discard()
            raise
    return store.members
