"""Composes the application: its routes, and what stands before them."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from loom_api.access import addresses
from loom_api.console import site
from loom_api.gate import Gate
from loom_api.http import problems
from loom_api.http.answers import PREFIX
from loom_api.http.guard import Guard
from loom_api.http.head import Head
from loom_api.routes import (
    audit,
    catalog,
    cluster,
    definitions,
    events,
    labels,
    pipelines,
    quarantine,
    records,
    runs,
    scoring,
    spending,
    versions,
)
from loom_api.settings import ApiSettings
from loom_api.source import Source


def build(source: Source, settings: ApiSettings) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="Loom",
        summary="Shows pipelines, runs and records, and commands runs.",
        version=version("loom-api"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # as FastAPI's own documents say
    for routes in (
        pipelines,
        versions,
        runs,
        labels,
        scoring,
        events,
        quarantine,
        definitions,
        spending,
        cluster,
        catalog,
        audit,
    ):
        app.router.routes.extend(routes.router(source).routes)
    app.router.routes.extend(records.router(source, settings).routes)
    site.install(app, source, settings, PREFIX)
    known = addresses(app.routes, PREFIX)
    controlled = source.config.access.controlled
    app.add_middleware(Head)
    if controlled:
        app.add_middleware(Gate, known=known, source=source, settings=settings, say=partial(site.said, PREFIX))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Idempotency-Key", "If-None-Match", "Authorization"],
            expose_headers=["ETag", "Location"],
        )
    app.add_middleware(Guard, settings=settings, controlled=controlled)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the schema of errors, which no route declares as its result."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        document["components"]["schemas"] |= problems.schemas()
    return FastAPI.openapi(app)
