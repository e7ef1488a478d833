"""`atelier serve` as a process: what docs/serving.md shows, a champion that changes meanwhile, and an orderly end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from pipeline import cli, registry
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.pictures import encoded, texture
from tests.pipeline.serve.serving import PHOTO, serving, until_ready

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


@pytest.mark.slow
def test_the_calls_of_the_page_paint_and_the_end_is_orderly(place: Workspace, tmp_path: Path) -> None:
    calls = re.findall(r"^curl .*$", (ROOT / "docs" / "serving.md").read_text(), re.MULTILINE)
    assert len(calls) == 6
    here = tmp_path / "here"
    here.mkdir()
    (here / "photo.jpg").write_bytes(encoded(texture(1, 60, 40), "JPEG"))
    with serving(place, "serve") as (process, address, said):
        assert "monet: monet version 1" in said
        until_ready(address)
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
        end = time.monotonic() + 120
        while httpx.get(f"{address}/api/models", timeout=60).json()[0]["version"] != 2:
            assert time.monotonic() < end
            time.sleep(0.2)
        large = encoded(texture(5, 900, 600), "JPEG")
        with ThreadPoolExecutor(1) as other:
            asked = other.submit(httpx.post, f"{address}/api/stylize?scale=10", content=large, timeout=300)
            while "atelier_at_work 1.0" not in httpx.get(f"{address}/metrics", timeout=60).text:
                assert time.monotonic() < end
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=300)
            answer = asked.result(60)
        assert (answer.status_code, answer.headers["X-Atelier-Size"]) == (200, "900x600")  # begun, so finished
        assert process.returncode == 0
        assert "stopped after 4 paintings" in rest
        assert "monet version 2 takes over from version 1" in rest
        assert "Traceback" not in rest


@pytest.mark.slow
def test_the_studio_ends_by_ctrl_c_and_leaves_no_process_and_no_file(
    place: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = tmp_path_factory.mktemp("s")  # sockets lie in it, whose paths must be short
    with serving(place, "studio", "--no-open", TMPDIR=str(scratch)) as (process, address, _):
        until_ready(address)
        assert "Which photograph?" in httpx.get(f"{address}/", timeout=60).text
        assert httpx.post(f"{address}/api/stylize?model=monet", content=PHOTO, timeout=60).status_code == 200
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "stopped after 1 paintings" in rest
        end = time.monotonic() + 60
        while [child for child in children if _runs(child)]:  # they notice that it is gone, each in its own time
            assert time.monotonic() < end
            time.sleep(0.05)
    assert not [path for path in scratch.rglob("*") if path.is_file()]


def _runs(process: str) -> bool:
    try:
        return "Z (zombie)" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


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
