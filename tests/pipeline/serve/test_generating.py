"""Images out of noise over HTTP: by seed, by code, in any format; and models that are asked for the wrong thing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from pipeline.generation import Sampler
from tests.pipeline.serve.serving import PHOTO, code, generating, package, served, shelf_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generating(tmp_path_factory.mktemp("generating"))


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(shelf_of(folder, package(tmp_path_factory.mktemp("other")))) as found:
        yield found


def _ask(client: httpx.Client, **params: Any) -> httpx.Response:
    return client.post("/api/generate", params=params)


def test_a_seed_and_codes_give_the_image_that_the_package_gives(client: httpx.Client, folder: Path) -> None:
    sampler = Sampler.load(folder)
    for asked, codes in (([], {}), (["k1=2"], {"k1": 2}), (["k1=0", "c1=-0.5"], {"k1": 0, "c1": -0.5})):
        answer = _ask(client, seed=7, code=asked)
        assert answer.status_code == 200, answer.text
        [expected] = sampler([7], code=codes)
        assert ImageChops.difference(Image.open(io.BytesIO(answer.content)), expected).getbbox() is None
        assert answer.headers["X-Atelier-Model"] == "studies"
    assert _ask(client, seed=7).content != _ask(client, seed=8).content
    assert _ask(client, format="jpeg").headers["content-type"] == "image/jpeg"


def test_it_says_what_it_can_do(client: httpx.Client) -> None:
    described = {one["model"]: one for one in client.get("/api/models").json()}
    assert (described["studies"]["task"], described["studies"]["codes"]) == ("generate", ["k1", "c1"])
    assert not described["studies"]["truncates"]
    assert (described["ink"]["task"], described["ink"]["codes"]) == ("stylize", [])
    assert client.get("/api/models/studies/picture").headers["content-type"] == "image/jpeg"


def test_the_registered_model_takes_codes_too(folder: Path) -> None:
    import pandas as pd

    from pipeline.serving_model import AtelierModel

    model, context = AtelierModel(), SimpleNamespace(artifacts={"package": str(folder)})
    model.load_context(context)
    rows = pd.DataFrame({"seed": [7, 8]})
    made = model.predict(context, rows, {"code": "k1=2 c1=-0.5"})["image"]
    for text, expected in zip(made, Sampler.load(folder)([7, 8], code={"k1": 2, "c1": -0.5}), strict=True):
        picture = Image.open(io.BytesIO(base64.b64decode(text)))
        assert ImageChops.difference(picture, expected).getbbox() is None
    for wrong in ("k1", "k1=x", "k9=1"):
        with pytest.raises(ValueError, match="code"):
            model.predict(context, rows, {"code": wrong})


def test_what_it_cannot_do_is_told(client: httpx.Client) -> None:
    for wrong in ("k1=3", "k1=0.5", "c1=2.5", "k9=1"):
        answer = _ask(client, code=[wrong])
        assert code(answer) == (422, "draw")
        assert wrong.partition("=")[0] in answer.json()["detail"]
    assert code(_ask(client, code=["k1=1", "k1=2"])) == (422, "draw")
    assert code(_ask(client, truncation=0.5)) == (422, "draw")  # this network has none
    for nonsense in ({"code": "k1"}, {"code": "k1=nan"}, {"seed": -1}, {"seed": 2**60}, {"truncation": 2}):
        assert code(_ask(client, **nonsense)) == (422, "parameter")
    assert _ask(client, seed=1).status_code == 200


def test_a_model_that_is_asked_for_the_wrong_thing_says_where_to_ask(client: httpx.Client) -> None:
    answer = client.post("/api/stylize", params={"model": "studies"}, content=PHOTO)
    assert code(answer) == (422, "wrong_task")
    assert "/api/generate" in answer.json()["detail"]
    answer = _ask(client, model="ink")
    assert code(answer) == (422, "wrong_task")
    assert "/api/stylize" in answer.json()["detail"]
    assert client.post("/api/stylize", content=PHOTO).status_code == 200  # the only one that paints need not be named
