"""Puts the console into the application: its pages, its files, and how it says errors to people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI, Request, Response
from starlette.staticfiles import StaticFiles

from loom_api.console.pages import (
    acts,
    compare,
    fleet,
    lineage,
    login,
    pipelines,
    quarantine,
    replays,
    run,
    runs,
    sign_in,
    spending,
)
from loom_api.console.pages.judging import labels, scoring
from loom_api.console.shown.rendering import page
from loom_api.http.problems import MEDIA_TYPE
from loom_api.results.problems import Problem
from loom_api.settings import ApiSettings
from loom_api.source import Source

Handler: TypeAlias = Callable[[Request, Any], Response | Awaitable[Response]]


def install(app: FastAPI, source: Source, settings: ApiSettings, api: str) -> None:
    """Add the console to the application that answers for the API, whose addresses begin with `api`. Errors of all
    others become pages with the same words."""
    for pages in (acts, replays, runs, run, labels, scoring, quarantine, pipelines, spending, lineage, fleet, compare):
        app.router.routes.extend(pages.router(source).routes)
    for pages in (login, sign_in):
        app.router.routes.extend(pages.router(source, settings).routes)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _for_people(handler, f"{api}/"))


def _for_people(handle: Handler, api: str) -> Handler:
    async def handled(request: Request, error: Any) -> Response:
        answer = handle(request, error)
        if not isinstance(answer, Response):
            answer = await answer
        return said(api.rstrip("/"), request.url.path, answer, sent=request.method == "POST")

    return handled


def said(api: str, path: str, answer: Response, *, sent: bool = False) -> Response:
    """Return an answer as whoever asks reads it: as a page, unless the address begins with `api`."""
    if path.startswith(f"{api}/") or answer.headers.get("content-type") != MEDIA_TYPE:
        return answer
    problem = Problem.model_validate_json(bytes(answer.body))
    shown = page("error.html", code=answer.status_code, problem=problem, sent=sent)
    if "retry-after" in answer.headers:
        shown.headers["Retry-After"] = answer.headers["retry-after"]
    return shown
