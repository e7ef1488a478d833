"""Fault 9: the disk is full while a retrain ingests, trains and packages.

The full disk is a small file system of its own, mounted where the step writes, in a namespace that ends with the
command: what it wrote there is gone then, as after a machine was mended.
"""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.faults.studios import Studio, maker, settled, waiting
from tests.flows.studio import drop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
_ALONE = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    done = subprocess.run([*_ALONE, "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this system lets nobody mount in a namespace of his own")


def on_a_small_disk(studio: Studio, folder: str, kilobytes: int, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands of a shell with a file system of `kilobytes` at a folder of the studio."""
    (studio.root / folder).mkdir(parents=True, exist_ok=True)
    mount = f"mount -t tmpfs -o size={kilobytes}k tmpfs {shlex.quote(folder)}"
    python = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}'
    return subprocess.run(
        [*_ALONE, "\n".join([mount, python, *commands])],
        cwd=studio.root,
        env=studio.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_ingesting_goes_on_when_there_is_room_again(
    prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    studio = settled(maker(tmp_path_factory), prefect_server)
    drop(studio.root, "oil", 0, 8)
    dropped = sorted((studio.root / "inbox" / "oil").iterdir())
    largest = max(path.stat().st_size for path in dropped)
    ingest = "from pathlib import Path; from pipeline import entry, ingest; from pipeline.params import load_params; "
    ingest += "from pipeline.workspace import Workspace; w = Workspace(Path.cwd()); "
    ingest += "entry.run_stage(lambda: ingest.ingest_inbox(w, load_params(w.params_file)))"
    done = on_a_small_disk(
        studio,
        "data",
        3000,
        f"head -c {3000 * 1024 - 3 * largest} /dev/zero > data/ballast",
        f"python -c {shlex.quote(ingest)} && exit 3 || test $? = 2",
        "ls inbox/oil | wc -l",
        "rm data/ballast",
        f"python -c {shlex.quote(ingest)}",
        "grep -c sha256 data/styles/oil/manifest.jsonl",
        "ls data/styles/oil/*.png | wc -l; ls -A inbox/oil | wc -l",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "No space left" in said[0] or "free some space" in said[0], said
    assert "Traceback" not in done.stderr
    assert done.stdout.split() == ["8", "8", "8", "0"], "artworks were lost"
    studio.assert_champion_loads()


def test_training_and_packaging_go_on_when_there_is_room_again(
    prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    studio = waiting(maker(tmp_path_factory), prefect_server)
    for stage, folder in (("train", "work/checkpoints/ink"), ("train", "runs"), ("package", "models")):
        done = on_a_small_disk(studio, folder, 16, "python -m flows retrain")
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"ink: failed: {stage}@ink failed: " in done.stdout, done.stdout + done.stderr
        assert "No space left" in done.stdout or "free some space" in done.stdout, done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        assert studio.aliases() == {"champion": 1, "anchor": 1}
        studio.assert_champion_loads()
    studio.assert_converged()
