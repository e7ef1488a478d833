"""Which file system a path lies on, and whether other machines may write to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import filesystems

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:40 / /mnt/share rw - nfs4 server:/export rw
24 22 0:41 / /mnt/share/local rw shared:7 - xfs /dev/vdb rw
25 22 0:42 / /mnt/my\040disk rw - fuse.sshfs host:/ rw
26 22 0:43 / /covered rw - ext4 /dev/vdc rw
27 26 0:44 / /covered rw - cifs //server/share rw
not a line
"""


@pytest.mark.parametrize(
    ("path", "kind", "mount"),
    [
        ("/home/ana/studio/var", "ext4", "/"),
        ("/mnt/share/studio", "nfs4", "/mnt/share"),
        ("/mnt/shares/studio", "ext4", "/"),
        ("/mnt/share/local/studio", "xfs", "/mnt/share/local"),
        ("/mnt/my disk/studio", "fuse.sshfs", "/mnt/my disk"),
        ("/covered/studio", "cifs", "/covered"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, kind: str, mount: str) -> None:
    assert filesystems.kind_of(Path(path), MOUNTS) == (kind, Path(mount))


def test_what_other_machines_write_to_is_a_network_file_system() -> None:
    network = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs")
    assert all(filesystems.is_network(kind) for kind in network)
    local = ("ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuseblk", "fuse.gocryptfs", "unknown")
    assert not any(filesystems.is_network(kind) for kind in local)


def test_this_machines_own_table_is_understood(tmp_path: Path) -> None:
    kind, mount = filesystems.kind_of(tmp_path / "not" / "there")
    assert kind != "unknown"
    assert tmp_path.resolve().is_relative_to(mount)
