"""`atelier serve` as a process: what docs/serving.md shows, a champion that changes meanwhile, and an orderly end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from pipeline import cli, registry
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.pictures import encoded, texture
from tests.pipeline.serve.serving import PHOTO

ROOT = Path(__file__).parents[3]


@pytest.fixture
def place(mlflow_store: Callable[[Path], None], tmp_path: Path) -> Workspace:
    """A workspace of this checkout's code whose model `monet` has a champion and a challenger."""
    workspace = empty_workspace(tmp_path / "studio")
    (workspace.root / "pipeline").symlink_to(ROOT / "pipeline")
    workspace.params_file.write_bytes((ROOT / "params.yaml").read_bytes())
    workspace.recipes_file.write_text("styles: []\nrecipes: {}\n")
    mlflow_store(workspace.root)
    for seed in range(2):
        write_package(workspace, "monet", seed)
        registry.register(workspace, "monet")
    registry.promote(workspace, "monet", 1, "first", by="ana")
    return workspace


@contextmanager
def _process(place: Workspace, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a command that serves; yield it and its address once it serves."""
    command = [sys.executable, "-m", "pipeline.cli", "-C", str(place.root), *arguments, "--port", "0"]
    inherited = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
    process = subprocess.Popen(
        command, cwd=place.root.parent, env=inherited, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        said = ""
        while "Ctrl-C ends it" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        [address] = re.findall(r"(?:painting|studio): (http://[^/]+)/", said)
        assert "monet: monet version 1" in said
        yield process, address
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_the_calls_of_the_page_paint_and_the_end_is_orderly(place: Workspace, tmp_path: Path) -> None:
    calls = re.findall(r"^curl .*$", (ROOT / "docs" / "serving.md").read_text(), re.MULTILINE)
    assert len(calls) == 6
    here = tmp_path / "here"
    here.mkdir()
    (here / "photo.jpg").write_bytes(encoded(texture(1, 60, 40), "JPEG"))
    with _process(place, "serve") as (process, address):
        _until_ready(address)
        for call in calls:
            subprocess.run(
                ["bash", "-c", call.replace("http://127.0.0.1:8080", address)],
                cwd=here,
                check=True,
                capture_output=True,
            )
        for name, kind in (("painting.jpg", "JPEG"), ("painting.png", "PNG"), ("finer.jpg", "JPEG")):
            with Image.open(here / name) as painting:
                assert (painting.format, painting.size) == (kind, (60, 40))
        registry.promote(place, "monet", 2, "better", by="ana")
        end = time.monotonic() + 60
        while httpx.get(f"{address}/api/models", timeout=60).json()[0]["version"] != 2:
            assert time.monotonic() < end
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "stopped after 3 paintings" in rest
        assert "monet version 2 takes over from version 1" in rest
        assert "Traceback" not in rest


@pytest.mark.slow
def test_the_studio_ends_by_ctrl_c_and_leaves_no_process_and_no_file(place: Workspace, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with _process(place, "studio", "--no-open", TMPDIR=str(scratch)) as (process, address):
        _until_ready(address)
        assert "Which photograph?" in httpx.get(f"{address}/", timeout=60).text
        assert httpx.post(f"{address}/api/stylize?model=monet", content=PHOTO, timeout=60).status_code == 200
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "stopped after 1 paintings" in rest
        assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert not [path for path in scratch.rglob("*") if path.is_file()]


def _until_ready(address: str) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{address}/ready", timeout=60).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.1)


def test_mistakes_are_one_sentence(
    place: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ATELIER_TOKEN", raising=False)

    def refusal(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["-C", str(place.root), *arguments])
        assert ended.value.code == 2
        return capsys.readouterr().err

    assert "demands a token" in refusal("serve", "--host", "0.0.0.0")
    assert "demands a token" in refusal("studio", "--host", "0.0.0.0", "--no-open")
    assert "cannot be read" in refusal("serve", "--token-file", str(tmp_path / "none"))
    assert "is no model package" in refusal("serve", "--port", "0", "--package", str(tmp_path))
    assert "choose cpu or cuda" in refusal("serve", "--device", "tpu")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port} cannot be listened on" in refusal("serve", "--port", port)
