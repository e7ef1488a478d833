"""`atelier stylize` as a process: a batch that is painted and told once, a stream that holds nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from pipeline.inference import Stylizer
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.pictures import ROOT, encoded, texture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = empty_workspace(tmp_path_factory.mktemp("made"))
    write_package(workspace, "ink")
    return workspace.package("ink")


def _stylize(folder: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pipeline.cli", "stylize", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, input=data, capture_output=True, check=False)


def _told(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join((done.stdout + done.stderr).decode().split())


def test_a_batch_goes_past_a_bad_file_names_it_at_the_end_and_is_not_painted_twice(
    package: Path, tmp_path: Path
) -> None:
    given, out = tmp_path / "holiday", tmp_path / "painted"
    for number, name in enumerate(("a.jpg", "deep/b.png")):
        (given / name).parent.mkdir(parents=True, exist_ok=True)
        (given / name).write_bytes(encoded(texture(number, 60, 40), "JPEG" if name.endswith("jpg") else "PNG"))
    (given / "bad.jpg").write_bytes(b"no picture")
    options = ["holiday", "painted", "--model", str(package), "--strength", "0.8", "--format", "png"]
    first = _stylize(tmp_path, *options)
    assert first.returncode == 1
    assert "painted 2 pictures: painted" in _told(first)
    assert "not painted: holiday/bad.jpg: " in _told(first).partition("painted 2 pictures")[2]  # at the end
    with Image.open(out / "deep" / "b.png") as painted:
        expected = Stylizer.load(package)(texture(1, 60, 40), strength=0.8)
        assert ImageChops.difference(painted.convert("RGB"), expected).getbbox() is None
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert len(before) == 2
    (given / "bad.jpg").write_bytes(encoded(texture(3, 60, 40), "JPEG"))  # mended, so it alone is left to paint
    again = _stylize(tmp_path, *options)
    assert again.returncode == 0, _told(again)
    assert "before, just so: 2 pictures" in _told(again)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / "bad.png").is_file()


def test_a_stream_holds_the_painting_and_nothing_else(package: Path, tmp_path: Path) -> None:
    photo = texture(5, 60, 40)
    done = _stylize(tmp_path, "-", "-", "--model", str(package), "--format", "png", data=encoded(photo))
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as painted:
        painted.load()
        expected = Stylizer.load(package)(photo)
        assert np.array_equal(np.asarray(painted.convert("RGB")), np.asarray(expected))
    assert done.stdout.startswith(b"\x89PNG")
    assert done.stdout.rstrip().endswith(b"IEND\xaeB`\x82")
    broken = _stylize(tmp_path, "-", "-", "--model", str(package), data=b"no picture")
    assert (broken.returncode, broken.stdout) == (1, b"")
    assert "not painted: -" in broken.stderr.decode()


def test_one_load_serves_a_whole_glob(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline import cli

    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encoded(texture(number, 40, 30)))
    loads: list[Path] = []
    load = Stylizer.load

    def counted(folder: Path, *rest: str | None) -> Stylizer:
        loads.append(folder)
        return load(folder, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Stylizer, "load", counted)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["stylize", "*.png", "out", "--model", str(package)])
    assert ended.value.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]
    assert loads == [package]
