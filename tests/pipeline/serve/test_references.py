"""Painting after references over HTTP: one's own pictures, several of them, or styles that a model has learnt."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from pipeline.inference import Stylizer
from tests.pipeline.pictures import encoded, texture
from tests.pipeline.serve.serving import PHOTO, code, package, referring, served, shelf_of

OTHERS = [texture(seed, 50, 34) for seed in (21, 22)]
ASKED = {"model": "any-hand", "format": "png"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return referring(tmp_path_factory.mktemp("referring"))


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(shelf_of(folder, package(tmp_path_factory.mktemp("other")))) as found:
        yield found


def _ask(client: httpx.Client, references: list[bytes], **params: Any) -> httpx.Response:
    files = [("picture", PHOTO), *(("reference", one) for one in references)]
    return client.post("/api/stylize", params=ASKED | params, files=files)


def _same(answer: httpx.Response, expected: Image.Image) -> bool:
    assert answer.status_code == 200, answer.text
    return ImageChops.difference(Image.open(io.BytesIO(answer.content)), expected).getbbox() is None


def test_it_paints_after_ones_own_pictures_as_the_package_does(client: httpx.Client, folder: Path) -> None:
    stylizer, photo = Stylizer.load(folder), texture(1, 60, 40)
    sent = [encoded(one) for one in OTHERS]
    assert _same(_ask(client, sent[:1]), stylizer(photo, reference=OTHERS[0]))
    assert _same(_ask(client, sent[:1], strength=0.5), stylizer(photo, reference=OTHERS[0], strength=0.5))
    assert _same(_ask(client, sent, weight=[1, 3]), stylizer(photo, reference=OTHERS, weights=[1, 3]))
    assert not _same(_ask(client, sent[:1]), stylizer(photo, reference=OTHERS[1]))
    assert _same(_ask(client, sent[:1], scale=0.5), stylizer(photo, reference=OTHERS[0], scale=0.5))


def test_it_paints_in_the_styles_that_it_has_learnt(client: httpx.Client, folder: Path) -> None:
    described = {one["model"]: one for one in client.get("/api/models").json()}
    assert described["any-hand"]["styles"] == ["dots", "lines"]
    assert described["ink"]["styles"] == []
    stylizer, photo = Stylizer.load(folder), texture(1, 60, 40)
    pictures = set()
    for style in ("dots", "lines"):
        answer = client.post("/api/stylize", params=ASKED | {"style": style}, content=PHOTO)
        assert _same(answer, stylizer(photo, style=style))
        shown = client.get(f"/api/models/any-hand/styles/{style}/picture")
        assert shown.headers["content-type"] == "image/jpeg"
        pictures.add(shown.content)
    assert len(pictures) == 2
    assert client.get("/api/models/any-hand/picture").content in pictures
    assert code(client.get("/api/models/any-hand/styles/oil/picture")) == (404, "unknown_style")
    assert code(client.get("/api/models/ink/styles/ink/picture")) == (404, "unknown_style")


def test_what_cannot_be_meant_is_refused_in_words(client: httpx.Client) -> None:
    one, two = (encoded(each) for each in OTHERS)
    assert code(_ask(client, [one], model="ink")) == (422, "no_reference")
    assert code(client.post("/api/stylize", params={"model": "ink", "style": "dots"}, content=PHOTO)) == (
        422,
        "no_reference",
    )
    answer = _ask(client, [])
    assert code(answer) == (422, "reference")
    assert "name a style: dots, lines" in answer.json()["detail"]
    assert code(_ask(client, [one], style="dots")) == (422, "reference")
    assert code(_ask(client, [], style="oil")) == (422, "style")
    for weights in ([1], [1, 2, 3], [0, 0]):
        assert code(_ask(client, [one, two], weight=weights)) == (422, "weight")
    assert code(_ask(client, [one], weight=[-1])) == (422, "parameter")
    assert code(_ask(client, [one], weight=["nan"])) == (422, "parameter")
    assert code(_ask(client, [one] * 5)) == (422, "form")
    answer = _ask(client, [one, b"no picture"])
    assert code(answer) == (415, "not_image")
    assert answer.json()["detail"].startswith("Reference 2: ")
    assert _ask(client, [one]).status_code == 200
