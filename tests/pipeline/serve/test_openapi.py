"""Requests drawn from the OpenAPI document, inside and outside of what it allows: every answer is one it declares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline.pictures import encoded, texture
from tests.pipeline.serve.serving import PHOTO, generating, package, referring, served, shelf_of

BODIES = [PHOTO, encoded(texture(2, 33, 21), "JPEG"), encoded(texture(3, 20, 20), "WEBP"), PHOTO[:90], b"", b"GIF89a"]
TYPES = ["application/octet-stream", "image/png", "text/plain", "multipart/form-data; boundary=x", "nonsense"]
PICTURES = ["/api/models/{model}/picture", "/api/models/{model}/styles/{style}/picture"]
PATHS = ["/api/stylize", "/api/view", "/api/generate", "/api/models", *PICTURES, "/health", "/ready", "/metrics"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("packages")
    with served(shelf_of(package(root / "a"), referring(root / "b"), generating(root / "c"))) as found:
        yield found


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def _value(schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
    """Return values of a parameter, allowed ones, ones at and beyond the edges, and nonsense."""
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    if schema.get("type") == "array":
        return st.lists(_value(schema["items"], name), max_size=3)
    wild = st.one_of(
        st.text(max_size=12), st.sampled_from(["nan", "inf", "-1", "1e400", "true", "null", "%00", "ink"])
    )
    if name == "max_side":  # what is allowed need not be a day's work
        return st.one_of(st.integers(-2, 300), wild)
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), wild)
    if schema.get("type") == "number":
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        return st.one_of(st.floats(low, schema["maximum"]), st.floats(), wild)
    if schema.get("type") == "integer":
        low, high = schema["minimum"], schema["maximum"]
        return st.one_of(st.integers(low, high), st.sampled_from([low - 1, high + 1, 10**30]), wild)
    if schema.get("type") == "boolean":
        return st.one_of(st.booleans(), wild)
    known = {"style": ["dots", "lines"], "code": ["k1=2", "c1=-0.5", "k1=7"]}
    return st.one_of(st.sampled_from(known.get(name, ["ink", "any-hand", "studies", "ink@champion"])), wild)


def test_the_document_declares_what_there_is(document: dict[str, Any]) -> None:
    assert sorted(document["paths"]) == sorted(PATHS)
    for path in PATHS[:2]:
        [call] = document["paths"][path].values()
        assert set(call["responses"]) == {"200", "400", "404", "408", "413", "415", "422", "429", "503"}
        assert call["requestBody"]["required"]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_answer_is_one_that_the_document_declares(
    client: httpx.Client, document: dict[str, Any], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from([*PATHS[:2] * 3, *PATHS[2:]]))
    [(method, call)] = document["paths"][path].items()
    query: dict[str, Any] = {}
    for one in call.get("parameters", ()):
        value = data.draw(_value(one["schema"], one["name"]), one["name"])
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", quote(str(value), safe="") or "none")
        elif data.draw(st.booleans()):
            query[one["name"]] = value
    options: dict[str, Any] = {}
    if "requestBody" in call:
        body, others = data.draw(st.sampled_from(BODIES)), data.draw(st.lists(st.sampled_from(BODIES), max_size=5))
        names = data.draw(st.sampled_from([("picture", "reference"), ("reference", "reference"), ("x", "picture")]))
        options = data.draw(
            st.sampled_from(
                [
                    {"content": body, "headers": {"Content-Type": data.draw(st.sampled_from(TYPES))}},
                    {"files": [(names[0], body), *((names[1], one) for one in others)]},
                ]
            )
        )
    answer = client.request(method, path, params=query, **options)
    # A name with a slash in it is another path.
    allowed = {"200", "404", "422"} if path not in PATHS else set(call["responses"])
    assert str(answer.status_code) in allowed, answer.text
    kind = answer.headers["content-type"].partition(";")[0]
    if answer.status_code != 200:
        assert kind == "application/json"
        assert set(json.loads(answer.content)) == {"code", "detail"}
    elif method == "post":
        assert kind in call["responses"]["200"]["content"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"]), text=st.text(max_size=20)
)
def test_what_is_not_declared_is_refused_in_words(client: httpx.Client, method: str, text: str) -> None:
    for path in ("/api/stylize", f"/x{quote(text, safe='')}"):
        answer = client.request(method, path)
        assert answer.status_code in (404, 405)
        assert method == "HEAD" or set(answer.json()) == {"code", "detail"}
