"""DVC remotes as docs/operations.md names them: a folder for real, and SSH where this machine has a server.

S3 is not reached: of it only that DVC takes the settings, and puts one's own where git does not see them.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *arguments)


def repository(folder: Path) -> Path:
    """A git and DVC repository with a picture that DVC tracks."""
    folder.mkdir(parents=True)
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "git", "config", "user.name", "A Tester")
    run(folder, "git", "config", "user.email", "tester@localhost")
    dvc(folder, "init", "-q")
    (folder / "picture.png").write_bytes(b"a picture")
    dvc(folder, "add", "picture.png")
    return folder


def shown(kind: str) -> list[list[str]]:
    """Return the `dvc remote` lines of the page's block of an address (ssh, s3)."""
    section = PAGE.read_text().partition("### DVC remotes")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```text\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    [block] = [each for each in blocks if f"{kind}://" in each]
    return [line.split()[1:] for line in block.splitlines() if line.startswith("dvc ")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "secret"), [("ssh", "keyfile"), ("s3", "profile")])
def test_what_the_page_says_of_a_remote_is_taken_and_what_is_ones_own_is_kept_out_of_git(
    tmp_path: Path, kind: str, secret: str
) -> None:
    root = repository(tmp_path / "studio")
    lines = shown(kind)
    assert len(lines) >= 2
    for line in lines:
        dvc(root, *line)
    assert f"{kind}://" in (root / ".dvc" / "config").read_text()
    assert secret not in (root / ".dvc" / "config").read_text()
    assert secret in (root / ".dvc" / "config.local").read_text()
    run(root, "git", "check-ignore", ".dvc/config.local")
    assert kind in dvc(root, "remote", "list")


@pytest.mark.slow
def test_data_come_back_from_a_folder(tmp_path: Path) -> None:
    root = repository(tmp_path / "studio")
    dvc(root, "remote", "add", "--default", "store", str(tmp_path / "store"))
    assert_it_comes_back(root, tmp_path / "clone", [])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A real SSH server of this user's, on loopback; yields its port and the key that it takes."""
    if SSHD is None:
        pytest.skip("no sshd on this machine: the SSH remote was not tried")
    if importlib.util.find_spec("dvc_ssh") is None:
        pytest.skip("the extra `ssh` is not installed: the SSH remote was not tried")
    for name in ("host", "user"):
        run(tmp_path, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name))
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = tmp_path / "sshd_config"
    settings.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path / 'authorized'}\nStrictModes no\nPasswordAuthentication no\n"
        f"PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(settings)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield port, tmp_path / "user"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_data_come_back_by_ssh(server: tuple[int, Path], tmp_path: Path) -> None:
    port, key = server
    store = tmp_path / "store"
    store.mkdir()
    root = repository(tmp_path / "studio")
    address = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{store}"
    dvc(root, "remote", "add", "--default", "store", address)
    private = ["remote", "modify", "--local", "store", "keyfile", str(key)]
    dvc(root, *private)
    assert_it_comes_back(root, tmp_path / "clone", private)


def assert_it_comes_back(root: Path, clone: Path, private: list[str]) -> None:
    """What is pushed comes into a fresh clone, which has only what git keeps, and this person's own settings."""
    dvc(root, "push")
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-q", "-m", "A picture")
    run(root, "git", "clone", "-q", str(root), str(clone))
    if private:
        dvc(clone, *private)
    dvc(clone, "pull")
    assert (clone / "picture.png").read_bytes() == b"a picture"
