"""One upload in, one painting out: the same as of `atelier stylize`, in any format, upright, and without metadata."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, ImageChops

from pipeline.inference import Stylizer
from tests.pipeline.pictures import encoded, texture
from tests.pipeline.serve.serving import PHOTO, code, package, served, shelf_of


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("packages")
    return [package(root / "a", "ink", 0), package(root / "b", "oil", 1)]


@pytest.fixture(scope="module")
def client(folders: list[Path]) -> Iterator[httpx.Client]:
    with served(shelf_of(*folders)) as found:
        yield found


def _picture(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def _ask(client: httpx.Client, data: bytes = PHOTO, **params: object) -> httpx.Response:
    asked = {"model": "ink", "format": "png"} | params
    return client.post("/api/stylize", params={k: str(v) for k, v in asked.items()}, content=data)


def test_the_painting_is_the_one_that_the_package_makes(client: httpx.Client, folders: list[Path]) -> None:
    photo = texture(1, 60, 40)
    for name, folder in zip(("ink", "oil"), folders, strict=True):
        stylizer = Stylizer.load(folder)
        for options in ({}, {"strength": 0.4}, {"preserve_color": True}):
            answer = _ask(client, model=name, **options)
            assert ImageChops.difference(_picture(answer), stylizer(photo, **options)).getbbox() is None
            assert answer.headers["X-Atelier-Model"] == name
            assert answer.headers["X-Atelier-Package"] == stylizer.digest
            assert answer.headers["X-Atelier-Size"] == "60x40"
    assert ImageChops.difference(_picture(_ask(client, strength=0)), photo).getbbox() is None


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_it_is_written_in_the_format_that_is_asked_for(client: httpx.Client, kind: str) -> None:
    answer = _ask(client, format=kind)
    assert answer.headers["content-type"] == f"image/{kind}"
    assert str(_picture(answer).format).lower() == kind
    assert len(_ask(client, format="jpeg", quality=10).content) < len(_ask(client, format="jpeg", quality=95).content)


def test_it_comes_upright_without_metadata_and_no_larger_than_asked(client: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a secret place"
    stored = encoded(texture(3, 60, 40), "JPEG", exif=exif)
    answer = _ask(client, stored, format="jpeg")
    picture = _picture(answer)
    assert picture.size == (40, 60)
    assert not picture.getexif()
    assert b"secret" not in answer.content
    assert _picture(_ask(client, stored, max_side=30)).size == (20, 30)
    assert _picture(client.post("/api/view", params={"max_side": 30}, content=stored)).size == (20, 30)


def test_what_is_seen_is_what_is_painted_from(client: httpx.Client) -> None:
    seen = _picture(client.post("/api/view", content=encoded(texture(4, 64, 48).convert("CMYK"), "TIFF")))
    assert (seen.format, seen.size) == ("JPEG", (64, 48))
    assert np.abs(np.asarray(seen, int) - np.asarray(texture(4, 64, 48), int)).mean() < 12


def test_parameters_are_refused_in_plain_words(client: httpx.Client) -> None:
    for wrong in ({"strength": 2}, {"strength": "nan"}, {"quality": 0}, {"format": "gif"}, {"max_side": -1}):
        answer = _ask(client, **wrong)
        assert code(answer) == (422, "parameter")
        assert answer.json()["detail"].startswith(next(iter(wrong)))
    assert code(_ask(client, model="../../etc/passwd")) == (404, "unknown_model")
    assert code(client.post("/api/stylize", content=PHOTO)) == (422, "which_model")
    assert code(_ask(client, reverse=True)) == (422, "one_way")
    assert code(client.get("/api/stylize")) == (405, "no_page")
    assert code(client.get("/nothing")) == (404, "no_page")


def test_models_are_listed_with_what_they_do(client: httpx.Client, folders: list[Path]) -> None:
    listed = client.get("/api/models").json()
    assert [one["model"] for one in listed] == ["ink", "oil"]
    assert listed[0]["package"] == Stylizer.load(folders[0]).digest
    pictures = [client.get(f"/api/models/{one['model']}/picture").content for one in listed]
    assert pictures[0] != pictures[1]
    assert all(Image.open(io.BytesIO(one)).format == "JPEG" for one in pictures)
    assert code(client.get("/api/models/none/picture")) == (404, "unknown_model")


def test_health_readiness_and_figures(client: httpx.Client) -> None:
    before = _figure(client, 'atelier_paintings_total{alias="champion",model="ink"}')
    _ask(client)
    code(_ask(client, b"no picture"))
    assert client.get("/health").json() == {"state": "alive"}
    assert client.get("/ready").json() == {"state": "ready", "models": 2}
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert _figure(client, 'atelier_paintings_total{alias="champion",model="ink"}') == before + 1
    assert _figure(client, 'atelier_refused_total{code="not_image"}') >= 1
    assert _figure(client, 'atelier_requests_total{method="POST",path="/api/stylize",status="200"}') > before
    assert _figure(client, "atelier_inside") == _figure(client, "atelier_at_work") == 0
    assert _figure(client, "process_resident_memory_bytes") > 1e6
    for one in client.get("/api/models").json():
        label = f'{{alias="champion",model="{one["name"]}",package="{one["package"][:12]}",version=""}}'
        assert _figure(client, f"atelier_model_since_seconds{label}") > 1e9


def _figure(client: httpx.Client, name: str) -> float:
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].split()[-1]) if lines else 0.0


def test_nobody_fills_the_figures_with_labels(client: httpx.Client) -> None:
    for number in range(5):
        client.request(f"WAY{number}", f"/somewhere/{number}")
        client.get(f"/api/models/model{number}/picture")
    text = client.get("/metrics").text
    assert "somewhere" not in text
    assert "WAY" not in text
    assert 'path="/api/models/{model}/picture"' in text


def test_the_page_of_documentation_names_all_there_is(client: httpx.Client) -> None:
    answer = client.get("/docs")
    for path, ways in client.get("/openapi.json").json()["paths"].items():
        assert f"<code>{path}</code>" in answer.text
        for call in ways.values():
            for parameter in call.get("parameters", ()):
                assert f"<code>{parameter['name']}</code>" in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "unsafe" not in answer.headers["content-security-policy"]
