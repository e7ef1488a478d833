"""The registered model over real HTTP, as `mlflow models serve` serves it: images, sizes, formats, refusals."""

from __future__ import annotations

import base64
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageChops

from pipeline import registry
from pipeline.inference import Stylizer
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.pictures import encoded, texture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def place(mlflow_store: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = empty_workspace(tmp_path_factory.mktemp("served") / "studio")
    mlflow_store(workspace.root)
    write_package(workspace, "ink")
    registry.register(workspace, "ink")
    registry.promote(workspace, "ink", 1, "first", by="ana")
    return workspace


@pytest.fixture(scope="module")
def served(place: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The documented command, in a folder that is no checkout."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("elsewhere")
    command = [
        "mlflow",
        "models",
        "serve",
        "-m",
        "models:/ink@champion",
        "--env-manager",
        "local",
        "--port",
        str(port),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    tools = str(Path(sys.executable).parent)
    environment |= {"MLFLOW_TRACKING_URI": place.tracking_uri, "PATH": f"{tools}{os.pathsep}{environment['PATH']}"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            end = time.monotonic() + 400
            while True:
                try:
                    if client.get("/ping").status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.5)
            yield client
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _ask(client: httpx.Client, pictures: list[bytes], **params: Any) -> httpx.Response:
    rows = [[base64.b64encode(one).decode()] for one in pictures]
    return client.post(
        "/invocations", json={"dataframe_split": {"columns": ["image"], "data": rows}, "params": params}
    )


def _pictures(answer: httpx.Response) -> list[Image.Image]:
    assert answer.status_code == 200, answer.text
    return [Image.open(io.BytesIO(base64.b64decode(row["image"]))) for row in answer.json()["predictions"]]


def test_two_sizes_and_two_formats_in_one_request(served: httpx.Client, place: Workspace) -> None:
    photos = [texture(1, 60, 40), texture(2, 33, 90)]
    jpeg = encoded(photos[1], "JPEG")
    stylizer = Stylizer.load(place.package("ink"))
    with Image.open(io.BytesIO(jpeg)) as stored:
        photos[1] = stored.convert("RGB")
    for params in ({}, {"strength": 0.4}, {"preserve_color": True}, {"scale": 0.5}):
        painted = _pictures(_ask(served, [encoded(photos[0]), jpeg], **params))
        for photo, picture in zip(photos, painted, strict=True):
            assert (picture.format, picture.size) == ("PNG", photo.size)
            expected = stylizer(photo, **params)  # type: ignore[arg-type]
            assert max(high for _, high in ImageChops.difference(picture, expected).getextrema()) <= 1


def test_jpeg_comes_back_if_it_is_asked_for(served: httpx.Client, place: Workspace) -> None:
    photo = texture(1, 60, 40)
    [picture] = _pictures(_ask(served, [encoded(photo)], format="jpeg"))
    assert picture.format == "JPEG"
    expected = Stylizer.load(place.package("ink"))(photo)
    light = np.asarray(picture.convert("L"), int) - np.asarray(expected.convert("L"), int)
    assert np.abs(light).mean() < 2  # of a model that has learnt nothing: its colours are noise, which JPEG halves


def test_what_cannot_be_painted_is_a_400_that_says_why_and_the_server_lives(served: httpx.Client) -> None:
    good = encoded(texture(1))
    wrong = {
        "image 2 of 2: image refused as not_image": _ask(served, [good, b"no picture"]),
        "image 1 of 1: image refused as truncated": _ask(served, [good[:300]]),
        "strength is 2.0; it must be between 0 and 1": _ask(served, [good], strength=2.0),
        "format is 'gif'; choose one of png, jpeg": _ask(served, [good], format="gif"),
        "send at most 64": _ask(served, [b"x"] * 65),
    }
    for words, answer in wrong.items():
        assert 400 <= answer.status_code < 500, answer.text
        assert words in answer.text
    assert len(_pictures(_ask(served, [good]))) == 1
