"""Composes the application: its routes, and what stands before them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from loom_api import problems
from loom_api.guard import Guard
from loom_api.reads import Source
from loom_api.routes import catalog, cluster, pipelines, quarantine, runs, spending
from loom_api.settings import ApiSettings

PREFIX = "/api/v1"


def build(source: Source, settings: ApiSettings) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="Loom",
        summary="What can be known of pipelines, runs and records.",
        version=version("loom-api"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses=problems.documented(400, 422, 503),
    )
    problems.install(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # as FastAPI's own documents say
    for routes in (pipelines, runs, quarantine, spending, cluster, catalog):
        app.include_router(routes.router(source), prefix=PREFIX)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET"], expose_headers=["ETag"]
        )
    app.add_middleware(Guard, settings=settings)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the schema of errors, which no route declares as its result."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        document["components"]["schemas"] |= problems.schemas()
    return FastAPI.openapi(app)
