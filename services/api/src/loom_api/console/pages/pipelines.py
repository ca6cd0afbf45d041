"""Declares the pages of pipelines."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from loom_api.console.shown import definitions
from loom_api.console.shown.rendering import Page, page
from loom_api.http.answers import TaggedRoute
from loom_api.reads import Reads
from loom_api.source import Source
from loom_coordinator.queries.run_filter import RunFilter

_NEWEST = 20


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/pipelines")
    async def list_pipelines(reads: Reads = asked) -> Page:
        """List the pipelines of the project's folders, and those that have run."""
        return page("pipelines.html", pipelines=await reads.listed())

    @routes.get("/pipelines/{name}")
    async def show_pipeline(name: str, reads: Reads = asked) -> Page:
        """Show a pipeline with its streams, its versions, its newest runs, and the definition that ran last."""
        found = await reads.pipeline(name)
        runs = await reads.run_page(RunFilter(pipeline=name), _NEWEST, None)
        newest = await reads.row(runs[0].run_id) if runs else None
        return page(
            "pipeline.html",
            line=found.line,
            versions=found.versions,
            streams=await reads.shown_streams(name),
            runs=runs,
            definition=definitions.as_yaml(newest.definition) if newest else None,
        )

    return routes
