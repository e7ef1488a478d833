"""The application: painting, the models at hand, health, readiness, figures, and a page that documents them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from pipeline.pages import template
from pipeline.painting.options import FINEST
from pipeline.serve.asgi import Drain, Guard, answer
from pipeline.serve.metrics import CONTENT_TYPE
from pipeline.serve.problems import Problem
from pipeline.serve.reading import upload
from pipeline.serve.service import MEDIA_TYPES, Draw, Format, Painting, Service, Wish
from pipeline.serve.shelf import Model

MOST_SEED = 2**53 - 1  # what JSON and JavaScript hold exactly
LARGEST_SIDE = 100_000  # px that may be asked for
_TEMPLATES = Path(__file__).parent / "templates"
_log = logging.getLogger(__name__)

Extend: TypeAlias = Callable[[FastAPI, Service], None]
Asked: TypeAlias = Annotated[
    str | None,
    Query(
        alias="model", description="A model (its champion), or NAME@challenger. May be left out if there is but one."
    ),
]
Weight: TypeAlias = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Code: TypeAlias = Annotated[str, Field(pattern=r"^[a-z]+[0-9]*=-?[0-9]{1,9}(\.[0-9]{1,9})?$")]
Written: TypeAlias = Annotated[Format, Query(description="Of the answer.")]
Quality: TypeAlias = Annotated[int, Query(ge=1, le=100, description="Of JPEG and WebP.")]
Most: TypeAlias = Annotated[
    int, Query(ge=0, le=LARGEST_SIDE, description="Longest side of the answer, px; 0: as large as the picture.")
]


class Error(BaseModel):
    """What every refusal says: a code for programs, and a sentence for people."""

    code: str
    detail: str


class Described(BaseModel):
    """A model at hand."""

    model: str
    name: str
    alias: str
    version: int | None
    package: str
    task: str
    style: str
    method: str
    both_ways: bool
    styles: list[str]
    codes: list[str]
    truncates: bool


class State(BaseModel):
    """Whether the server can paint."""

    state: str
    models: int


_PICTURE = {"type": "string", "format": "binary"}
_REFERENCES = {"reference": {"type": "array", "items": _PICTURE}}


def _body(form: str, **parts: dict[str, Any]) -> dict[str, Any]:
    """Return how the document tells of a body that is a picture, or a form with one and, if any, other parts."""
    schema = {
        "type": "object",
        "properties": {"picture": _PICTURE, **parts},
        "required": ["picture"],
        "additionalProperties": False,
    }
    told = f"The bytes of a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC file. Or a form: {form}."
    kinds = {kind: {"schema": _PICTURE} for kind in ("application/octet-stream", "image/*")}
    content = {**kinds, "multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "description": told, "content": content}}


_PAINTED = _body(
    "the file as `picture`, and for a model that paints after references one or several as `reference`", **_REFERENCES
)
_SEEN = _body("the file as `picture`")
_WHY = {
    400: "The upload was broken off.",
    404: "There is no such model.",
    408: "The upload took too long.",
    413: "Too many bytes or pixels, or more than can be painted in time.",
    415: "No picture, or one of a kind that is not painted.",
    422: "A damaged picture, or a parameter out of its range.",
    429: "Many pictures wait already; Retry-After says when to come again.",
    503: "There is no model yet; Retry-After says when to come again.",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": text} for status, text in _WHY.items()
}


def build(service: Service, token: str | None = None, extend: Extend | None = None) -> FastAPI:
    """Return the application.

    Args:
        service: what paints.
        token: what every request must bring; None where only this machine can ask.
        extend: adds further routes, such as the studio's pages.
    """
    app = FastAPI(title="Style Atelier", version=_version(), summary=__doc__, docs_url=None, redoc_url=None)
    _answer_errors(app, service)
    _add_painting(app, service)
    _add_drawing(app, service)
    _add_models(app, service)
    _add_operations(app, service)
    _add_documentation(app)
    if extend is not None:
        extend(app, service)
    app.add_middleware(Guard, token=token, figures=service.figures)
    app.add_middleware(Drain)  # outermost: whoever refuses, the upload is read to its end
    return app


def _add_painting(app: FastAPI, service: Service) -> None:
    @app.post(
        "/api/stylize",
        summary="Paint a picture",
        response_class=Response,
        responses={200: {"description": "The painting.", "content": _contents(*MEDIA_TYPES.values())}, **_REFUSALS},
        openapi_extra=_PAINTED,
        tags=["painting"],
    )
    async def stylize(
        request: Request,
        model: Asked = None,
        strength: Annotated[float, Query(ge=0, le=1, description="0: the picture, 1: the painting.")] = 1.0,
        preserve_color: Annotated[bool, Query(description="Keep the picture's colours.")] = False,
        reverse: Annotated[bool, Query(description="Painting to photograph, if the model learnt it.")] = False,
        scale: Annotated[
            float, Query(gt=0, le=FINEST, description="1: strokes as in the artworks; 2: brushes half as wide.")
        ] = 1.0,
        style: Annotated[
            str | None, Query(description="Of a model that paints after references: a style that it has learnt.")
        ] = None,
        weight: Annotated[
            list[Weight] | None, Query(description="How much each reference counts; alike without.")
        ] = None,
        format: Written = "jpeg",
        quality: Quality = 92,
        max_side: Most = 0,
    ) -> Response:
        """Paint the picture in the request's body; the answer is the painting, upright, in sRGB, without metadata."""
        with service.place():
            painter = service.shelf.find(model, "stylize")
            weights = tuple(weight or ())
            wish = Wish(strength, preserve_color, reverse, scale, style, weights, format, quality, max_side)
            painting = await service.paint(await upload(request, service.settings), painter, wish)
        return _as_response(painting, painter)

    @app.post(
        "/api/view",
        summary="See a picture as it is painted from",
        response_class=Response,
        responses={200: {"description": "The picture.", "content": _contents("image/jpeg")}, **_REFUSALS},
        openapi_extra=_SEEN,
        tags=["painting"],
    )
    async def view(request: Request, max_side: Most = 1600) -> Response:
        """Return the picture in the request's body upright and in sRGB, whatever its format."""
        with service.place():
            sent = await upload(request, service.settings, most_references=0)
            return _as_response(await service.view(sent.picture, max_side), None)


