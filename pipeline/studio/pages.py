"""The routes of the painter's pages, beside those of `pipeline.serve.api`, which they ask for everything else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

from pipeline.catalogue import Task
from pipeline.networks.codes import FARTHEST
from pipeline.serve.api import MOST_SEED, Extend, page
from pipeline.serve.problems import Problem
from pipeline.serve.service import Service
from pipeline.serve.shelf import CHALLENGER, Model
from pipeline.studio import cards, state
from pipeline.studio.handles import handles
from pipeline.studio.samples import SAMPLES, SIDES, sample
from pipeline.workspace import Workspace

SHEETS = (4, 9, 16, 36)
"""How many images a sheet may have, in as many rows as columns."""
FIRST_SHEET = 16  # what a visitor finds
_TEMPLATES = Path(__file__).parent / "templates"
_REPORT = (  # a report brings its style, script and pictures with it; it may reach nothing, this server included
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)


def pages(workspace: Workspace) -> Extend:
    """Return what adds the pages to an application."""

    def extend(app: FastAPI, service: Service) -> None:
        _add_easel(app, service)
        _add_drawing(app, service)
        _add_styles(app, service, workspace)
        _add_state(app, service, workspace)

    return extend


def _add_easel(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    def easel() -> Response:
        return _page(
            service,
            "easel.html",
            models=_champions(service, "stylize"),
            challengers=_challengers(service, "stylize"),
            samples=SAMPLES,
            megabytes=service.settings.max_bytes // 1_000_000,
            most_references=service.settings.max_references,
        )

    @app.get("/samples/{number}/{size}.jpg", include_in_schema=False)
    def sample_picture(number: int, size: str) -> Response:
        if number not in SAMPLES.values() or size not in SIDES:
            raise Problem(404, "no_sample", "There is no such sample.")
        headers = {"Cache-Control": "private, max-age=86400"}
        return Response(sample(number, size), media_type="image/jpeg", headers=headers)


def _add_drawing(app: FastAPI, service: Service) -> None:
    @app.get("/draw", include_in_schema=False)
    def drawing() -> Response:
        return _page(
            service,
            "draw.html",
            models=_champions(service, "generate"),
            challengers=_challengers(service, "generate"),
            handles=handles,
            sheets=SHEETS,
            first=FIRST_SHEET,
            most_seed=MOST_SEED - max(SHEETS),
            farthest=FARTHEST,
        )


def _add_styles(app: FastAPI, service: Service, workspace: Workspace) -> None:
    @app.get("/styles", include_in_schema=False)
    def styles() -> Response:
        return _page(
            service,
            "styles.html",
            models=service.shelf.champions,
            challengers=_challengers(service),
            facts=cards.facts,
        )

    @app.get("/styles/{name}", include_in_schema=False)
    def style(name: str) -> Response:
        model = service.shelf.find(name)
        return _page(
            service,
            "style.html",
            model=model,
            challenger=_challengers(service).get(name),
            facts=cards.facts(model),
            card=cards.card(workspace, model),
            report=cards.report(workspace, model) is not None,
        )

    @app.get("/styles/{name}/report", include_in_schema=False)
    def report(name: str) -> Response:
        found = cards.report(workspace, service.shelf.find(name))
        if found is None:
            raise Problem(404, "no_report", "There is no report on this version.")
        return HTMLResponse(found.read_bytes(), headers={"Content-Security-Policy": _REPORT})


def _add_state(app: FastAPI, service: Service, workspace: Workspace) -> None:
    @app.get("/state", include_in_schema=False)
    def what_happens() -> Response:
        return _page(
            service,
            "state.html",
            landed=state.landed(workspace),
            running=state.running(workspace),
            trainings=state.trainings(workspace, time.time()),
            last=state.last_retrain(workspace),
            decisions=state.decisions(workspace),
            links=state.links(service.settings, workspace),
            models=list(service.shelf.models.values()),
            problems=service.shelf.problems,
            painted=service.figures.painted(),
        )


def _page(service: Service, name: str, **values: Any) -> HTMLResponse:
    """Return a page; its head names the page Draw where there is something to draw with."""
    return page(_TEMPLATES / name, draws=bool(_champions(service, "generate")), **values)


def _champions(service: Service, task: Task) -> list[Model]:
    return [one for one in service.shelf.champions if one.task == task]


def _challengers(service: Service, task: Task | None = None) -> dict[str, Model]:
    """Return the challengers of a task, or all, by the name of their model."""
    models = service.shelf.models.values()
    return {one.name: one for one in models if one.alias == CHALLENGER and task in (None, one.task)}
