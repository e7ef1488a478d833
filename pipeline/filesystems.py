"""On which file system something lies. SQLite and file locks do not work on those that other machines write to."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
# Locks and the order of writes are another machine's business there: SQLite's own page says not to.
_NETWORK = frozenset(
    {
        *("nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afs", "9p", "vboxsf", "davfs"),
        *("ceph", "lustre", "beegfs", "gpfs", "glusterfs", "gfs2", "ocfs2", "orangefs", "pvfs2", "coda", "ncpfs"),
    }
)
_USERSPACE = "fuse."  # sshfs, s3fs, rclone, glusterfs ...
_LOCAL = frozenset({"fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs", "fuse.ntfs", "fuse.mergerfs", "fuseblk"})


def kind_of(path: Path, mounts: str | None = None) -> tuple[str, Path]:
    """Return the type of the file system that a path lies on, such as `ext4`, and where that is mounted.

    Args:
        path: need not exist yet.
        mounts: the mount table as Linux writes it to /proc/self/mountinfo; that of this machine without.
    """
    table = _MOUNTS.read_text() if mounts is None else mounts
    resolved, found = path.resolve(), ("unknown", Path("/"))
    for line in table.splitlines():
        before, _, behind = line.partition(" - ")
        if not behind:
            continue
        place = Path(_unescaped(before.split()[4]))
        # A later line covers an earlier one of the same place.
        if resolved.is_relative_to(place) and len(place.parts) >= len(found[1].parts):
            found = (behind.split()[0], place)
    return found


def is_network(kind: str) -> bool:
    """Return whether a file system's type is one that several machines may write to."""
    return kind in _NETWORK or (kind.startswith(_USERSPACE) and kind not in _LOCAL)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
