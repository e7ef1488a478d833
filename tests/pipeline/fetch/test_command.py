"""`atelier fetch` as a person types it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.fetch.command import ByteBar
from pipeline.fetch.datasets import DATASETS
from tests.conftest import git
from tests.pipeline.fetch.server import Answer, Server
from tests.pipeline.fetch.test_fetch import pictures, zipped

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a workspace of this checkout's own code, with nothing in it and no DVC."""
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "pipeline").symlink_to(ROOT / "pipeline")
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).write_text((ROOT / name).read_text())
    (root / "recipes.yaml").write_text("styles: []\nrecipes: {}\n")
    return root


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_the_list_needs_no_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run("fetch", "--list") == 0
    text = _plain(capsys.readouterr().out)
    for name, dataset in DATASETS.items():
        assert dataset.size is not None
        assert f"{name} {dataset.style} {dataset.artist} {dataset.size / 1e6:.1f} MB" in text


def test_a_dry_run_shows_everything_and_asks_nobody(
    bare: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("-C", bare, "fetch", "monet2photo", "--dry-run") == 0
    text = _plain(capsys.readouterr().out)
    dataset = DATASETS["monet2photo"]
    for shown in (*dataset.urls, "305.2 MB", str(dataset.sha256), "trainA -> monet", "testB -> photos", "Flickr"):
        assert shown in text
    assert f"{bare}/work/downloads/monet2photo.zip" in text
    assert re.search(r"free +[\d ]+\.\d MB on that disk", text)
    assert "nothing was downloaded" in text
    assert _run("-C", bare, "fetch", f"{server.url}/a.zip", "--style", "ink", "--dry-run") == 0
    assert "not known to this program" in _plain(capsys.readouterr().out)
    assert not server.asked
    assert sorted(path.name for path in bare.iterdir()) == ["dvc.yaml", "params.yaml", "pipeline", "recipes.yaml"]


def test_nothing_to_fetch_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("fetch") == 2
    assert "say what to fetch" in capsys.readouterr().err


@pytest.mark.slow
def test_an_address_becomes_a_tracked_style(workspace: Path, server: Server) -> None:
    server.reset(zipped({f"{n}.png": data for n, data in enumerate(pictures(*range(8)))}))
    url = f"{server.url}/ink.zip"
    command = [sys.executable, "-P", "-m", "pipeline.cli", "fetch", url, "--style", "ink"]
    environment = {**os.environ, "PYTHONPATH": str(workspace)}
    done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = re.search(r"their licence: (data/licences/\S+\.txt)", done.stdout)
    assert shown
    assert done.stdout.index("not known to this program") < done.stdout.index("8 accepted")  # before the download
    assert "next: atelier plan, atelier retrain" in done.stdout
    assert re.search(r"download \S+ink\.zip \(kB\) .* in \d+ s", done.stderr)
    assert "ingest ink" in done.stderr
    assert (workspace / "data" / "styles" / "ink.dvc").is_file()
    git(workspace, "add", "-A")
    assert shown[1] in git(workspace, "diff", "--cached", "--name-only").splitlines()


def test_ctrl_c_says_that_the_next_run_goes_on(bare: Path, server: Server) -> None:
    server.reset(pictures(1)[0] * 20)
    server.answers = [Answer(stop=100_000, how="stall")]
    command = [sys.executable, "-m", "pipeline.cli", "-C", str(bare), "fetch", f"{server.url}/a.png", "--photos"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not any(part.stat().st_size >= 30_000 for part in bare.glob("work/downloads/*.part")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert re.search(r"interrupted; [\d.]+ [kM]B are kept, and the same command goes on from there\n$", errors)


def test_a_bar_of_bytes_ends_once_and_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ByteBar("download x")
    total = 20_500_001
    for done in (0, 10_000_000, 20_500_000, total):
        bar.update(done, total)
    bar.update(0, 5_000)  # the server has another file now
    bar.update(5_000, 5_000)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "21/21 in" in line] == [lines[1]]
    assert lines[0].startswith("download x (MB) ")
    assert "0/21 starting" in lines[0]
    assert lines[-1].startswith("download x (kB) ")
    assert "5/5 in" in lines[-1]


def test_a_bar_of_an_unknown_length_counts(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ByteBar("download x")
    bar.update(1_500_000, None)
    bar.update(1_600_000, None)
    assert capsys.readouterr().err == "download x 1.5 MB of an unknown number\n"