def _add_drawing(app: FastAPI, service: Service) -> None:
    @app.post(
        "/api/generate",
        summary="Make an image out of noise",
        response_class=Response,
        responses={
            200: {"description": "The image.", "content": _contents(*MEDIA_TYPES.values())},
            **{status: _REFUSALS[status] for status in (404, 413, 422, 429, 503)},
        },
        tags=["painting"],
    )
    async def generate(
        model: Asked = None,
        seed: Annotated[int, Query(ge=0, le=MOST_SEED, description="The same seed, the same image.")] = 0,
        truncation: Annotated[
            float, Query(ge=0, le=1, description="Below 1: nearer to the average image, where a network has it.")
        ] = 1.0,
        code: Annotated[
            list[Code] | None, Query(description="NAME=NUMBER, of a model with codes, such as k1=3 or c1=-0.5.")
        ] = None,
        format: Written = "png",
        quality: Quality = 92,
    ) -> Response:
        """Return the image of a seed, of a model that makes images out of noise."""
        with service.place():
            sampler = service.shelf.find(model, "generate")
            drawn = await service.draw(sampler, Draw(seed, truncation, _codes(code or []), format, quality))
        return _as_response(drawn, sampler)


def _add_models(app: FastAPI, service: Service) -> None:
    @app.get("/api/models", summary="List the models", tags=["models"])
    async def models() -> list[Described]:
        """Return the models at hand: champions, and challengers."""
        return [_described(one) for _, one in sorted(service.shelf.models.items())]

    @app.get(
        "/api/models/{model}/picture",
        summary="See what a model does",
        response_class=Response,
        responses={
            200: {"description": "Its painting of a sample.", "content": _contents("image/jpeg")},
            **{status: _REFUSALS[status] for status in (404, 422, 503)},
        },
        tags=["models"],
    )
    async def picture(model: str) -> Response:
        """Return the model's painting of a built-in sample photograph, the same for every model; or its images."""
        return _shown(service.shelf.find(model).picture)

    @app.get(
        "/api/models/{model}/styles/{style}/picture",
        summary="See what a model does in a style",
        response_class=Response,
        responses={
            200: {"description": "Its painting of a sample.", "content": _contents("image/jpeg")},
            **{status: _REFUSALS[status] for status in (404, 422, 503)},
        },
        tags=["models"],
    )
    async def styled(model: str, style: str) -> Response:
        """Return the same, in one of the styles that a model has learnt which paints after references."""
        found = service.shelf.find(model)
        if style not in found.styles:
            known = ", ".join(found.styles) or "one, which has no name of its own"
            raise Problem(
                404, "unknown_style", f"The model {found.label} has not learnt {style[:80]!r}; it knows {known}."
            )
        return _shown(found.styles[style])


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", summary="Is the process alive?", tags=["operations"])
    async def health() -> dict[str, str]:
        """Answer: an event loop that hangs would not."""
        return {"state": "alive"}

    @app.get(
        "/ready",
        summary="Can it paint?",
        responses={503: {"model": State, "description": "There is no model, or the server is closing."}},
        tags=["operations"],
    )
    async def ready(response: Response) -> State:
        """Tell whether a picture that is sent now would be painted."""
        models = len(service.shelf.models)
        state = "closing" if service.closing else "ready" if models else "no model"
        if state != "ready":
            response.status_code = 503
        return State(state=state, models=models)

    @app.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"description": "Figures.", "content": {"text/plain": {}}}},
        tags=["operations"],
    )
    async def metrics() -> Response:
        """Return requests, pictures, seconds, the queue, and which version paints."""
        return Response(service.figures.text(), headers={"Content-Type": CONTENT_TYPE})


def _add_documentation(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return page(_TEMPLATES / "api.html", api=app.openapi())


def page(path: Path, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page of a template, which is given a `nonce` for its own style and script; nothing else may run."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    text = template(path).render(nonce=nonce, **values)
    return HTMLResponse(text, status, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def _shown(picture: bytes) -> Response:
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-cache"})


def _codes(given: list[str]) -> dict[str, float]:
    """Return codes by name.

    Raises:
        Problem: one is given twice.
    """
    pairs = [one.split("=") for one in given]
    values = {name: float(text) for name, text in pairs}
    if len(values) < len(pairs):
        raise Problem(422, "draw", "A code is given twice; give each one value.")
    return values


def _as_response(painting: Painting, model: Model | None) -> Response:
    headers = {"Cache-Control": "no-store", "X-Atelier-Size": f"{painting.width}x{painting.height}"}
    if model is not None:
        headers |= {"X-Atelier-Model": model.key, "X-Atelier-Package": model.digest}
        headers |= {"X-Atelier-Version": str(model.version)} if model.version is not None else {}
    return Response(painting.data, media_type=painting.media_type, headers=headers)


def _described(model: Model) -> Described:
    return Described(
        model=model.key,
        name=model.name,
        alias=model.alias,
        version=model.version,
        package=model.digest,
        task=model.task,
        style=str(model.config.get("style", "")),
        method=str(model.config.get("method", "")),
        both_ways=model.both_ways,
        styles=list(model.styles),
        codes=list(model.sampler.network.codes.names) if model.task == "generate" else [],
        truncates=model.task == "generate" and model.sampler.network.truncates,
    )


def _answer_errors(app: FastAPI, service: Service) -> None:
    """Let every refusal be a code and a sentence."""

    def refuse(problem: Problem) -> JSONResponse:
        service.figures.refused.labels(problem.code).inc()
        return answer(problem)

    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> Response:
        return refuse(error)

    @app.exception_handler(RequestValidationError)
    async def parameter(_request: Request, error: RequestValidationError) -> Response:
        return refuse(Problem(422, "parameter", _sentence(error)))

    @app.exception_handler(HTTPException)
    async def nothing(_request: Request, error: HTTPException) -> Response:
        words = {404: "There is no such page; /docs lists what there is.", 405: "This cannot be asked that way."}
        problem = Problem(error.status_code, "no_page", words.get(error.status_code, str(error.detail)))
        problem.headers |= dict(error.headers or {})
        return refuse(problem)

    @app.exception_handler(Exception)
    async def failed(_request: Request, error: Exception) -> Response:
        return refuse(Problem(500, "failed", f"The server failed ({type(error).__name__}); its log says more."))


def _sentence(error: RequestValidationError) -> str:
    """Return what is wrong with the first parameter that is."""
    first = error.errors()[0]
    name, given = ".".join(str(part) for part in first["loc"][1:]) or "the request", str(first.get("input"))[:80]
    return f"{name} is {given!r}: {first['msg'][:1].lower()}{first['msg'][1:]}."


def _contents(*media_types: str) -> dict[str, Any]:
    return {one: {"schema": _PICTURE} for one in media_types}


def _version() -> str:
    try:
        return version("style-atelier")
    except PackageNotFoundError:  # a checkout that was never installed
        return "0"
